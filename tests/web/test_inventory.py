"""Orders with a real inventory: honest, slow, broken, rude, and unreachable."""

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

from gateway.runtime.settings import Channel, Settings, SettingsError
from gateway.web import wiring
from gateway.web.reload import GatewayConfiguration
from tests.support.site import Site
from tests.web.support import Wire, order


@dataclass
class Inventory:
    """An inventory that answers as configured."""

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
async def inventory() -> AsyncIterator[Inventory]:
    made = Inventory()
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
def settings(settings: Settings, inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STOCK_TOKEN", "s3cret")
    return msgspec.structs.replace(
        settings,
        inventory_url=f"http://127.0.0.1:{inventory.port}/stock",
        inventory_token="env:STOCK_TOKEN",
        inventory_s=0.3,
        channels=[*settings.channels, Channel("market", paid_by="platform")],
    )


def reload(site: Site) -> str:
    """Reload the site as SIGHUP does; return what changed."""
    loaded = site.gateway.settings
    reloaded = GatewayConfiguration(
        gateway=site.gateway,
        accounts=site.accounts,
        early_rejection=site.server.early_rejection,
        inventory=site.inventory,
        load=lambda: loaded,
    )
    return reloaded.apply(reloaded.read()).text()


async def mark(wire: Wire, location: str) -> str | None:
    found: str | None = (await wire.ask("GET", location)).json["stock_check"]
    return found


async def test_goods_in_stock_are_stored_as_checked(wire: Wire, inventory: Inventory) -> None:
    sent = order()
    placed = await wire.submit(json.dumps(sent).encode())
    assert placed.status == 201
    assert await mark(wire, placed.headers["location"]) == "checked"
    (question,) = inventory.questions
    assert question == {
        "channel": sent["channel"],
        "items": [{"sku": i["sku"], "quantity": i["quantity"]} for i in sent["items"]],
    }
    assert inventory.headers[0]["Authorization"] == "Bearer s3cret"
    (row,) = (await wire.ask("GET", f"/v1/orders?order_no={sent['order_no']}")).json["orders"]
    assert row["stock_check"] == "checked"


async def test_goods_out_of_stock_are_rejected_by_item_and_not_stored(
    site: Site, wire: Wire, inventory: Inventory
) -> None:
    sent = order()
    inventory.unavailable = [sent["items"][0]["sku"]]
    answer = await wire.submit(json.dumps(sent).encode())
    assert (answer.status, answer.json["type"]) == (409, "/problems/out-of-stock")
    assert answer.fields == ["items[0].sku"]
    found = await wire.ask("GET", f"/v1/orders?order_no={sent['order_no']}")
    assert found.json["orders"] == []
    # It left nothing behind: the same order is accepted once the goods are in stock.
    inventory.unavailable = []
    assert (await wire.submit(json.dumps(sent).encode())).status == 201


async def test_a_repeat_gets_the_original_though_the_goods_are_out_of_stock(
    wire: Wire, inventory: Inventory, valkey: "redis.Redis"
) -> None:
    sent = order()
    body = json.dumps(sent).encode()
    first = await wire.submit(body, {"Idempotency-Key": sent["order_no"]})
    inventory.unavailable = [sent["items"][0]["sku"]]
    for _ in range(2):
        again = await wire.submit(body, {"Idempotency-Key": sent["order_no"]})
        assert (again.status, again.json) == (200, first.json)
        # Also where only Postgres has the result.
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
async def test_an_invalid_answer_leaves_the_order_unchecked(
    wire: Wire, inventory: Inventory, answer: Any
) -> None:
    inventory.answer = answer()
    placed = await wire.submit(json.dumps(order()).encode())
    assert placed.status == 201
    assert await mark(wire, placed.headers["location"]) == "unchecked"


async def test_a_closed_connection_leaves_the_order_unchecked(
    wire: Wire, inventory: Inventory
) -> None:
    inventory.hangs_up = True
    placed = await wire.submit(json.dumps(order()).encode())
    assert placed.status == 201
    assert await mark(wire, placed.headers["location"]) == "unchecked"
    assert len(inventory.questions) == 1


async def test_a_long_list_of_unavailable_goods_is_read(wire: Wire, inventory: Inventory) -> None:
    sent = order()
    inventory.unavailable = [*(f"GONE-{n}" for n in range(300)), sent["items"][0]["sku"]]
    answer = await wire.submit(json.dumps(sent).encode())
    assert answer.json["type"] == "/problems/out-of-stock"


async def test_a_slow_inventory_leaves_the_order_unchecked(
    wire: Wire, inventory: Inventory
) -> None:
    inventory.waits = asyncio.Event()
    placed = await wire.submit(json.dumps(order()).encode())
    assert placed.status == 201
    assert await mark(wire, placed.headers["location"]) == "unchecked"


async def test_the_check_is_skipped_while_it_is_shed(
    site: Site, wire: Wire, inventory: Inventory
) -> None:
    breaker = site.gateway.admission.breakers[3]
    breaker.state, breaker.share = "shedding_all", 1.0
    placed = await wire.submit(json.dumps(order()).encode())
    assert placed.status == 201
    assert inventory.questions == []
    assert await mark(wire, placed.headers["location"]) == "unchecked"


async def test_an_invalid_order_is_not_checked(wire: Wire, inventory: Inventory) -> None:
    assert (await wire.submit(json.dumps(order(channel="nowhere")).encode())).status == 422
    assert inventory.questions == []


async def test_a_rotated_token_is_sent_with_the_next_question(
    site: Site, wire: Wire, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await wire.submit(json.dumps(order()).encode())).status == 201
    monkeypatch.setenv("STOCK_TOKEN", "n3xt")
    assert reload(site) == "secrets ~ inventory_token"
    assert (await wire.submit(json.dumps(order()).encode())).status == 201
    sent = [headers["Authorization"] for headers in inventory.headers]
    assert sent == ["Bearer s3cret", "Bearer n3xt"]


async def test_without_an_inventory_there_is_no_result(site: Site, wire: Wire) -> None:
    (route,) = (r for r in site.server._router.routes if r.name == "orders.submit")
    route.handler.__self__._stock_check = None  # type: ignore[attr-defined]
    placed = await wire.submit(json.dumps(order()).encode())
    assert await mark(wire, placed.headers["location"]) is None


def test_a_role_without_stock_checks_needs_no_token(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOCK_TOKEN")
    with pytest.raises(SettingsError, match="env:STOCK_TOKEN"):
        wiring.open_inventory(settings)
    wiring.open_inventory(msgspec.structs.replace(settings, role="query"))


async def test_what_is_paid_already_is_an_order_whatever_the_stock_is(
    wire: Wire, inventory: Inventory
) -> None:
    """The platform has sold it: a missing article is a matter between people, not a rejection."""
    sent = order(channel="market")
    inventory.unavailable = [item["sku"] for item in sent["items"]]
    payment = {"provider": "alipay", "transaction_id": "T-1", "paid_at": sent["placed_at"]}
    answer = await wire.submit(json.dumps(sent | {"payment": payment}).encode())
    assert (answer.status, answer.json["status"], inventory.questions) == (201, "paid", [])
    unpaid = await wire.submit(json.dumps(order(channel="market", items=sent["items"])).encode())
    assert unpaid.status == 409
