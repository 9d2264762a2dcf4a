"""GET /v1/stream: its events, their interval, and how it ends."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import jsonschema_rs
import msgspec
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest
import requests

from gateway.overload.heartbeats import EXPIRES_S
from gateway.overload.snapshot import TierSnapshot
from gateway.runtime.settings import Settings
from gateway.stores.redis.process_states import ProcessStates, Published
from gateway.web.handlers.stream import StreamHandler
from ops.harness.ports import free_port
from tests.ops.test_load import process
from tests.support.patience import HANG_S
from tests.support.processes import Processes
from tests.support.site import Site
from tests.support.valkey_cluster import Server, server_in
from tests.web.support import Wire, order_bytes


@pytest.fixture
def streams(site: Site, monkeypatch: pytest.MonkeyPatch) -> StreamHandler:
    """The handler that serves the route, with a short interval."""
    (route,) = (r for r in site.server._router.routes if r.name == "stream")
    handler: StreamHandler = route.handler.__self__  # type: ignore[attr-defined]
    monkeypatch.setattr(handler, "_interval_s", 0.02)
    return handler


@pytest.fixture
async def opened(wire: Wire, streams: StreamHandler) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(wire.request("GET", "/v1/stream"))
    await reader.readuntil(b"\r\n\r\n")
    yield reader
    writer.close()
    async with asyncio.timeout(HANG_S):
        while streams.running:
            await asyncio.sleep(0.01)


async def event(reader: asyncio.StreamReader) -> dict[str, str]:
    """Read the next event, which is a chunk of its own."""
    async with asyncio.timeout(HANG_S):
        while True:
            size = int(await reader.readline(), 16)
            text = (await reader.readexactly(size + 2)).decode().strip()
            lines = dict(line.split(": ", 1) for line in text.splitlines())
            if not size or "data" in lines:
                return lines


async def test_counters_are_sent_as_they_grow(opened: asyncio.StreamReader, wire: Wire) -> None:
    first = json.loads((await event(opened))["data"])
    await wire.submit(order_bytes())
    for number in range(2, 200):
        received = await event(opened)
        assert received["id"] == str(number)
        data = json.loads(received["data"])
        if data["totals"]["orders"]["placed"] == first["totals"]["orders"]["placed"] + 1:
            break
    else:
        raise AssertionError("the order was never counted")
    assert data["per_s"]["orders"]["placed"] >= 1
    assert set(data["shed"]) == {"1", "2", "3", "4"}
    assert data["dark"] == data["shed"], "its earlier name"


async def test_it_ends_with_an_event_when_it_is_shed(
    opened: asyncio.StreamReader, site: Site
) -> None:
    await event(opened)
    breaker = site.gateway.admission.breakers[4]
    breaker.state, breaker.share = "shedding_all", 1.0
    while (received := await event(opened))["event"] == "tick":
        pass
    assert received["event"] == "shed"
    assert int(received["retry"]) >= 10_000
    assert (await event(opened))["event"] == "dark", "its earlier name"
    assert (await opened.readexactly(5)) == b"0\r\n\r\n"


async def test_a_client_that_leaves_gives_its_place_back(
    wire: Wire, streams: StreamHandler
) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(wire.request("GET", "/v1/stream"))
    await reader.readuntil(b"\r\n\r\n")
    await event(reader)
    assert streams.running == 1
    writer.transport.abort()
    async with asyncio.timeout(HANG_S):
        while streams.running:
            await asyncio.sleep(0.01)


async def test_concurrent_streams_have_a_limit(wire: Wire, streams: StreamHandler) -> None:
    streams.running += 50
    try:
        answer = await wire.ask("GET", "/v1/stream")
    finally:
        streams.running -= 50
    assert (answer.status, answer.headers["retry-after"]) == (503, "15")


async def test_streams_end_with_the_process(
    opened: asyncio.StreamReader, streams: StreamHandler, site: Site
) -> None:
    await event(opened)
    streams._stopping.set()
    async with asyncio.timeout(HANG_S):
        await site.server.drain()
    assert b"0\r\n\r\n" in await opened.read()


async def test_it_holds_no_slot(opened: asyncio.StreamReader, site: Site) -> None:
    await event(opened)
    assert site.gateway.admission.concurrency.in_use == 0


async def test_a_head_request_opens_nothing(wire: Wire, streams: StreamHandler) -> None:
    answer = await wire.ask("HEAD", "/v1/stream")
    assert (answer.status, answer.body) == (200, b"")
    assert streams.running == 0


@pytest.mark.parametrize(("share", "pauses"), [(0.0, 1), (0.5, 10)])
async def test_while_partially_shed_it_sends_a_tenth_of_the_events(
    streams: StreamHandler, site: Site, share: float, pauses: int
) -> None:
    breaker = site.gateway.admission.breakers[4]
    breaker.state, breaker.share = "shedding_some" if share else "admitting", share
    pieces = streams._events()
    assert (await anext(pieces)).startswith(b"retry:")
    assert b"event: tick" in await anext(pieces)
    found = [await anext(pieces) for _ in range(pauses + 1)]
    assert found[:-1] == [b""] * pauses
    assert b"event: tick" in found[-1]
    await pieces.aclose()


@pytest.fixture
async def two_states(settings: Settings, streams: StreamHandler) -> AsyncIterator[ProcessStates]:
    """Two processes publish their state through the real Valkey."""
    states = ProcessStates(url=settings.redis_url, call_s=2.0, expires_s=EXPIRES_S)
    shed = [TierSnapshot(tier, "shedding_all", 1.0) for tier in (3, 4)]
    one = process(pid=1, load=0.2, back=0.1, waiting=3, accepted_per_s=10.0)
    other = process(
        pid=2, role="query", load=0.9, back=0.7, signal="dbpool", tiers=shed, waiting=4,
        accepted_per_s=20.0, rejected_per_s={"4": 5.0},
    )  # fmt: skip
    for n, each in enumerate((one, other)):
        await states.publish(f"p{n}", back=each.back, state=msgspec.json.encode(each))
    yield states
    await states.close()


def counted(streams: StreamHandler, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return when the states are read, from now on."""
    states, reads = streams._cluster._states, []  # type: ignore[attr-defined]
    published = states.published

    async def noting() -> Sequence[Published]:
        reads.append(time.monotonic())
        found: Sequence[Published] = await published()
        return found

    monkeypatch.setattr(states, "published", noting)
    return reads


async def test_each_event_has_the_cluster_view(
    two_states: ProcessStates, opened: asyncio.StreamReader
) -> None:
    data = json.loads((await event(opened))["data"])
    assert data["pid"] == os.getpid(), "what it knows itself is there as before"
    gateway = data["gateway"]
    assert gateway["summary"] == {
        "processes": 2, "load_highest": 0.9, "front_p75": 0.42, "back_worst": 0.7,
        "accepted_per_s": 30.0, "refused_per_s": 17.0, "waiting": 7,
        "refused_per_s_by_tier": {"0": 0.0, "1": 0.0, "2": 5.0, "3": 7.0, "4": 5.0},
        "shed": {"0": 0.0, "1": 0.0, "2": 0.0, "3": 1.0, "4": 1.0},
        "dark": {"0": 0.0, "1": 0.0, "2": 0.0, "3": 1.0, "4": 1.0},
    }  # fmt: skip
    first, second = gateway["processes"]
    assert [first[name] for name in ("pid", "role", "load")] == [1, "all", 0.2]
    assert not {"host", "port"} & set(first), "where it runs is for operators alone"
    assert [second[name] for name in ("pid", "role", "signal")] == [2, "query", "dbpool"]
    assert (second["accepted_per_s"], second["refused_per_s"]) == (20.0, 5.0)
    assert (gateway["more"], gateway["unreadable"]) == (0, 0)


async def test_states_are_read_once_a_second_for_all_streams_and_only_while_one_is_open(
    two_states: ProcessStates, streams: StreamHandler, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = counted(streams, monkeypatch)
    assert (await wire.ask("HEAD", "/v1/stream")).status == 200
    assert reads == []
    opened = [await asyncio.open_connection(wire.host, wire.port) for _ in range(10)]
    began_s = time.monotonic()
    for reader, writer in opened:
        writer.write(wire.request("GET", "/v1/stream"))
        await reader.readuntil(b"\r\n\r\n")
    while time.monotonic() < began_s + 1.5:
        for reader, _ in opened:
            assert json.loads((await event(reader))["data"])["gateway"] is not None
    # One per second, and not ten.
    # However slow the machine is, there are no more; on a slow one there may be fewer.
    assert 1 <= len(reads) <= 1 + (time.monotonic() - began_s)
    assert all(later - earlier >= 0.99 for earlier, later in pairwise(reads))
    for _, writer in opened:
        writer.transport.abort()
    async with asyncio.timeout(HANG_S):
        while streams.running:
            await asyncio.sleep(0.01)
    read = len(reads)
    await asyncio.sleep(1.2)
    assert len(reads) == read


async def test_an_event_is_as_documented(
    two_states: ProcessStates, opened: asyncio.StreamReader, wire: Wire
) -> None:
    document = (await wire.ask("GET", "/openapi.json")).json
    content = document["paths"]["/v1/stream"]["get"]["responses"]["200"]["content"]
    item = content["text/event-stream"]["x-itemSchema"]["properties"]["data"]
    assert item["contentMediaType"] == "application/json"
    bundle = {"components": document["components"], "allOf": [item["contentSchema"]]}
    validator = jsonschema_rs.Draft202012Validator(bundle)
    data = json.loads((await event(opened))["data"])
    assert [str(error) for error in validator.iter_errors(data)] == []
    assert validator.is_valid(data | {"gateway": None})
    assert not validator.is_valid({name: data[name] for name in data if name != "gateway"})


class TestWithoutRedis:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, redis_url="", journal_url="")

    async def test_there_is_no_cluster_view(self, opened: asyncio.StreamReader) -> None:
        for _ in range(2):
            data = json.loads((await event(opened))["data"])
            assert data["gateway"] is None
            assert data["pid"] == os.getpid()


class TestAway:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        with server_in(tmp_path) as server:
            yield server

    @pytest.fixture
    def settings(self, settings: Settings, server: Server) -> Settings:
        return msgspec.structs.replace(settings, redis_url=server.url)

    async def test_an_unreachable_or_silent_redis_stops_no_stream(
        self, two_states: ProcessStates, opened: asyncio.StreamReader, server: Server
    ) -> None:
        async def until(is_null: bool) -> None:
            async with asyncio.timeout(HANG_S):
                while True:
                    data = json.loads((await event(opened))["data"])
                    if (data["gateway"] is None) is is_null:
                        break

        await until(False)
        with server.frozen():
            await until(True)
        await until(False)
        server.kill()
        await until(True)
        server.start()
        await until(False)


def test_every_process_has_all_of_them(processes: Processes) -> None:
    port = free_port()
    parent = processes.serve(port=port, count=2)
    token = asyncio.run(processes.make_token("query"))
    children = {each.pid for each in psutil.Process(parent.pid).children()}
    headers = {"Authorization": f"Bearer {token}"}
    with requests.get(
        f"http://127.0.0.1:{port}/v1/stream", headers=headers, stream=True, timeout=HANG_S
    ) as answer:
        deadline_s = time.monotonic() + HANG_S
        for line in answer.iter_lines():
            assert time.monotonic() < deadline_s
            if not line.startswith(b"data: "):
                continue
            data = json.loads(line.removeprefix(b"data: "))
            gateway = data["gateway"]
            if gateway is not None and gateway["summary"]["processes"] == 2:
                break
    assert {each["pid"] for each in gateway["processes"]} == children
    assert data["pid"] in children
    assert all(each["age_s"] < EXPIRES_S for each in gateway["processes"])
