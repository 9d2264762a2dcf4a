"""The control socket: a local socket of each process, for commands on the same machine.

Access is by the permissions of its directory. It needs no store, no port and no key, so it works
when everything else is unavailable. A question is one line, and so is its answer.
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
#: Seconds that a question may take to arrive and its answer to be read.
_SERVE_S = 2.0
#: Seconds that all answers have. A refresh takes a gateway 0.8 s while the ledger is silent.
_ANSWERED_S = 1.5

#: Answers one question with one line, both without their line ends.
Answer = Callable[[bytes], Awaitable[bytes]]


class Control:
    """Listens at ``<directory>/<pid>.sock`` while it runs."""

    def __init__(self, *, directory: Path, answer: Answer) -> None:
        self._directory = directory
        self._answer = answer

    async def run(self, stopping: asyncio.Event) -> None:
        """Answer until ``stopping`` is set. Without a directory to listen in, log and only wait."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _short_name(self._directory) as directory:
                # Process ids are reused: what a dead process of this id left behind is removed.
                (self._directory / f"{os.getpid()}{_SUFFIX}").unlink(missing_ok=True)
                path = f"{directory}/{os.getpid()}{_SUFFIX}"
                listening = await asyncio.start_unix_server(
                    self._serve, path, limit=_LINE_BYTES_MAX
                )
        except OSError as exc:
            _log.warning("no control socket: %s", exc.strerror, extra={"in": str(self._directory)})
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
    """Return the sockets in a directory, also of processes that do not answer."""
    return sorted(directory.glob(f"*{_SUFFIX}"))


def ask(directory: Path, question: bytes) -> dict[int, bytes]:
    """Ask every process that listens in a directory; return the answers by process id.

    All are asked at once: however many are frozen, it returns within a second and a half, without
    those. Sockets of dead processes are removed.
    """
    paths = sockets(directory)
    if not paths:
        return {}
    with contextlib.ExitStack() as stack:
        directory_name = stack.enter_context(_short_name(directory))
        asked = stack.enter_context(selectors.DefaultSelector())
        for path in paths:
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            # A process whose backlog is full counts as silent.
            with contextlib.suppress(ConnectionError, BlockingIOError, ValueError):
                pid = int(path.stem)
                try:
                    client.connect(f"{directory_name}/{path.name}")
                except (ConnectionRefusedError, FileNotFoundError):
                    path.unlink(missing_ok=True)
                    continue
                client.sendall(question + b"\n")
                asked.register(client, selectors.EVENT_READ, data=pid)
        return dict(_answers(asked))


def _answers(asked: selectors.BaseSelector) -> Iterator[tuple[int, bytes]]:
    """Yield each complete answer until all have arrived or time is up."""
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
            # Without its line end it was cut off.
            if so_far.endswith(b"\n"):
                yield key.data, so_far.strip()


@contextmanager
def _short_name(directory: Path) -> Iterator[str]:
    """Lend a short name of a directory: the path of a socket has at most 107 bytes."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)
