"""GET /v1/stream: what is told, how often, and how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from gateway.web.stream import LiveStream
from tests.support.site import Site
from tests.web.support import Wire, order_bytes


@pytest.fixture
def streams(site: Site, monkeypatch: pytest.MonkeyPatch) -> LiveStream:
    """The handler that serves the route, in a hurry."""
    (route,) = (r for r in site.server._router.routes if r.name == "stream")
    handler: LiveStream = route.handler.__self__  # type: ignore[attr-defined]
    monkeypatch.setattr(handler, "_every_s", 0.02)
    return handler


@pytest.fixture
async def opened(wire: Wire, streams: LiveStream) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(wire.request("GET", "/v1/stream"))
    await reader.readuntil(b"\r\n\r\n")
    yield reader
    writer.close()
    async with asyncio.timeout(5):
        while streams.running:
            await asyncio.sleep(0.01)


async def event(reader: asyncio.StreamReader) -> dict[str, str]:
    """Read the next event, which is a chunk of its own."""
    async with asyncio.timeout(5):
        while True:
            size = int(await reader.readline(), 16)
            text = (await reader.readexactly(size + 2)).decode().strip()
            lines = dict(line.split(": ", 1) for line in text.splitlines())
            if not size or "data" in lines:
                return lines


async def test_counters_are_told_as_they_grow(opened: asyncio.StreamReader, wire: Wire) -> None:
    first = json.loads((await event(opened))["data"])
    await wire.submit(order_bytes())
    for number in range(2, 200):
        told = await event(opened)
        assert told["id"] == str(number)
        data = json.loads(told["data"])
        if data["totals"]["orders"]["placed"] == first["totals"]["orders"]["placed"] + 1:
            break
    else:
        raise AssertionError("the order was never counted")
    assert data["per_s"]["orders"]["placed"] >= 1
    assert set(data["dark"]) == {"1", "2", "3", "4"}


async def test_it_says_when_it_goes_dark_and_ends(opened: asyncio.StreamReader, site: Site) -> None:
    await event(opened)
    breaker = site.gateway.overload.tiers[4]
    breaker.state, breaker.share = "open", 1.0
    while (told := await event(opened))["event"] == "tick":
        pass
    assert told["event"] == "dark"
    assert int(told["retry"]) >= 10_000
    assert (await opened.readexactly(5)) == b"0\r\n\r\n"


async def test_a_client_that_leaves_gives_its_place_back(wire: Wire, streams: LiveStream) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(wire.request("GET", "/v1/stream"))
    await reader.readuntil(b"\r\n\r\n")
    await event(reader)
    assert streams.running == 1
    writer.transport.abort()
    async with asyncio.timeout(5):
        while streams.running:
            await asyncio.sleep(0.01)


async def test_only_so_many_are_open_at_once(wire: Wire, streams: LiveStream) -> None:
    streams.running += 50
    try:
        answer = await wire.ask("GET", "/v1/stream")
    finally:
        streams.running -= 50
    assert (answer.status, answer.headers["retry-after"]) == (503, "15")


async def test_streams_end_with_the_process(
    opened: asyncio.StreamReader, streams: LiveStream, site: Site
) -> None:
    await event(opened)
    streams._stopping.set()
    async with asyncio.timeout(5):
        await site.server.drain()
    assert b"0\r\n\r\n" in await opened.read()


async def test_it_holds_no_slot(opened: asyncio.StreamReader, site: Site) -> None:
    await event(opened)
    assert site.gateway.overload.slots.in_use == 0


async def test_a_head_request_opens_nothing(wire: Wire, streams: LiveStream) -> None:
    answer = await wire.ask("HEAD", "/v1/stream")
    assert (answer.status, answer.body) == (200, b"")
    assert streams.running == 0


@pytest.mark.parametrize(("share", "pauses"), [(0.0, 1), (0.5, 10)])
async def test_while_it_goes_dark_it_tells_ten_times_more_seldom(
    streams: LiveStream, site: Site, share: float, pauses: int
) -> None:
    breaker = site.gateway.overload.tiers[4]
    breaker.state, breaker.share = "shedding" if share else "closed", share
    pieces = streams._events()
    assert (await anext(pieces)).startswith(b"retry:")
    assert b"event: tick" in await anext(pieces)
    found = [await anext(pieces) for _ in range(pauses + 1)]
    assert found[:-1] == [b""] * pauses
    assert b"event: tick" in found[-1]
    await pieces.aclose()
