"""A local socket of the process: whoever may use this machine's directory may ask it something.

It needs no store, no port and no key, so it works when everything else is away. One line is asked,
one line is answered.
"""

import asyncio
import contextlib
import logging
import os
import selectors
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_log = logging.getLogger(__name__)

_SUFFIX = ".sock"
_LINE_BYTES_MAX = 256
_CHUNK_BYTES = 65536
#: Seconds that a question may take to come and its answer to be taken.
_SERVE_S = 2.0
#: Seconds until all answers are there. A look takes a gateway 0.8 s while the ledger is silent.
_ANSWERED_S = 1.5

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
            async with asyncio.timeout(_SERVE_S):
                line = await reader.readline()
                if line.endswith(b"\n"):
                    writer.write(await self._answer(line.strip()) + b"\n")
                    await writer.drain()
        writer.close()


def sockets(directory: Path) -> list[Path]:
    """Return the sockets in a directory, also of those that do not answer."""
    return sorted(directory.glob(f"*{_SUFFIX}"))


def ask(directory: Path, question: bytes) -> dict[int, bytes]:
    """Ask every process that listens in a directory; the answers by process id.

    All are asked at once: however many are frozen, it returns within a second and a half, without
    those. What a dead process left there is taken away.
    """
    paths = sockets(directory)
    if not paths:
        return {}
    with contextlib.ExitStack() as stack:
        reached = stack.enter_context(_reached(directory))
        asked = stack.enter_context(selectors.DefaultSelector())
        for path in paths:
            line = stack.enter_context(socket.socket(socket.AF_UNIX))
            line.setblocking(False)
            # One that takes no more connections is as good as silent.
            with contextlib.suppress(ConnectionError, BlockingIOError, ValueError):
                pid = int(path.stem)
                try:
                    line.connect(f"{reached}/{path.name}")
                except (ConnectionRefusedError, FileNotFoundError):
                    path.unlink(missing_ok=True)
                    continue
                line.sendall(question + b"\n")
                asked.register(line, selectors.EVENT_READ, data=pid)
        return dict(_answers(asked))


def _answers(asked: selectors.BaseSelector) -> Iterator[tuple[int, bytes]]:
    """Yield each whole answer until all have come or time is up."""
    deadline_s = time.monotonic() + _ANSWERED_S
    received: dict[int, bytes] = {}
    while asked.get_map() and (left_s := deadline_s - time.monotonic()) > 0:
        for key, _ in asked.select(left_s):
            assert isinstance(key.fileobj, socket.socket), "only these are registered"
            chunk = b""
            with contextlib.suppress(ConnectionError):
                chunk = key.fileobj.recv(_CHUNK_BYTES)
            so_far = received[key.data] = received.get(key.data, b"") + chunk
            if chunk:
                continue
            asked.unregister(key.fileobj)
            # Without its end it was cut off.
            if so_far.endswith(b"\n"):
                yield key.data, so_far.strip()


@contextmanager
def _reached(directory: Path) -> Iterator[str]:
    """Lend a short name of a directory: a socket's whole path may not have more than 107 bytes."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)
