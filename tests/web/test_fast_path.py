"""The fast path responds as the regular path does, in order, and to every submission."""

import asyncio
import json
import time
from collections.abc import Iterator

import asyncpg
import msgspec
import pytest

from gateway.runtime import settings as configuration
from gateway.web.fast_path.handler import FastPath
from gateway.web.fast_path.parser import SubmissionParser
from gateway.web.handlers.orders import OrderHandler
from tests.support.patience import HANG_S, until
from tests.support.site import Site
from tests.web.support import REGULAR_PATH, Answer, Wire, order_bytes, read_answer

#: For the tests in which an idle connection is to be closed.
IDLE_S = 1.0


@pytest.fixture
def keepalive_s() -> float:
    """Longer than any test: a connection that is closed is not closed for being idle."""
    return 2 * HANG_S


@pytest.fixture
def settings(settings: configuration.Settings, keepalive_s: float) -> configuration.Settings:
    return msgspec.structs.replace(settings, keepalive_s=keepalive_s)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether each submission took the fast path, in order."""
    found: list[bool] = []
    take = FastPath.take

    def noted(*args: object) -> bool:
        found.append(take(*args))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(FastPath, "take", noted)
    yield found


@pytest.fixture
async def client(wire: Wire, site: Site) -> "Client":
    """A connection, and an API key that is cached."""
    assert (await wire.submit(b"{}")).status == 422
    return Client(wire, *await asyncio.open_connection(wire.host, wire.port))


class Client:
    """One connection that stays open."""

    def __init__(
        self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.wire, self.reader, self.writer = wire, reader, writer

    def send(self, *bodies: bytes, **headers: str) -> None:
        """Send submissions in one write."""
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.writer.write(
            b"".join(self.wire.request("POST", "/v1/orders", body, fields) for body in bodies)
        )

    async def read(self, count: int) -> list[Answer]:
        """Read this many responses."""
        async with asyncio.timeout(HANG_S):
            answers = [await read_answer(self.reader) for _ in range(count)]
        return [answer for answer in answers if answer is not None]


def _numbers(answers: list[Answer]) -> list[str]:
    return [answer.json["order_no"] for answer in answers]


async def test_one_after_the_other_takes_the_fast_path(client: Client, taken: list[bool]) -> None:
    for _ in range(3):
        body = order_bytes()
        client.send(body)
        (answer,) = await client.read(1)
        assert (answer.status, answer.json["order_no"]) == (201, json.loads(body)["order_no"])
        assert answer.headers["location"] == f"/v1/orders/{answer.json['id']}"
    assert taken == [True] * 3


async def test_pipelined_submissions_are_answered_in_order(
    client: Client, taken: list[bool]
) -> None:
    """The first waits for its commit; the invalid one after it could be answered at once."""
    first, last = order_bytes(), order_bytes()
    client.send(first)
    await asyncio.sleep(0)
    client.send(b"{}", last)
    answers = await client.read(3)
    assert [answer.status for answer in answers] == [201, 422, 201]
    assert _numbers([answers[0], answers[2]]) == [
        json.loads(body)["order_no"] for body in (first, last)
    ]
    assert taken[0]


async def test_pipelined_requests_wait_for_the_response_before_them(
    client: Client, taken: list[bool], ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    bodies = [order_bytes() for _ in range(3)]
    async with ledger.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE orders IN SHARE MODE")
        client.send(bodies[0])
        await until(lambda: taken == [True])
        for body in bodies[1:]:
            client.send(body)
            await asyncio.sleep(0.05)
        assert taken == [True]
    assert _numbers(await client.read(3)) == [json.loads(body)["order_no"] for body in bodies]


@pytest.mark.parametrize("keepalive_s", [IDLE_S])
async def test_a_connection_that_waits_for_its_commit_is_not_idle(
    client: Client, ledger: "asyncpg.Pool[asyncpg.Record]", taken: list[bool]
) -> None:
    """It waits for twice as long as an idle one is left open, at most a quarter longer than set."""
    async with ledger.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE orders IN SHARE MODE")
        client.send(order_bytes())
        await asyncio.sleep(2.5 * IDLE_S)
    (answer,) = await client.read(1)
    assert answer.status in (201, 202)
    assert taken == [True]
    # Its idle time begins with its response.
    async with asyncio.timeout(HANG_S):
        assert await client.reader.read() == b""


async def test_simultaneous_repeats_are_one_order(wire: Wire, taken: list[bool]) -> None:
    assert (await wire.submit(b"{}")).status == 422
    body = order_bytes()
    answers = await asyncio.gather(
        *[wire.submit(body, {"Idempotency-Key": "x"}) for _ in range(20)]
    )
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert taken.count(True) > 10


async def test_an_order_whose_payment_came_first_is_answered_once_they_are_paired(
    client: Client, site: Site, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    paired = []
    pair = site.gateway.intake.pair
    end = site.gateway.intake.end

    async def noted(placed: object) -> None:
        await asyncio.sleep(0.01)
        paired.append(placed)
        await pair(placed)  # type: ignore[arg-type]

    def ended(*args: object) -> object:
        return msgspec.structs.replace(end(*args), has_waiting=True)  # type: ignore[arg-type]

    monkeypatch.setattr(site.gateway.intake, "pair", noted)
    monkeypatch.setattr(site.gateway.intake, "end", ended)
    client.send(order_bytes())
    (answer,) = await client.read(1)
    assert answer.status == 201
    assert taken == [True]
    assert len(paired) == 1


async def test_a_disconnect_leaks_nothing(
    client: Client, wire: Wire, site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    body = order_bytes()
    async with ledger.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE orders IN SHARE MODE")
        client.send(body, order_bytes())
        client.send(body)
        await asyncio.sleep(0.05)
        client.writer.transport.abort()
        await asyncio.sleep(0.05)
    assert (await wire.submit(body)).status in (200, 201)
    await until(lambda: site.gateway.admission.concurrency.in_use == 0)
    await until(lambda: not site.gateway.intake._in_flight)


async def test_a_half_closed_connection_gets_its_response(
    client: Client, taken: list[bool]
) -> None:
    client.send(order_bytes())
    await asyncio.sleep(0)
    client.writer.write_eof()
    (answer,) = await client.read(1)
    assert (answer.status, answer.headers["connection"]) == (201, "close")
    assert taken == [True]
    async with asyncio.timeout(HANG_S):
        assert await client.reader.read() == b""


async def test_connection_close_closes_at_once(client: Client, site: Site) -> None:
    client.send(order_bytes(), Connection="close")
    (answer,) = await client.read(1)
    assert (answer.status, answer.headers["connection"]) == (201, "close")
    async with asyncio.timeout(HANG_S):
        assert await client.reader.read() == b""
        while site.server.connections:
            await asyncio.sleep(0.01)


async def test_waiting_within_one_loop_iteration_is_measured(
    wire: Wire, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handled one after the other, they would all seem to have just been received."""
    assert (await wire.submit(b"{}")).status == 422
    begin = OrderHandler.begin

    def slow(*args: object) -> object:
        time.sleep(0.002)
        return begin(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(OrderHandler, "begin", slow)
    clients = [
        Client(wire, *await asyncio.open_connection(wire.host, wire.port)) for _ in range(40)
    ]
    await asyncio.sleep(0.1)
    for client in clients:
        client.send(order_bytes())
    for client in clients:
        assert [answer.status for answer in await client.read(1)] == [201]
    assert site.gateway.admission.concurrency.wait_s() > 0.03


@pytest.mark.parametrize("place", ["count", "read"])
async def test_an_unexpected_error_leaves_no_request_unanswered(
    client: Client, site: Site, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def fails(*args: object) -> None:
        raise RuntimeError(place)

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    with monkeypatch.context() as patched:
        if place == "count":
            patched.setattr(site.server, "count", fails)
        else:
            patched.setattr(SubmissionParser, "read", fails)
        client.send(order_bytes())
        async with asyncio.timeout(HANG_S):
            answer = await read_answer(client.reader)
    assert (answer is not None) == (place == "count")
    assert site.gateway.admission.concurrency.in_use == 0
    async with asyncio.timeout(HANG_S):
        await site.server.drain()


@pytest.mark.parametrize("keepalive_s", [IDLE_S])
async def test_a_drain_answers_pending_orders_and_closes_the_connection(
    client: Client, site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", taken: list[bool]
) -> None:
    async with ledger.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE orders IN SHARE MODE")
        client.send(order_bytes())
        await until(lambda: taken == [True])
        draining = asyncio.create_task(site.server.drain())
        # Longer than an idle connection is left open.
        await asyncio.sleep(1.4 * IDLE_S)
        assert not draining.done()
    (answer,) = await client.read(1)
    assert answer.status in (201, 202)
    assert answer.headers["connection"] == "close"
    async with asyncio.timeout(HANG_S):
        assert await client.reader.read() == b""
        client.writer.close()
        await draining


@pytest.mark.parametrize(
    "headers", [{}, {"Idempotency-Key": '"%s"'}, {"X-Trace": "1"}, {"X-Request-Id": "r-1"}]
)
async def test_both_paths_respond_alike(
    client: Client, wire: Wire, taken: list[bool], headers: dict[str, str]
) -> None:
    """A new order, its repeat and a conflicting one, by either path first."""
    for paths in ((), REGULAR_PATH), (REGULAR_PATH, ()):
        body = json.loads(order_bytes())
        sent = {name: value.replace("%s", body["order_no"]) for name, value in headers.items()}
        compared = []
        for changes, due in ({}, {200, 201}), ({"remark": "another"}, {409, 422}):
            content = json.dumps(body | changes).encode()
            answers = [await wire.submit(content, [*sent.items(), *path]) for path in paths]
            assert {answer.status for answer in answers} <= due
            compared += [_compared(answer) for answer in answers]
        assert compared[0] == compared[1]
        assert compared[2] == compared[3]
    assert taken == [True, False] * 2 + [False, True] * 2


def _compared(answer: Answer) -> tuple[dict[str, str], object]:
    """Return what must not depend on the path; which of them came first may differ."""
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("date", "idempotency-replayed", "x-request-id")
    }
    # An id that is made here is another one for each, and may be longer by a digit.
    del headers["content-length"]
    return headers, {**answer.json, "request_id": ""}
