"""A cable to a server that a test can cut, silence and mend: real sockets, real silence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 1 << 16


class Cable:
    """Carries bytes between a free port of the loopback and a server behind it."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._sound = asyncio.Event()
        self._sound.set()
        self._is_cut = False
        self._loses_answers = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        #: Connections taken since the start.
        self.connections = 0

    @property
    def url(self) -> str:
        """The server's URL with this cable's port in it."""
        assert self._server is not None, "the cable is laid first"
        port = self._server.sockets[0].getsockname()[1]
        login = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{port}"))

    def silence(self) -> None:
        """Carry nothing any more; connections stay open and new ones are still taken."""
        self._sound.clear()

    def lose_answers(self) -> None:
        """Carry what is asked and drop what is answered."""
        self._loses_answers = True

    def cut(self) -> None:
        """End all connections with a reset and take no new one."""
        self._is_cut = True
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        """Carry again: what was silenced goes on, what was cut may connect anew."""
        self._is_cut = self._loses_answers = False
        self._sound.set()

    async def lay(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)

    async def remove(self) -> None:
        assert self._server is not None, "only what is laid is removed"
        self._server.close()
        self.cut()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        self.connections += 1
        behind = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._ends |= {writer, behind[1]}
        for source, sink in ((reader, behind[1]), (behind[0], writer)):
            carry = self._carry(source, sink, is_answer=sink is writer)
            task = asyncio.get_running_loop().create_task(carry)
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(_CHUNK):
                await self._sound.wait()
                if is_answer and self._loses_answers:
                    continue
                sink.write(chunk)
                await sink.drain()
        self._ends.discard(sink)
        sink.transport.abort()


@asynccontextmanager
async def cable_to(url: str) -> AsyncIterator[Cable]:
    """Lend a cable to the server of ``url``."""
    cable = Cable(url)
    await cable.lay()
    try:
        yield cable
    finally:
        await cable.remove()
