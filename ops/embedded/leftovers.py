"""Processes that an earlier run left behind, found by the pids it recorded."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

_POLL_INTERVAL_S = 0.01
_KILL_PATIENCE_S = 5.0


def left_running(pids: Path) -> dict[str, tuple[int, str]]:
    """What an earlier run left running: (pid, birth) by name. Files of ended ones are removed."""
    left = {}
    for file in pids.iterdir():
        pid, _, birth = file.read_text().strip().partition(" ")
        if birth and pid.isdigit() and birth == birth_of(int(pid)):
            left[file.name] = (int(pid), birth)
        else:
            file.unlink()
    return left


def pid_of(pids: Path, name: str) -> int | None:
    """The process of this name, if it runs. Of a run that may be going on: nothing is removed."""
    try:
        pid, _, birth = (pids / name).read_text().strip().partition(" ")
    except OSError:
        return None
    is_running = birth and pid.isdigit() and birth == birth_of(int(pid))
    return int(pid) if is_running else None


def settle(left: Mapping[str, tuple[int, str]], *, patience_s: float = 12.0) -> list[str]:
    """Waits for these to end, then kills them; returns the names of those it killed.

    Call it only while holding the state directory's lock: a process that is left then is an orphan
    and got its signal when its parent died.
    """
    _wait_for_end(left, patience_s)
    stuck = _still(left)
    for name in stuck:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(left[name][0], signal.SIGKILL)
    _wait_for_end(left, _KILL_PATIENCE_S)
    return stuck


def _wait_for_end(left: Mapping[str, tuple[int, str]], patience_s: float) -> None:
    deadline_s = time.monotonic() + patience_s
    while _still(left) and time.monotonic() < deadline_s:
        time.sleep(_POLL_INTERVAL_S)


def _still(left: Mapping[str, tuple[int, str]]) -> list[str]:
    return [name for name, (pid, birth) in left.items() if birth_of(pid) == birth]


def birth_of(pid: int) -> str:
    """Distinguishes a process from a later one with the same pid; "" when dead or unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    # The name, in parentheses, may hold anything: what follows it is the state, then field 4 on.
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{fields[18]} {boot}"
