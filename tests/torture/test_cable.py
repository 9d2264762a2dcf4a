"""The cable really disturbs: a proof over one that does not would prove nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.cable import Cable, cable_to

_BOUND_S = 5.0
#: Seconds without data after which none is expected.
_NOTHING_S = 0.1


class Line:
    """One connection through a cable to an echo server."""

    def __init__(
        self, cable: Cable, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.cable = cable
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def receives(self, data: bytes) -> None:
        async with asyncio.timeout(_BOUND_S):
            assert await self._reader.readexactly(len(data)) == data

    async def receives_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(_NOTHING_S):
                await self._reader.read(1)

    async def is_reset(self) -> None:
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(_BOUND_S):
                assert not await self._reader.read(1)
                raise ConnectionResetError


@asynccontextmanager
async def line(received: list[bytes]) -> AsyncIterator[Line]:
    """Yield a line; ``received`` are the chunks that its server received."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            received.append(data)
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with cable_to(f"redis://:pw@127.0.0.1:{port}/0") as cable:
        own = int(cable.url.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", own)
        yield Line(cable, reader, writer)
        writer.transport.abort()
    server.close()


async def test_an_undisturbed_cable_forwards_everything_both_ways() -> None:
    async with line([]) as wire:
        assert wire.cable.url.startswith("redis://:pw@127.0.0.1:")
        wire.send(b"x" * 300_000)
        await wire.receives(b"x" * 300_000)


async def test_silenced_bytes_arrive_after_mend() -> None:
    received: list[bytes] = []
    async with line(received) as wire:
        wire.cable.silence()
        wire.send(b"one")
        await wire.receives_nothing()
        assert received == []
        wire.cable.mend()
        await wire.receives(b"one")


async def test_silence_in_one_direction_does_not_affect_the_other() -> None:
    received: list[bytes] = []
    async with line(received) as wire:
        wire.cable.silence("answered")
        wire.send(b"one")
        await wire.receives_nothing()
        assert received == [b"one"]


async def test_a_connection_that_lost_bytes_is_reset_by_mend() -> None:
    received: list[bytes] = []
    async with line(received) as wire:
        wire.cable.lose_answers()
        wire.send(b"one")
        await wire.receives_nothing()
        assert received == [b"one"]
        wire.cable.mend()
        await wire.is_reset()


async def test_a_cut_resets_connections_and_accepts_no_new_one() -> None:
    async with line([]) as wire:
        wire.cable.cut()
        await wire.is_reset()
        port = int(wire.cable.url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(ConnectionError):
            reader, _ = await asyncio.open_connection("127.0.0.1", port)
            assert not await reader.read(1)
            raise ConnectionResetError


async def test_a_trickle_forwards_a_few_bytes_per_tick() -> None:
    async with line([]) as wire:
        wire.cable.trickle(4, 0.01)
        # The pending read still has the old chunk size, and takes the first message whole.
        wire.send(b"first")
        await wire.receives(b"first")
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        wire.send(b"x" * 64)
        await wire.receives(b"x" * 64)
        assert loop.time() - began_s >= 0.16


async def test_a_slow_cable_delays_every_chunk() -> None:
    async with line([]) as wire:
        wire.cable.slow(0.05)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        wire.send(b"one")
        await wire.receives(b"one")
        assert loop.time() - began_s >= 0.1
