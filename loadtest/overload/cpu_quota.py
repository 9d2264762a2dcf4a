"""Limits a process to a part of a core, by the CPU quota of a control group of its own."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtest.errors import CannotRun

_GROUPS = Path("/sys/fs/cgroup")
#: Short, so that a process that has used up its quota is paused for milliseconds only.
_PERIOD_US = 8000


@contextmanager
def limited(pid: int, cores: float) -> Iterator[None]:
    """Limit a process to ``cores`` of a core until the block ends. Raises ``CannotRun``."""
    is_unified = (_GROUPS / "cgroup.controllers").exists()
    group = (_GROUPS if is_unified else _GROUPS / "cpu") / f"tidegate-bench-{pid}"
    quota_us = round(cores * _PERIOD_US)
    try:
        group.mkdir(exist_ok=True)
        if is_unified:
            (_GROUPS / "cgroup.subtree_control").write_text("+cpu")
            (group / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as exc:
        raise CannotRun(
            f"the gateway cannot be limited to {cores:g} of a core ({exc}): control groups must be "
            "writable, so run this as root on a machine or in a container that allows it"
        ) from exc
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(pid))
        # The kernel frees a group a moment after its last process has left.
        for _ in range(20):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)
