"""The services under measurement as child processes: start, wait until ready, stop."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ops.embedded.processes import die_with_parent

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 15.0
_LOG_TAIL_BYTES = 4000


class CannotRun(Exception):
    """The benchmark cannot go on; the text says why and what to do."""


class Running(NamedTuple):
    """A service that answers."""

    pid: int
    port: int


def end_with_us() -> None:
    """Run in a child before it starts: nothing is left even after a kill -9 of the benchmark."""
    die_with_parent(signal.SIGTERM)


def free_port() -> int:
    """Return a port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[Running]:
    """Run ``python -m module ... --port P`` until the block ends; yield when it is ready.

    Raises ``CannotRun`` with the end of its log when it dies or is not ready in time.
    """
    port = free_port()
    command = [sys.executable, "-m", module, *arguments, "--host", "127.0.0.1"]
    with log.open("ab") as output:
        child = subprocess.Popen(
            [*command, "--port", str(port)],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_us,  # noqa: PLW1509 - there are no threads to fork beside
        )
    try:
        _wait_ready(child, port, log)
        yield Running(child.pid, port)
        if child.poll() is not None:
            raise CannotRun(f"{module} ended while it was measured:\n{_tail(log)}")
    finally:
        _stop(child)


@contextmanager
def working(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[int]:
    """Run ``python -m module ...``, which listens nowhere, until the block ends; yield its pid."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_us,  # noqa: PLW1509 - there are no threads to fork beside
        )
    try:
        yield child.pid
        if child.poll() is not None:
            raise CannotRun(f"{module} ended while it was needed:\n{_tail(log)}")
    finally:
        _stop(child)


def run(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run ``python -m module ...`` to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=end_with_us,
    )
    if done.returncode != 0:
        what = " ".join([module, *arguments])
        raise CannotRun(f"`python -m {what}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _wait_ready(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not _ready(port):
        if child.poll() is not None:
            raise CannotRun(f"{child.args!r} ended at once:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise CannotRun(f"{child.args!r} was not ready in time:\n{_tail(log)}")
        time.sleep(0.05)


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _tail(log: Path) -> str:
    return log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
