"""The cable does what it says: a proof over a sound one would prove nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.cable import Cable, cable_to

_BOUND_S = 5.0
#: Seconds after which what has not come is taken not to come.
_NOTHING_S = 0.1


class Line:
    """One connection over a cable to a server that says again what it hears."""

    def __init__(
        self, cable: Cable, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.cable = cable
        self._reader = reader
        self._writer = writer

    def say(self, words: bytes) -> None:
        self._writer.write(words)

    async def hears(self, words: bytes) -> None:
        async with asyncio.timeout(_BOUND_S):
            assert await self._reader.readexactly(len(words)) == words

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(_NOTHING_S):
                await self._reader.read(1)

    async def is_reset(self) -> None:
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(_BOUND_S):
                assert not await self._reader.read(1)
                raise ConnectionResetError


@asynccontextmanager
async def line(heard: list[bytes]) -> AsyncIterator[Line]:
    """Lend a line; ``heard`` is what the server at its end got."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while words := await reader.read(1 << 16):
            heard.append(words)
            writer.write(words)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with cable_to(f"redis://:pw@127.0.0.1:{port}/0") as cable:
        own = int(cable.url.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", own)
        yield Line(cable, reader, writer)
        writer.transport.abort()
    server.close()


async def test_a_sound_cable_carries_everything_both_ways() -> None:
    async with line([]) as wire:
        assert wire.cable.url.startswith("redis://:pw@127.0.0.1:")
        wire.say(b"x" * 300_000)
        await wire.hears(b"x" * 300_000)


async def test_what_was_silenced_arrives_when_it_is_mended() -> None:
    heard: list[bytes] = []
    async with line(heard) as wire:
        wire.cable.silence()
        wire.say(b"one")
        await wire.hears_nothing()
        assert heard == []
        wire.cable.mend()
        await wire.hears(b"one")


async def test_silence_in_one_direction_leaves_the_other() -> None:
    heard: list[bytes] = []
    async with line(heard) as wire:
        wire.cable.silence("answered")
        wire.say(b"one")
        await wire.hears_nothing()
        assert heard == [b"one"]


async def test_a_connection_that_lost_an_answer_ends_when_it_is_mended() -> None:
    heard: list[bytes] = []
    async with line(heard) as wire:
        wire.cable.lose_answers()
        wire.say(b"one")
        await wire.hears_nothing()
        assert heard == [b"one"]
        wire.cable.mend()
        await wire.is_reset()


async def test_a_cut_ends_connections_and_takes_no_new_one() -> None:
    async with line([]) as wire:
        wire.cable.cut()
        await wire.is_reset()
        port = int(wire.cable.url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(ConnectionError):
            reader, _ = await asyncio.open_connection("127.0.0.1", port)
            assert not await reader.read(1)
            raise ConnectionResetError


async def test_a_trickle_carries_so_many_bytes_a_tick() -> None:
    async with line([]) as wire:
        wire.cable.trickle(4, 0.01)
        # The read that waits already takes all of the first message at once.
        wire.say(b"first")
        await wire.hears(b"first")
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        wire.say(b"x" * 64)
        await wire.hears(b"x" * 64)
        assert loop.time() - began_s >= 0.16


async def test_a_slow_cable_holds_every_piece() -> None:
    async with line([]) as wire:
        wire.cable.slow(0.05)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        wire.say(b"one")
        await wire.hears(b"one")
        assert loop.time() - began_s >= 0.1
