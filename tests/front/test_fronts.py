"""What both fronts promise: routing, early rejection, and that no request is sent twice."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import asyncpg
import orjson
import pytest

from loadtest import orders, sending
from loadtest.history import History
from loadtest.orders import order_bytes
from ops.harness.ports import free_port
from tests.front.conftest import Gateways
from tests.support import fronts
from tests.support.fronts import Kind, Limits
from tests.support.patience import HANG_S
from tests.support.payers import Payers
from tests.web.support import Answer, Wire, read_answer

LIMITS = Limits(core=8, reserved=4, queued=4, query=4)


@contextmanager
def frozen(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a gateway: requests to it stay in flight."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def key(gateways: Gateways) -> dict[str, str]:
    return {"Authorization": f"Bearer {gateways.token}", "Content-Type": "application/json"}


def is_problem(response: aiohttp.ClientResponse, status: int, kind: str, body: bytes) -> bool:
    assert response.status == status, (response.status, body)
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = orjson.loads(body)
    assert problem["status"] == status
    if status == 503:
        assert 1 <= int(response.headers["Retry-After"]) <= 3
    return bool(problem["type"] == f"/problems/{kind}")


async def test_orders_and_callbacks_go_to_core_and_all_else_to_query(
    gateways: Gateways, session: aiohttp.ClientSession, payers: Payers
) -> None:
    history = History()
    account, channel = payers.pick(0)
    with gateways.fronted() as url:
        sender = sending.Sender(session, token=gateways.token, url=url)
        order = sending.order(orders.order(1, prefix="front", channel=channel), history)
        placed = await sender.send(order)
        assert placed.status == 201
        payment = sending.payment(order.sent, account, history, amount=order.sent.payable)
        assert (await sender.send(payment)).is_promise
        async with asyncio.timeout(HANG_S):
            while (read := await get(session, f"{url}/v1/orders/{placed.id}", gateways))[0] == 404:
                await asyncio.sleep(0.05)
        assert (read[0], orjson.loads(read[1])["status"]) == (200, "paid")
        for path in ("/v1/orders?limit=1", f"/v1/orders/{placed.id}/events"):
            assert (await get(session, url + path, gateways))[0] == 200
        known = orjson.loads((await get(session, f"{url}/openapi.json", gateways))[1])["paths"]
        assert "/v1/callbacks/stripe/{account}" in known
        assert (await get(session, f"{url}/docs", gateways))[0] == 200
        assert (await get(session, f"{url}/metrics", gateways))[0] == 404
        assert (await get(session, f"{url}/readyz", gateways))[0] == 200
        async with session.delete(f"{url}/v1/orders", headers=key(gateways)) as response:
            assert response.status == 405
    # No gateway got a request of the other role.
    for port in (gateways.core_port, gateways.query_port):
        _, figures = await get(session, f"http://127.0.0.1:{port}/metrics", gateways)
        misdirected = rb'requests_total{route="[^"]+",status="421"} [1-9]'
        assert not re.search(misdirected, figures)


async def get(session: aiohttp.ClientSession, url: str, gateways: Gateways) -> tuple[int, bytes]:
    async with session.get(url, headers=key(gateways)) as answer:
        return answer.status, await answer.read()


async def test_a_body_that_is_too_large_is_rejected_by_the_front(
    gateways: Gateways, session: aiohttp.ClientSession
) -> None:
    with gateways.fronted() as url, frozen(gateways.core):
        for path, size in (("/v1/orders", 256), ("/v1/callbacks/stripe/main", 64)):
            body = b" " * (size * 1024 + 1)
            async with session.post(url + path, data=body, headers=key(gateways)) as answer:
                assert is_problem(answer, 413, "too-large", await answer.read())


async def test_a_flood_of_lists_is_rejected_early_and_does_not_affect_core(
    gateways: Gateways, session: aiohttp.ClientSession
) -> None:
    with gateways.fronted(LIMITS) as url:
        with frozen(gateways.query):
            requests = [get(session, f"{url}/v1/orders", gateways) for _ in range(20)]
            lists = [asyncio.create_task(each) for each in requests]
            rejected = await first(lists, 20 - LIMITS.query)
            assert {status for status, _ in rejected} == {503}
            history = History()
            sender = sending.Sender(session, token=gateways.token, url=url)
            for n in range(20):
                placed = sending.order(orders.order(n, prefix="flooded"), history)
                assert (await sender.send(placed)).status == 201
            async with session.get(f"{url}/v1/orders", headers=key(gateways)) as answer:
                body = await answer.read()
                assert is_problem(answer, 503, problem_of(gateways.kind), body)
            admitted = [task for task in lists if not task.done()]
            assert len(admitted) == LIMITS.query
        # They are answered once it runs again.
        answers = await asyncio.gather(*admitted)
    assert [status for status, _ in answers] == [200] * LIMITS.query


def problem_of(kind: Kind) -> str:
    """The problem type of a full pool: nginx cannot distinguish it from an unavailable one."""
    return "overloaded" if kind == "haproxy" else "unavailable"


async def first(
    tasks: list["asyncio.Task[tuple[int, bytes]]"], wanted: int
) -> list[tuple[int, bytes]]:
    """Return the results of the first ``wanted`` tasks to end."""
    found = []
    async with asyncio.timeout(HANG_S):
        for ended in asyncio.as_completed(tasks):
            found.append(await ended)
            if len(found) == wanted:
                break
    return found


async def test_submissions_are_rejected_early_and_callbacks_have_headroom(
    gateways: Gateways,
    session: aiohttp.ClientSession,
    payers: Payers,
    ledger: "asyncpg.Pool[asyncpg.Record]",
) -> None:
    history = History()
    account, channel = payers.pick(0)

    async def submit(n: int) -> tuple[int, bytes]:
        body = orjson.dumps(orders.order(n, prefix="limit", channel=channel))
        async with session.post(f"{url}/v1/orders", data=body, headers=key(gateways)) as response:
            content = await response.read()
            assert response.status != 503 or is_problem(
                response, 503, problem_of(gateways.kind), content
            )
            return response.status, content

    limit = LIMITS.core - LIMITS.reserved
    with gateways.fronted(LIMITS) as url:
        sender = sending.Sender(session, token=gateways.token, url=url)
        with frozen(gateways.core):
            sent = [asyncio.create_task(submit(n)) for n in range(20)]
            rejected = await first(sent, 20 - limit)
            assert {status for status, _ in rejected} == {503}
            # Core is full for submissions; callbacks are still admitted, and wait there.
            paid = []
            for n in range(LIMITS.reserved):
                order = sending.order(
                    orders.order(100 + n, prefix="limit", channel=channel), history
                )
                payment = sending.payment(order.sent, account, history, amount=order.sent.payable)
                paid.append(asyncio.create_task(sender.send(payment)))
            await asyncio.sleep(0.3)
            assert not any(task.done() for task in paid)
            # Beyond that a callback is rejected too, early.
            async with asyncio.timeout(HANG_S):
                assert (await sender.send(payment)).status == 503
            in_flight = [task for task in sent if not task.done()]
            assert len(in_flight) == limit
        assert [status for status, _ in await asyncio.gather(*in_flight)] == [201] * limit
        assert all(answer.is_promise for answer in await asyncio.gather(*paid))
    # What was rejected is not stored.
    assert await ledger.fetchval("SELECT count(*) FROM orders") == limit


async def test_a_client_that_disconnects_releases_its_slot(
    gateways: Gateways, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    with gateways.fronted(LIMITS) as url:
        wire = Wire("127.0.0.1", int(url.rpartition(":")[2]), gateways.token)
        json_ = [("Content-Type", "application/json")]
        for n in range(4 * LIMITS.core):
            whole = wire.request("POST", "/v1/orders", order_bytes(n, "hung"), json_)
            _, writer = await asyncio.open_connection(wire.host, wire.port)
            # Within its head, within its body, or as soon as all was sent.
            writer.write(whole[: (40, len(whole) - 50, len(whole))[n % 3]])
            await writer.drain()
            writer.transport.abort()
        async with asyncio.timeout(HANG_S):
            while True:
                placed = await wire.submit(order_bytes(1000, "hung"), json_)
                if placed.status in (200, 201):
                    break
                await asyncio.sleep(0.05)
    # Those that were sent whole may or may not be stored; none twice, and no other.
    count = await ledger.fetchval("SELECT count(*) FROM orders")
    assert 1 <= count <= 1 + 4 * LIMITS.core // 3
    events = await ledger.fetchval("SELECT count(*) FROM order_events")
    assert events == count


@asynccontextmanager
async def dropping(seen: list[bytes]) -> AsyncIterator[int]:
    """Yield the port of a server that reads one order per connection and closes it unanswered."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /readyz "):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            seen.append(head.partition(b"\r\n")[0])
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


async def test_an_order_that_may_have_been_accepted_is_not_sent_twice(
    front_kind: Kind, tmp_path: Path
) -> None:
    seen: list[bytes] = []
    async with dropping(seen) as one, dropping(seen) as two:
        with fronts.running(
            front_kind, core=[one, two], query=[free_port()], directory=tmp_path
        ) as port:
            wire = Wire("127.0.0.1", port, "tg_x")
            for path in ("/v1/orders", "/v1/callbacks/stripe/main"):
                seen.clear()
                answer = await post(wire, path)
                assert answer.status in (502, 503)
                assert answer.headers["content-type"] == "application/problem+json"
                assert int(answer.headers["retry-after"]) >= 1
                assert seen == [f"POST {path} HTTP/1.1".encode()]


async def post(wire: Wire, path: str) -> Answer:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(wire.request("POST", path, b"{}"))
    async with asyncio.timeout(HANG_S):
        answer = await read_answer(reader)
    writer.close()
    assert answer is not None
    return answer


async def test_a_failed_connection_is_retried_at_another_server(
    gateways: Gateways, session: aiohttp.ClientSession
) -> None:
    with fronts.running(
        gateways.kind,
        core=[free_port(), gateways.core_port],
        query=[free_port(), gateways.query_port],
        directory=gateways.directory,
    ) as port:
        url = f"http://127.0.0.1:{port}"
        history = History()
        sender = sending.Sender(session, token=gateways.token, url=url)
        for n in range(10):
            placed = sending.order(orders.order(n, prefix="elsewhere"), history)
            assert (await sender.send(placed)).status == 201
            assert (await get(session, f"{url}/v1/orders?limit=1", gateways))[0] == 200


async def test_reads_continue_without_core(
    gateways: Gateways, session: aiohttp.ClientSession
) -> None:
    gateways.core.kill()
    gateways.core.wait(HANG_S)
    with gateways.fronted() as url:
        async with session.post(f"{url}/v1/orders", data=b"{}", headers=key(gateways)) as answer:
            assert is_problem(answer, 503, "unavailable", await answer.read())
        assert (await get(session, f"{url}/v1/orders?limit=1", gateways))[0] == 200
        async with asyncio.timeout(HANG_S):
            while (await get(session, f"{url}/readyz", gateways))[0] != 503:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/callbacks/stripe/main"])
async def test_a_slow_body_takes_no_slot(gateways: Gateways, path: str) -> None:
    """A request whose body trickles in takes no slot: others get all of them meanwhile."""
    with gateways.fronted(LIMITS) as url:
        wire = Wire("127.0.0.1", int(url.rpartition(":")[2]), gateways.token)
        writers = []
        for _ in range(4 * LIMITS.core):
            _, writer = await asyncio.open_connection(wire.host, wire.port)
            writer.write(wire.request("POST", path, b"{" * 1000)[:-900])
            await writer.drain()
            writers.append(writer)
        placed = await wire.submit(order_bytes(1, "slow"), [("Content-Type", "application/json")])
        assert placed.status == 201
        for writer in writers:
            writer.transport.abort()
