"""A local socket of the process: whoever may use this machine's directory may ask it something.

It needs no store, no port and no key, so it works when everything else is away. One line is asked,
one line is answered.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_log = logging.getLogger(__name__)

_SUFFIX = ".sock"
_LINE_BYTES_MAX = 256
_ASK_S = 2.0

#: Answers one question with one line, without its end.
Answer = Callable[[bytes], Awaitable[bytes]]


class Control:
    """Listens at ``<directory>/<pid>.sock`` until told to stop."""

    def __init__(self, *, directory: Path, answer: Answer) -> None:
        self._directory = directory
        self._answer = answer

    async def run(self, stopping: asyncio.Event) -> None:
        """Answer until told to stop. Without a directory to listen in, do without."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _reached(self._directory) as directory:
                # Its numbers come round again: what another process left behind is nobody's now.
                (self._directory / f"{os.getpid()}{_SUFFIX}").unlink(missing_ok=True)
                path = f"{directory}/{os.getpid()}{_SUFFIX}"
                listening = await asyncio.start_unix_server(
                    self._serve, path, limit=_LINE_BYTES_MAX
                )
        except OSError as exc:
            _log.warning("no local socket: %s", exc.strerror, extra={"in": str(self._directory)})
            await stopping.wait()
            return
        try:
            await stopping.wait()
        finally:
            listening.close()
            with contextlib.suppress(OSError):
                (self._directory / f"{os.getpid()}{_SUFFIX}").unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            async with asyncio.timeout(_ASK_S):
                line = await reader.readline()
                if line.endswith(b"\n"):
                    writer.write(await self._answer(line.strip()) + b"\n")
                    await writer.drain()
        writer.close()


def ask(directory: Path, question: bytes) -> dict[int, bytes]:
    """Ask every process that listens in a directory; the answers by process id.

    Waits up to two seconds for each. What a dead process left there is taken away.
    """
    answers = {}
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            pid = int(path.stem)
            try:
                answers[pid] = _ask(directory, path.name, question)
            except (ConnectionRefusedError, FileNotFoundError):
                path.unlink(missing_ok=True)
    return answers


def _ask(directory: Path, name: str, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as line, _reached(directory) as reached:
        line.settimeout(_ASK_S)
        line.connect(f"{reached}/{name}")
        line.sendall(question + b"\n")
        received = b""
        while chunk := line.recv(65536):
            received += chunk
    if not received.endswith(b"\n"):
        raise ConnectionError("the answer was cut off")
    return received.strip()


@contextmanager
def _reached(directory: Path) -> Iterator[str]:
    """Lend a short name of a directory: a socket's whole path may not have more than 107 bytes."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)
