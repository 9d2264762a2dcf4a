"""Orders beside a real inventory: honest, slow, broken, rude, and gone."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import redis
from aiohttp import web

from gateway.runtime.settings import Settings, SettingsError
from gateway.web import wiring
from tests.support.site import Site
from tests.web.support import Wire, order


@dataclass
class Shelf:
    """An inventory that says what it is told to."""

    unavailable: list[str] = field(default_factory=list)
    answer: web.Response | None = None
    waits: asyncio.Event | None = None
    hangs_up: bool = False
    questions: list[Any] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    port: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.questions.append(await request.json())
        self.headers.append(request.headers)
        if self.waits is not None:
            await self.waits.wait()
        if self.hangs_up:
            assert request.transport is not None
            request.transport.abort()
        return self.answer or web.json_response({"unavailable": self.unavailable})


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    made = Shelf()
    app = web.Application()
    app.router.add_post("/stock", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    made.port = runner.addresses[0][1]
    yield made
    if made.waits is not None:
        made.waits.set()
    await runner.cleanup()


@pytest.fixture
def settings(settings: Settings, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STOCK_TOKEN", "s3cret")
    return msgspec.structs.replace(
        settings,
        inventory_url=f"http://127.0.0.1:{shelf.port}/stock",
        inventory_token="env:STOCK_TOKEN",
        inventory_s=0.3,
    )


async def mark(wire: Wire, location: str) -> str | None:
    found: str | None = (await wire.ask("GET", location)).json["stock_check"]
    return found


async def test_what_is_there_is_stored_as_checked(wire: Wire, shelf: Shelf) -> None:
    sent = order()
    placed = await wire.submit(json.dumps(sent).encode())
    assert placed.status == 201
    assert await mark(wire, placed.headers["location"]) == "checked"
    (question,) = shelf.questions
    assert question == {
        "channel": sent["channel"],
        "items": [{"sku": i["sku"], "quantity": i["quantity"]} for i in sent["items"]],
    }
    assert shelf.headers[0]["Authorization"] == "Bearer s3cret"
    (row,) = (await wire.ask("GET", f"/v1/orders?order_no={sent['order_no']}")).json["orders"]
    assert row["stock_check"] == "checked"


async def test_what_is_not_there_is_refused_by_line_and_stored_nowhere(
    site: Site, wire: Wire, shelf: Shelf
) -> None:
    sent = order()
    shelf.unavailable = [sent["items"][0]["sku"]]
    answer = await wire.submit(json.dumps(sent).encode())
    assert (answer.status, answer.json["type"]) == (409, "/problems/out-of-stock")
    assert answer.fields == ["items[0].sku"]
    found = await wire.ask("GET", f"/v1/orders?order_no={sent['order_no']}")
    assert found.json["orders"] == []
    # Nothing of it counts: the same order is taken once the goods are there.
    shelf.unavailable = []
    assert (await wire.submit(json.dumps(sent).encode())).status == 201


async def test_a_repeat_is_told_the_original_though_the_goods_are_gone(
    wire: Wire, shelf: Shelf, valkey: "redis.Redis"
) -> None:
    sent = order()
    body = json.dumps(sent).encode()
    first = await wire.submit(body, {"Idempotency-Key": sent["order_no"]})
    shelf.unavailable = [sent["items"][0]["sku"]]
    for _ in range(2):
        again = await wire.submit(body, {"Idempotency-Key": sent["order_no"]})
        assert (again.status, again.json) == (200, first.json)
        # Also where only Postgres remembers.
        valkey.flushall()
    changed = json.dumps({**sent, "remark": "changed"}).encode()
    assert (await wire.submit(changed)).json["type"] == "/problems/conflict"


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(status=204),
        lambda: web.Response(status=302, headers={"Location": "/stock"}),
        lambda: web.Response(body=b""),
        lambda: web.Response(body=b"\xff"),
        lambda: web.Response(body=b"[" * 10_000),
        lambda: web.Response(
            body=b'{"unavailable": [], "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"
        ),
        lambda: web.Response(
            body=gzip.compress(b'{"unavailable": []}'), headers={"Content-Encoding": "gzip"}
        ),
        lambda: web.Response(body=b'{"unavailable": "A"}'),
        lambda: web.Response(body=b"{}"),
        lambda: web.Response(body=b'{"unavailable": ["' + b"x" * 100_000 + b'"]}'),
    ],
)
async def test_an_answer_that_is_none_leaves_the_order_unchecked(
    wire: Wire, shelf: Shelf, answer: Any
) -> None:
    shelf.answer = answer()
    placed = await wire.submit(json.dumps(order()).encode())
    assert placed.status == 201
    assert await mark(wire, placed.headers["location"]) == "unchecked"


async def test_one_that_hangs_up_leaves_the_order_unchecked(wire: Wire, shelf: Shelf) -> None:
    shelf.hangs_up = True
    placed = await wire.submit(json.dumps(order()).encode())
    assert placed.status == 201
    assert await mark(wire, placed.headers["location"]) == "unchecked"
    assert len(shelf.questions) == 1


async def test_however_much_is_gone_what_was_ordered_is_found_in_it(
    wire: Wire, shelf: Shelf
) -> None:
    sent = order()
    shelf.unavailable = [*(f"GONE-{n}" for n in range(300)), sent["items"][0]["sku"]]
    answer = await wire.submit(json.dumps(sent).encode())
    assert answer.json["type"] == "/problems/out-of-stock"


async def test_one_that_is_too_slow_leaves_the_order_unchecked(wire: Wire, shelf: Shelf) -> None:
    shelf.waits = asyncio.Event()
    placed = await wire.submit(json.dumps(order()).encode())
    assert placed.status == 201
    assert await mark(wire, placed.headers["location"]) == "unchecked"


async def test_in_the_dark_nobody_is_asked(site: Site, wire: Wire, shelf: Shelf) -> None:
    breaker = site.gateway.overload.tiers[3]
    breaker.state, breaker.share = "open", 1.0
    placed = await wire.submit(json.dumps(order()).encode())
    assert placed.status == 201
    assert shelf.questions == []
    assert await mark(wire, placed.headers["location"]) == "unchecked"


async def test_what_is_not_valid_is_never_asked_about(wire: Wire, shelf: Shelf) -> None:
    assert (await wire.submit(json.dumps(order(channel="nowhere")).encode())).status == 422
    assert shelf.questions == []


async def test_without_an_inventory_there_is_no_mark(site: Site, wire: Wire) -> None:
    (route,) = (r for r in site.server._router.routes if r.name == "orders.submit")
    route.handler.__self__._stock = None  # type: ignore[attr-defined]
    placed = await wire.submit(json.dumps(order()).encode())
    assert await mark(wire, placed.headers["location"]) is None


def test_who_asks_nobody_needs_no_token(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOCK_TOKEN")
    with pytest.raises(SettingsError, match="env:STOCK_TOKEN"):
        wiring.open_inventory(settings)
    wiring.open_inventory(msgspec.structs.replace(settings, role="query"))
