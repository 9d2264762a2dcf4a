"""A second environment, for clients that cannot be installed with the others.

It is made on first use from ``requirements.lock`` in this folder, below the project's own ``.venv``
so that ``make clean`` removes it, and created again when the lock, the interpreter or the place has
changed or when making it was interrupted. Everything in the lock has a wheel: nothing is compiled.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.patience import HANG_S

_ROOT = Path(__file__).resolve().parents[2]
LOCK = Path(__file__).with_name("requirements.lock")
PLACE = _ROOT / ".venv" / "interop"

#: Some fifteen wheels; a slow line needs minutes and a dead one must not hang the tests.
_INSTALL_S_MAX = 600


class Unusable(Exception):
    """The environment could not be made, or a script failed in it. The text says what to do."""


class Elsewhere:
    """Runs scripts with the packages of the second environment."""

    def __init__(self, *, lock: Path = LOCK, place: Path = PLACE) -> None:
        self._python = _made(lock=lock, place=place)

    def run(self, script: str, **payload: Any) -> Any:
        """Run the script there: JSON of ``payload`` on its stdin, JSON on its stdout's last line.

        The last line only, because some clients print what they think of a message.
        """
        done = subprocess.run(
            [self._python, "-I", "-W", "ignore", "-c", script],
            input=json.dumps(payload).encode(),
            capture_output=True,
            timeout=HANG_S,
            check=False,
        )
        lines = done.stdout.splitlines()
        if done.returncode != 0 or not lines:
            output = (done.stdout + done.stderr).decode(errors="replace")
            raise Unusable(f"The script ended with {done.returncode} in {self._python}:\n{output}")
        return json.loads(lines[-1])


def _made(*, lock: Path, place: Path) -> str:
    """Answer the environment's interpreter, once it holds what the lock says."""
    python = place / "bin" / "python"
    stamp = place / ".installed"
    wanted = f"{hashlib.sha256(lock.read_bytes()).hexdigest()} {sys.version} {place}"
    with _alone(place.with_name(f"{place.name}.lock")):
        if stamp.is_file() and stamp.read_text() == wanted and python.exists():
            return str(python)
        shutil.rmtree(place, ignore_errors=True)
        _done([sys.executable, "-m", "venv", str(place)])
        install = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
        install += ["install", "--only-binary", ":all:", "--require-hashes", "-r", str(lock)]
        _done(install)
        # Written last: without it the environment is incomplete, and created again.
        stamp.write_text(wanted)
    return str(python)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Only one process at a time makes the environment; the others wait and find it made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _done(command: list[str]) -> None:
    # The tests' own environment says nothing about the other one; where pip looks stays as it is.
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME"}}
    try:
        subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_INSTALL_S_MAX,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        output = (error.output or b"").decode(errors="replace")
        raise Unusable(
            "The environment of the independent clients could not be made. Check that this machine "
            "reaches its package index (pip's own settings are used) and run the tests again, or "
            f"run by hand:\n  {' '.join(command)}\n{output}"
        ) from error
