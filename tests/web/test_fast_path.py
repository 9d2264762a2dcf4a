"""The short way of a submission: answered as on the long way, in order, and never left hanging."""

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
from tests.support.site import Site
from tests.web.support import LONG_WAY, PATIENCE_S, Answer, Wire, order_bytes, read_answer


@pytest.fixture
def settings(settings: configuration.Settings) -> configuration.Settings:
    return msgspec.structs.replace(settings, keepalive_s=0.5)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether each submission went the short way, in order."""
    found: list[bool] = []
    take = FastPath.take

    def noted(*args: object) -> bool:
        found.append(take(*args))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(FastPath, "take", noted)
    yield found


@pytest.fixture
async def line(wire: Wire, site: Site) -> "Line":
    """A connection, and a key that was seen just now."""
    assert (await wire.submit(b"{}")).status == 422
    return Line(wire, *await asyncio.open_connection(wire.host, wire.port))


class Line:
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

    async def heard(self, count: int) -> list[Answer]:
        """Read so many answers."""
        async with asyncio.timeout(PATIENCE_S):
            answers = [await read_answer(self.reader) for _ in range(count)]
        return [answer for answer in answers if answer is not None]


def _numbers(answers: list[Answer]) -> list[str]:
    return [answer.json["order_no"] for answer in answers]


async def test_one_after_the_other_goes_the_short_way(line: Line, taken: list[bool]) -> None:
    for _ in range(3):
        body = order_bytes()
        line.send(body)
        (answer,) = await line.heard(1)
        assert (answer.status, answer.json["order_no"]) == (201, json.loads(body)["order_no"])
        assert answer.headers["location"] == f"/v1/orders/{answer.json['id']}"
    assert taken == [True] * 3


async def test_what_is_sent_behind_is_answered_behind(line: Line, taken: list[bool]) -> None:
    """The first waits for its commit while two more come, which could be answered at once."""
    first, last = order_bytes(), order_bytes()
    line.send(first)
    await asyncio.sleep(0)
    line.send(b"{}", last)
    answers = await line.heard(3)
    assert [answer.status for answer in answers] == [201, 422, 201]
    assert _numbers([answers[0], answers[2]]) == [
        json.loads(body)["order_no"] for body in (first, last)
    ]
    assert taken[0]


async def test_what_comes_while_one_waits_is_looked_at_when_it_is_answered(
    line: Line, taken: list[bool], ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    bodies = [order_bytes() for _ in range(3)]
    async with ledger.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE orders IN SHARE MODE")
        for body in bodies:
            line.send(body)
            await asyncio.sleep(0.05)
        assert taken == [True]
    assert _numbers(await line.heard(3)) == [json.loads(body)["order_no"] for body in bodies]


async def test_a_connection_that_waits_for_its_commit_is_not_idle(
    line: Line, ledger: "asyncpg.Pool[asyncpg.Record]", taken: list[bool]
) -> None:
    """Idle connections are closed after half a second here; this one waits twice as long."""
    async with ledger.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE orders IN SHARE MODE")
        line.send(order_bytes())
        await asyncio.sleep(1.1)
    (answer,) = await line.heard(1)
    assert answer.status in (201, 202)
    assert taken == [True]
    # Its time to be idle begins with its answer, and ends.
    async with asyncio.timeout(PATIENCE_S):
        assert await line.reader.read() == b""


async def test_the_very_same_at_one_instant_is_one_order(wire: Wire, taken: list[bool]) -> None:
    assert (await wire.submit(b"{}")).status == 422
    body = order_bytes()
    answers = await asyncio.gather(
        *[wire.submit(body, {"Idempotency-Key": "x"}) for _ in range(20)]
    )
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert taken.count(True) > 10


async def test_an_order_whose_payment_came_first_is_answered_after_both_met(
    line: Line, site: Site, taken: list[bool], monkeypatch: pytest.MonkeyPatch
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
    line.send(order_bytes())
    (answer,) = await line.heard(1)
    assert answer.status == 201
    assert taken == [True]
    assert len(paired) == 1


async def test_whoever_hangs_up_takes_nobody_along(
    line: Line, wire: Wire, site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    body = order_bytes()
    async with ledger.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE orders IN SHARE MODE")
        line.send(body, order_bytes())
        line.send(body)
        await asyncio.sleep(0.05)
        line.writer.transport.abort()
        await asyncio.sleep(0.05)
    assert (await wire.submit(body)).status in (200, 201)
    assert site.gateway.overload.slots.in_use == 0
    assert not site.gateway.intake._in_flight


async def test_who_stops_sending_has_his_answer_all_the_same(line: Line, taken: list[bool]) -> None:
    line.send(order_bytes())
    await asyncio.sleep(0)
    line.writer.write_eof()
    (answer,) = await line.heard(1)
    assert (answer.status, answer.headers["connection"]) == (201, "close")
    assert taken == [True]
    async with asyncio.timeout(PATIENCE_S):
        assert await line.reader.read() == b""


async def test_the_last_of_a_connection_ends_it_at_once(line: Line, site: Site) -> None:
    line.send(order_bytes(), Connection="close")
    (answer,) = await line.heard(1)
    assert (answer.status, answer.headers["connection"]) == (201, "close")
    async with asyncio.timeout(0.5):
        assert await line.reader.read() == b""
        while site.server.connections:
            await asyncio.sleep(0.01)


async def test_what_waited_behind_others_of_its_turn_is_seen_as_waiting(
    wire: Wire, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken one after the other without a pause, they would all seem to come just in time."""
    assert (await wire.submit(b"{}")).status == 422
    begin = OrderHandler.begin

    def slow(*args: object) -> object:
        time.sleep(0.002)
        return begin(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(OrderHandler, "begin", slow)
    lines = [Line(wire, *await asyncio.open_connection(wire.host, wire.port)) for _ in range(40)]
    await asyncio.sleep(0.1)
    for line in lines:
        line.send(order_bytes())
    for line in lines:
        assert [answer.status for answer in await line.heard(1)] == [201]
    assert site.gateway.overload.slots.wait_s() > 0.03


@pytest.mark.parametrize("place", ["count", "read"])
async def test_an_error_that_nobody_meant_leaves_nothing_hanging(
    line: Line, site: Site, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def fails(*args: object) -> None:
        raise RuntimeError(place)

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    with monkeypatch.context() as patched:
        if place == "count":
            patched.setattr(site.server, "count", fails)
        else:
            patched.setattr(SubmissionParser, "read", fails)
        line.send(order_bytes())
        async with asyncio.timeout(PATIENCE_S):
            answer = await read_answer(line.reader)
    assert (answer is not None) == (place == "count")
    assert site.gateway.overload.slots.in_use == 0
    async with asyncio.timeout(PATIENCE_S):
        await site.server.drain()


async def test_a_drain_answers_what_was_taken_and_ends_the_connection(
    line: Line, site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", taken: list[bool]
) -> None:
    async with ledger.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE orders IN SHARE MODE")
        line.send(order_bytes())
        await asyncio.sleep(0.05)
        assert taken == [True]
        draining = asyncio.create_task(site.server.drain())
        # Longer than an idle connection is left open.
        await asyncio.sleep(0.7)
        assert not draining.done()
    (answer,) = await line.heard(1)
    assert answer.status in (201, 202)
    assert answer.headers["connection"] == "close"
    async with asyncio.timeout(PATIENCE_S):
        assert await line.reader.read() == b""
        line.writer.close()
        await draining


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": '"%s"'}, {"X-Trace": "1"}])
async def test_both_ways_answer_alike(
    line: Line, wire: Wire, taken: list[bool], headers: dict[str, str]
) -> None:
    """A new order, its repeat and its contradiction, by either way first."""
    for ways in ((), LONG_WAY), (LONG_WAY, ()):
        body = json.loads(order_bytes())
        sent = {name: value.replace("%s", body["order_no"]) for name, value in headers.items()}
        told = []
        for changes, due in ({}, {200, 201}), ({"remark": "another"}, {409, 422}):
            content = json.dumps(body | changes).encode()
            answers = [await wire.submit(content, [*sent.items(), *way]) for way in ways]
            assert {answer.status for answer in answers} <= due
            told += [_compared(answer) for answer in answers]
        assert told[0] == told[1]
        assert told[2] == told[3]
    assert taken == [True, False] * 2 + [False, True] * 2


def _compared(answer: Answer) -> tuple[dict[str, str], object]:
    """Return what must not depend on the way; whether it was the first is another matter."""
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("date", "idempotency-replayed")
    }
    return headers, answer.json
