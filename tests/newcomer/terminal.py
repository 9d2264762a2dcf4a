"""Bash as a reader has it: each block runs in it, and what one sets the next one finds.

Each block is a bash of its own, which ends with the first command that fails. Variables, options of
the environment and the working directory are carried over, as if it were one.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from tests.support.patience import HANG_S

_POLL_S = 0.05
#: After each block: every variable that may be set again, and where we are.
_KEEP = r"""
trap '
  __status=$?
  {
    for __name in $(compgen -v); do
      case $__name in BASH*|DIRSTACK|EPOCH*|FUNCNAME|GROUPS|LINENO|PIPESTATUS|RANDOM|SECONDS) ;;
      SRANDOM|COMP_*|_|__*) ;;
      *)
        __line=$(declare -p "$__name")
        __flags=${__line#declare -}
        [[ ${__flags%% *} == *r* ]] || printf "%s\n" "$__line" ;;
      esac
    done
    printf "cd %q\n" "$PWD"
  } > "$__STATE"
  exit $__status
' EXIT
"""


class Printed(Struct, frozen=True):
    """What a block printed, on both streams in their order, and the status of its last command."""

    text: str
    status: int


class Terminal:
    """One terminal of a reader, in a directory; ``close`` ends all that was started in it."""

    def __init__(
        self,
        directory: Path,
        *,
        environment: Mapping[str, str],
        scratch: Path,
        hang_s: float = HANG_S,
    ) -> None:
        self._hang_s = hang_s
        self._directory = directory
        self._environment = dict(environment)
        self._scratch = scratch
        self._state = scratch / "state"
        self._started: list[subprocess.Popen[bytes]] = []
        #: Each command that stays in the foreground, and its process.
        self._staying: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._blocks = 0

    def run(self, text: str) -> Printed:
        """Run a block to its end. Raises ``TimeoutError`` where it has none."""
        process, log = self._start(text)
        try:
            status = process.wait(self._hang_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"it did not end; it printed:\n{_text(log)}") from None
        return Printed(_text(log), status)

    def start(self, text: str, *, until: str) -> Printed:
        """Run a block whose last command stays, until it printed ``until``: it is ready then.

        Raises ``TimeoutError``. An end before that is no error here: the status says it.
        """
        first = text.rstrip().removesuffix(_last(text))
        if first.strip():
            printed = self.run(first)
            if printed.status:
                return printed
        process, log = self._start(_last(text), is_kept=False)
        self._staying.append((_last(text), process))
        deadline_s = time.monotonic() + self._hang_s
        while not re.search(until, _text(log)):
            if (status := process.poll()) is not None:
                self._staying.pop()
                return Printed(_text(log), status or 1)
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"it did not print {until!r}; it printed:\n{_text(log)}")
            time.sleep(_POLL_S)
        return Printed(_text(log), 0)

    def interrupt(self) -> list[tuple[str, int]]:
        """Press Ctrl-C wherever something stays; return each command and how it ended."""
        ended = []
        while self._staying:
            command, process = self._staying.pop()
            os.killpg(process.pid, signal.SIGINT)
            ended.append((command, process.wait(HANG_S)))
        return ended

    def close(self) -> None:
        """Nothing that was started here runs any more."""
        for process in self._started:
            _end_group(process)

    def _start(self, text: str, *, is_kept: bool = True) -> tuple[subprocess.Popen[bytes], Path]:
        self._blocks += 1
        script = self._scratch / f"block-{self._blocks}.sh"
        log = self._scratch / f"block-{self._blocks}.log"
        before = f"source {self._state} 2>/dev/null\n" if self._state.exists() else ""
        state = self._state if is_kept else "/dev/null"
        script.write_text(f"__STATE={state}\n{before}{_KEEP}\nset -e\n{text}\n", "utf-8")
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", str(script)],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        return process, log


def _last(text: str) -> str:
    """Return the last command of a block as it is written."""
    lines = text.rstrip().splitlines()
    first = len(lines) - 1
    while first and lines[first - 1].rstrip().endswith("\\"):
        first -= 1
    return "\n".join(lines[first:])


def _text(log: Path) -> str:
    return log.read_text("utf-8", "replace")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for how, patience_s in ((signal.SIGTERM, 20.0), (signal.SIGKILL, HANG_S)):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            return
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s:
            process.poll()
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(_POLL_S)


def is_shell(text: str) -> str:
    """Return what bash says against the syntax of a block; empty: nothing."""
    checked = subprocess.run(
        ["bash", "-n"], input=text, text=True, capture_output=True, check=False
    )
    return checked.stderr.strip()
