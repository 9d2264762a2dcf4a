"""Clients that are slow, disconnect, or never read: what they hold is bounded and released."""

import asyncio
import contextlib
import gc
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import asyncpg
import msgspec
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest
from prometheus_client import REGISTRY

from gateway.runtime.settings import Settings
from ops.harness.ports import free_port
from tests.support.patience import HANG_S, until
from tests.support.processes import Processes
from tests.support.site import Site
from tests.web.support import Wire, check, order_bytes, read_answer

#: How long the gateway waits for a client. Short, so that the tests are; and longer than any test,
#: for those in which it must not run out.
PATIENCE_S = 0.5
ENDLESS_S = 2 * HANG_S
CONNECTIONS_MAX = 230
MIB = 1 << 20


@pytest.fixture
def patience_s() -> float:
    return PATIENCE_S


@pytest.fixture
def settings(settings: Settings, patience_s: float) -> Settings:
    return msgspec.structs.replace(
        settings, keepalive_s=patience_s, body_s=patience_s, connections_max=CONNECTIONS_MAX
    )


@pytest.fixture(autouse=True)
async def _nothing_is_left(site: Site) -> AsyncIterator[None]:
    """After each test no connection, task or order in flight is left, whatever its clients did."""
    gc.collect()
    before = {task.get_name() for task in asyncio.all_tasks()}
    yield
    await until(lambda: len(site.server.connections) == 0)
    await until(lambda: site.gateway.committer.waiting == 0)
    assert site.gateway.intake._in_flight == {}
    await until(lambda: _strays(before) == [])


def _strays(before: set[str]) -> list[str]:
    return [
        repr(task)
        for task in asyncio.all_tasks()
        if task.get_name() not in before and "RequestHandler" in repr(task)
    ]


async def _closed(reader: asyncio.StreamReader) -> None:
    """Wait until the gateway closes a connection."""
    async with asyncio.timeout(HANG_S):
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass


def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Reset a connection, as when a client crashes."""
    kernel = writer.get_extra_info("socket")
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_an_incomplete_head_closes_the_connection(wire: Wire, sent: bytes) -> None:
    began_s = time.monotonic()
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(sent)

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            while sent:
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    await _closed(reader)
    dripping.cancel()
    writer.close()
    assert time.monotonic() - began_s > PATIENCE_S * 0.8


async def test_keep_alive_timeouts_are_spread(site: Site) -> None:
    kept_s = sorted(site.server()._keepalive_timeout for _ in range(100))
    assert kept_s[0] >= PATIENCE_S
    assert kept_s[-1] <= 1.25 * PATIENCE_S
    # Evenly: a hundredth of the quarter lies between two, and nowhere three times as much.
    apart_s = [later - earlier for earlier, later in pairwise(kept_s)]
    assert max(apart_s) < 3 * 0.0025 * PATIENCE_S


async def test_an_idle_connection_is_closed(wire: Wire) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    began_s = time.monotonic()
    writer.write(wire.request("GET", "/healthz"))
    answer = await read_answer(reader)
    assert answer is not None
    assert answer.status == 200
    await _closed(reader)
    assert time.monotonic() - began_s > PATIENCE_S * 0.8
    writer.close()


@pytest.mark.parametrize("how", ["length", "chunks", "compressed"])
async def test_a_slow_body_gets_408_and_the_connection_ends(wire: Wire, how: str) -> None:
    headers = [("Content-Length", "5000")]
    piece = b" "
    if how == "chunks":
        headers, piece = [("Transfer-Encoding", "chunked")], b"1\r\n \r\n"
    elif how == "compressed":
        headers.append(("Content-Encoding", "gzip"))
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(wire.request("POST", "/v1/orders", None, headers))

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(HANG_S):
        answer = await read_answer(reader)
    assert answer is not None
    assert check(answer).status == 408
    assert answer.headers["connection"] == "close"
    # It reads on for a second, so that the response is not lost, and not for as long as it comes.
    await _closed(reader)
    dripping.cancel()
    writer.close()


async def test_an_unauthorised_client_is_closed_while_it_sends_slowly(wire: Wire) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(
        wire.request("POST", "/v1/orders", b"{", [("Content-Length", "5000")], has_length=False,
                     has_key=False)
    )  # fmt: skip
    answer = await read_answer(reader)
    assert answer is not None
    assert answer.status == 401
    await _closed(reader)
    writer.close()


async def test_a_disconnect_within_a_request_leaks_nothing(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    failures = _failures()
    body = order_bytes()
    whole = wire.request("POST", "/v1/orders", body)
    counted = "SELECT count(*) FROM orders"
    before = await ledger.fetchval(counted)
    for end in (0, 1, 20, len(whole) - len(body), len(whole) - len(body) // 2, len(whole) - 1):
        for leave in (_hang_up, asyncio.StreamWriter.close):
            _, writer = await asyncio.open_connection(wire.host, wire.port)
            writer.write(whole[:end])
            await writer.drain()
            await asyncio.sleep(0.01)
            leave(writer)
    await asyncio.sleep(0.05)
    assert await ledger.fetchval(counted) == before
    # A client that disconnects is not an error of the gateway, and must raise no alert.
    assert _failures() == failures


def _failures() -> float:
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        if metric.name == "tidegate_requests"
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["status"] in ("500", "504")
    )


async def test_an_order_whose_client_left_is_committed_at_most_once(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    bodies = [order_bytes() for _ in range(20)]
    async with ledger.acquire() as connection, connection.transaction():
        # No order can be placed meanwhile: every client disconnects before its response.
        await connection.execute("LOCK TABLE orders IN SHARE MODE")
        for n, body in enumerate(bodies):
            _, writer = await asyncio.open_connection(wire.host, wire.port)
            writer.write(wire.request("POST", "/v1/orders", body))
            await writer.drain()
            await asyncio.sleep(0.01)
            (_hang_up if n % 2 else asyncio.StreamWriter.close)(writer)
        await asyncio.sleep(0.05)
    for body in bodies:
        again = await wire.submit(body)
        assert again.status in (200, 201)
        stored = "SELECT count(*) FROM orders WHERE order_no = $1"
        assert await ledger.fetchval(stored, json.loads(body)["order_no"]) == 1


def _unreading_client(site: Site) -> socket.socket:
    """Connect with a small receive buffer, which is never read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((site.host, site.port))
    client.setblocking(False)
    return client


async def test_a_client_that_never_reads_is_disconnected(site: Site, wire: Wire) -> None:
    client = _unreading_client(site)
    asking = wire.request("GET", "/openapi.json") * 400
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(1):
            await asyncio.get_running_loop().sock_sendall(client, asking)
    await until(lambda: len(site.server.connections) == 0)
    client.close()


GZIP = [("Accept-Encoding", "gzip")]


@pytest.mark.parametrize("last", ["keep-alive", "close"])
async def test_a_client_that_never_reads_the_last_response_is_disconnected(
    site: Site, wire: Wire, last: str
) -> None:
    client = _unreading_client(site)
    loop = asyncio.get_running_loop()
    unread = 0
    for _ in range(2000):
        # Compressed: one answer is less than what a handler waits for.
        await loop.sock_sendall(client, wire.request("GET", "/openapi.json", headers=GZIP))
        await asyncio.sleep(0.005)
        (transport,) = _transports(site)
        if unread := transport.get_write_buffer_size():
            break
    # Less than what makes a handler wait for the client.
    assert 0 < unread < 64 * 1024
    if last == "close":
        await loop.sock_sendall(
            client, wire.request("GET", "/healthz", headers=[("Connection", "close")])
        )
    await until(lambda: len(site.server.connections) == 0)
    client.close()


def _transports(site: Site) -> list[Any]:
    return [handler.transport for handler in site.server.connections]


@pytest.mark.parametrize("patience_s", [ENDLESS_S])
async def test_connections_are_limited(site: Site, wire: Wire) -> None:
    held = [await asyncio.open_connection(wire.host, wire.port) for _ in range(CONNECTIONS_MAX)]
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    await _closed(reader)
    writer.close()
    first_reader, first_writer = held[0]
    first_writer.write(wire.request("GET", "/healthz"))
    answer = await read_answer(first_reader)
    assert answer is not None
    assert answer.status == 200
    for _, writer in held[1:]:
        _hang_up(writer)
    await until(lambda: len(site.server.connections) == 1)
    assert (await wire.ask("GET", "/healthz")).status == 200
    first_writer.close()


@pytest.mark.parametrize("patience_s", [ENDLESS_S])
async def test_200_half_open_clients_cost_little_and_delay_no_order(wire: Wire) -> None:
    rss = psutil.Process().memory_info
    await wire.submit(order_bytes())
    before = rss().rss
    half = wire.request("POST", "/v1/orders", None, [("X-Long", "a" * 4000)])[:-2]
    held = []
    for _ in range(200):
        reader, writer = await asyncio.open_connection(wire.host, wire.port)
        writer.write(half)
        held.append((reader, writer))
    # Answered although none of them gets any further, or ends.
    assert (await wire.submit(order_bytes())).status == 201
    assert not any(reader.at_eof() for reader, _ in held)
    assert rss().rss - before < 20 * MIB
    for _, writer in held:
        _hang_up(writer)


async def test_open_connections_are_summed_over_processes(processes: Processes) -> None:
    port = free_port()
    processes.environment["TIDEGATE_KEEPALIVE_S"] = "5"
    processes.serve(port=port, count=2)
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
    # What the kernel has queued for a process is counted once that process accepts it.
    async with asyncio.timeout(HANG_S):
        while (count := await _counted(port)) < 12:
            await asyncio.sleep(0.05)
    assert count < 20
    for _, writer in held:
        writer.close()


async def _counted(port: int) -> float:
    answer = await Wire("127.0.0.1", port, "").ask("GET", "/metrics", has_key=False)
    (line,) = (li for li in answer.body.splitlines() if li.startswith(b"tidegate_connections "))
    return float(line.split()[1])
