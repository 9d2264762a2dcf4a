"""The warehouse on real sockets: what it takes, and what it reports."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks import Webhook

from ops.simulators import standard_webhooks
from ops.warehouse.book import Book
from ops.warehouse.receiving import Receiver
from ops.warehouse.reporting import Reports, session
from ops.warehouse.steps import Pace

IN, OUT = (standard_webhooks.create().secrets[0] for _ in range(2))


class Clock:
    """The time of the warehouse."""

    def __init__(self) -> None:
        self.now_s = datetime.now(UTC).timestamp()

    def __call__(self) -> float:
        return self.now_s


class Gateway:
    """Takes reports, verified by the official library, and answers as it is told."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.taken: list[dict[str, Any]] = []
        self.ids: list[str] = []

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = self.statuses.pop(0) if self.statuses else 200
        self.ids.append(request.headers["webhook-id"])
        if status == 200:
            self.taken.append(Webhook(OUT).verify(body, dict(request.headers)))
        return web.Response(status=status)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "book.sqlite3", pace=Pace(accepts_s=1.0, ships_s=4.0, delivers_s=5.0))


@pytest.fixture
async def client(book: Book, clock: Clock) -> AsyncIterator[TestClient[Any, Any]]:
    receiver = Receiver(secret=IN, book=book, now_s=clock)
    async with TestClient(TestServer(receiver.application())) as made:
        yield made


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def reports(book: Book, clock: Clock, gateway: Gateway) -> AsyncIterator[Reports]:
    application = web.Application()
    application.router.add_post("/v1/callbacks/standard_webhooks/warehouse", gateway.take)
    async with TestServer(application) as server, session() as posting:
        url = str(server.make_url("/v1/callbacks/standard_webhooks/warehouse"))
        yield Reports(url=url, secret=OUT, book=book, session=posting, now_s=clock)


def event(topic: str = "order.paid", *, order_no: str = "W-1") -> str:
    order = {"id": "01a209e1-6c1b-7a30-8fca-993ca3def24d", "channel": "web", "order_no": order_no}
    return json.dumps({"type": topic, "data": {"event_id": "e-1", "order": {**order, "more": 1}}})


def headers(body: str, *, secret: str = IN, id_: str = "e-1", age_s: float = 0.0) -> dict[str, str]:
    at = datetime.fromtimestamp(datetime.now(UTC).timestamp() - age_s, UTC)
    signature = Webhook(secret).sign(id_, at, body)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


async def post(client: TestClient[Any, Any], body: str, **signed: Any) -> tuple[int, str]:
    answer = await client.post("/hand-off", data=body, headers=headers(body, **signed))
    return answer.status, await answer.text()


async def test_a_signed_event_is_written_down_and_a_repeat_is_known(
    client: TestClient[Any, Any], book: Book
) -> None:
    assert await post(client, event()) == (200, '{"received": true, "is_repeat": false}')
    assert await post(client, event()) == (200, '{"received": true, "is_repeat": true}')
    assert [order.order_no for order in book.newest(10)] == ["W-1"]


@pytest.mark.parametrize("wrong", [{"secret": OUT}, {"age_s": 3600.0}])
async def test_what_is_not_verified_has_no_effect(
    client: TestClient[Any, Any], book: Book, wrong: dict[str, Any]
) -> None:
    status, _ = await post(client, event(), **wrong)
    assert status == 401
    assert book.newest(10) == []


async def test_headers_that_make_no_sense_are_refused(client: TestClient[Any, Any]) -> None:
    sent = headers(event()) | {"webhook-signature": "v1"}
    for bad in ({}, sent):
        answer = await client.post("/hand-off", data=event(), headers=bad)
        assert answer.status == 401


@pytest.mark.parametrize("body", ["[]", "{}", '{"type": "order.paid", "data": {}}', "x"])
async def test_a_verified_body_without_an_order_is_refused(
    client: TestClient[Any, Any], body: str
) -> None:
    status, text = await post(client, body)
    assert status == 422
    assert "not understood" in text


async def test_the_page_shows_the_orders(client: TestClient[Any, Any]) -> None:
    await post(client, event())
    page = await (await client.get("/")).text()
    assert "W-1    web      taken" in page


async def test_each_step_is_reported_signed_and_once(
    client: TestClient[Any, Any], reports: Reports, gateway: Gateway, clock: Clock
) -> None:
    await post(client, event())
    for seconds in (0.9, 0.2, 4.0, 5.0, 100.0):
        clock.now_s += seconds
        # The library verifies against the true time: it may be no more than five minutes off.
        await reports.report()
    assert [each["type"] for each in gateway.taken] == [
        "order.accepted", "order.shipped", "order.delivered",
    ]  # fmt: skip
    assert {each["data"]["order_no"] for each in gateway.taken} == {"W-1"}
    shipped, delivered = gateway.taken[1]["data"], gateway.taken[2]["data"]
    assert shipped["carrier"] == "SF"
    assert shipped["tracking_no"] == delivered["tracking_no"] == "TG993CA3DEF24D"


async def test_a_report_is_repeated_under_its_id_until_it_is_taken(
    client: TestClient[Any, Any], reports: Reports, gateway: Gateway, clock: Clock
) -> None:
    gateway.statuses = [503, 400]
    await post(client, event())
    for _ in range(4):
        clock.now_s += 2.0
        await reports.report()
    assert [each["type"] for each in gateway.taken] == ["order.accepted"]
    assert gateway.ids == ["order_accepted_01a209e1-6c1b-7a30-8fca-993ca3def24d"] * 3


async def test_a_gateway_that_is_away_is_asked_again(
    client: TestClient[Any, Any], book: Book, clock: Clock
) -> None:
    await post(client, event())
    clock.now_s += 1.0
    async with aiohttp.ClientSession() as posting:
        away = Reports(
            url="http://127.0.0.1:1/nothing", secret=OUT, book=book, session=posting, now_s=clock
        )
        assert await away.report() == 0
    (order,) = book.newest(10)
    assert (order.stage, order.failures) == ("taken", 1)
