"""A TCP proxy to a server that a test can cut, silence, slow down and restore: a cable."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 1 << 16

Direction = Literal["asked", "answered"]
_BOTH: frozenset[Direction] = frozenset({"asked", "answered"})


class Cable:
    """Forwards bytes between a free port of the loopback and a server behind it.

    A *direction* is ``asked`` (to the server) or ``answered`` (from it).
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._sound = {direction: asyncio.Event() for direction in _BOTH}
        self._loses: frozenset[Direction] = frozenset()
        self._is_cut = False
        self._latency_s = 0.0
        self._chunk, self._tick_s = _CHUNK, 0.0
        self._ends: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        #: Connections accepted since the start.
        self.connections = 0
        self.mend()

    @property
    def url(self) -> str:
        """The server's URL with this cable's port in it."""
        assert self._server is not None, "the cable is laid first"
        port = self._server.sockets[0].getsockname()[1]
        login = "".join(self._parts.netloc.rpartition("@")[:2])
        return urlunsplit(self._parts._replace(netloc=f"{login}127.0.0.1:{port}"))

    def redirect(self, url: str) -> None:
        """Lead new connections to the server of another URL; those that are there are reset."""
        self._parts = urlsplit(url)
        self.reset()

    def silence(self, *directions: Direction) -> None:
        """Forward nothing, or nothing in these directions; connections stay open, new ones open.

        Nothing is lost: the bytes arrive after ``mend``.
        """
        for direction in directions or _BOTH:
            self._sound[direction].clear()

    def lose(self, *directions: Direction) -> None:
        """Drop the bytes in these directions silently, as when the other end has disappeared."""
        self._loses = frozenset(directions)

    def lose_answers(self) -> None:
        """Forward the requests and drop the responses."""
        self.lose("answered")

    def slow(self, latency_s: float) -> None:
        """Delay every chunk by so many seconds, in both directions."""
        self._latency_s = latency_s

    def trickle(self, n_bytes: int, tick_s: float) -> None:
        """Forward so many bytes per ``tick_s``, on each connection and in each direction."""
        self._chunk, self._tick_s = n_bytes, tick_s

    def cut(self) -> None:
        """Reset all connections and accept no new one."""
        self._is_cut = True
        self.reset()

    def reset(self) -> None:
        """Reset all connections; new ones are accepted."""
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        """Forward again: silenced bytes arrive, and new connections are accepted.

        Connections that have lost bytes are useless: they are reset.
        """
        if self._loses:
            self.reset()
        self._is_cut = False
        self._loses = frozenset()
        self._latency_s = 0.0
        self._chunk, self._tick_s = _CHUNK, 0.0
        for sound in self._sound.values():
            sound.set()

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
        try:
            behind = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        except OSError:
            # No server is there: the client gets a reset, as from a network.
            writer.transport.abort()
            return
        if self._is_cut:
            writer.transport.abort()
            behind[1].transport.abort()
            return
        self._ends |= {writer, behind[1]}
        self._carry_on(reader, behind[1], "asked")
        self._carry_on(behind[0], writer, "answered")

    def _carry_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: Direction
    ) -> None:
        task = asyncio.get_running_loop().create_task(self._carry(source, sink, direction))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: Direction
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(self._chunk):
                if self._tick_s or self._latency_s:
                    await asyncio.sleep(self._tick_s + self._latency_s)
                await self._sound[direction].wait()
                if direction in self._loses:
                    continue
                sink.write(chunk)
                await sink.drain()
        self._ends.discard(sink)
        sink.transport.abort()


@asynccontextmanager
async def cable_to(url: str) -> AsyncIterator[Cable]:
    """Yield a cable to the server of ``url``."""
    cable = Cable(url)
    await cable.lay()
    try:
        yield cable
    finally:
        await cable.remove()
