"""GET /v1/orders and its export: the filters for support and finance; payments and parcels."""

import csv
import io
import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.domain import events
from gateway.web.handlers.order_filter import PROVIDER_SCAN_DAYS_MAX, SCAN_DAYS_MAX
from tests.domain.support import paid
from tests.stores.support import Database, tell
from tests.support.site import Site
from tests.web.support import Wire, order


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def placed(wire: Wire, order_no: str, **changes: Any) -> str:
    """Place an order over 99.50 and return its id."""
    item = {"sku": f"S-{order_no}", "name": "Tea", "quantity": 1, "unit_price": "99.50"}
    content = order(order_no=order_no, items=[item], **changes)
    content["amounts"] = {"goods": "99.50", "payable": "99.50"}
    answer = await wire.submit(json.dumps(content).encode())
    assert answer.status == 201, answer
    return str(answer.json["id"])


async def pay(site: Site, order_no: str, when: str, transaction_id: str, **more: Any) -> None:
    event = paid("99.50", order_no=order_no, transaction_id=transaction_id, occurred_at=at(when))
    source = f"{more.get('provider', 'stripe')}:main"
    done = await tell(site.gateway, event, source=source, **more)
    assert done.outcome == "applied"


async def ship(site: Site, order_no: str, tracking_no: str) -> None:
    event = events.Shipped(order_no, "SF", tracking_no, at("2026-11-24T00:00:00Z"))
    assert (await tell(site.gateway, event)).outcome == "applied"


@pytest.fixture
async def ids(site: Site, wire: Wire, ledger: Database) -> dict[str, str]:
    """Three orders of live customers: paid, shipped, and placed only. Their ids by number."""
    await ledger.execute("ALTER TABLE order_events DISABLE TRIGGER append_only")
    await ledger.execute(
        "TRUNCATE orders, order_events, fingerprints, velocity, payments, payment_names, parcels"
    )
    await ledger.execute("ALTER TABLE order_events ENABLE TRIGGER append_only")
    made = {}
    for n, city in enumerate(("Hangzhou", "Ningbo", "Hangzhou")):
        made[f"F-{n}"] = await placed(
            wire,
            f"F-{n}",
            placed_at=f"2026-11-2{n}T08:00:00Z",
            buyer_id=f"buyer-{n % 2}",
            recipient={"province": "Zhejiang", "city": city},
        )
    # The order that was placed first was paid last.
    await pay(site, "F-0", "2026-11-23T08:00:00Z", "T-0")
    await pay(site, "F-1", "2026-11-22T08:00:00Z", "T-1", provider="adyen")
    await ship(site, "F-1", "SF-1001")
    await ledger.execute(
        "INSERT INTO payment_names (provider, name, payment_id) "
        "SELECT provider, 'ch_' || transaction_id, id FROM payments"
    )
    return made


IN_NOVEMBER = {"placed_from": "2026-11-01T00:00:00Z", "placed_to": "2026-12-01T00:00:00Z"}


THAT_WEEK = {"placed_from": "2026-11-18T00:00:00Z", "placed_to": "2026-11-25T00:00:00Z"}


async def listed(wire: Wire, **query: object) -> list[str]:
    answer = await wire.ask("GET", f"/v1/orders?{urlencode(query)}")
    assert answer.status == 200, answer
    return [shown["order_no"] for shown in answer.json["orders"]]


async def test_orders_are_found_by_what_support_and_finance_know(
    wire: Wire, ids: dict[str, str]
) -> None:
    found = {
        "tracking": await listed(wire, tracking_no="SF-1001"),
        "transaction": await listed(wire, transaction_id="T-1"),
        "other name": await listed(wire, transaction_id="ch_T-0"),
        "of its provider": await listed(wire, transaction_id="ch_T-0", provider="stripe"),
        "of another": await listed(wire, transaction_id="ch_T-0", provider="adyen"),
        "no such": await listed(wire, transaction_id="T-9"),
        "provider": await listed(wire, provider="adyen", **THAT_WEEK),
        "buyer": await listed(wire, buyer_id="buyer-0", **IN_NOVEMBER),
        "country": await listed(wire, region="CN", **IN_NOVEMBER),
        "city": await listed(wire, region="CN/Zhejiang/Hangzhou", **IN_NOVEMBER),
        "abroad": await listed(wire, region="US", **IN_NOVEMBER),
        "updated": await listed(wire, updated_from="2026-11-01T00:00:00Z", **IN_NOVEMBER),
        "not updated": await listed(wire, updated_to="2026-11-01T00:00:00Z", **IN_NOVEMBER),
        "with a number": await listed(wire, buyer_id="buyer-0", order_no="F-2"),
    }
    assert found == {
        "tracking": ["F-1"],
        "transaction": ["F-1"],
        "other name": ["F-0"],
        "of its provider": ["F-0"],
        "of another": [],
        "no such": [],
        "provider": ["F-1"],
        "buyer": ["F-2", "F-0"],
        "country": ["F-2", "F-1", "F-0"],
        "city": ["F-2", "F-0"],
        "abroad": [],
        "updated": ["F-2", "F-1", "F-0"],
        "not updated": [],
        "with a number": ["F-2"],
    }


async def test_by_time_of_payment_the_last_paid_comes_first(
    wire: Wire, ids: dict[str, str]
) -> None:
    first_day = {"paid_from": "2026-11-22T00:00:00Z", "paid_to": "2026-11-23T00:00:00Z"}
    assert await listed(wire, paid_from="2026-11-22T00:00:00Z") == ["F-0", "F-1"]
    assert await listed(wire, **first_day) == ["F-1"]
    assert await listed(wire, **first_day, provider="adyen", channel="web") == ["F-1"]
    assert await listed(wire, paid_to="2026-11-22T08:00:00Z") == []
    query: dict[str, object] = {"paid_from": "2026-11-22T00:00:00Z", "limit": 1}
    seen: list[str] = []
    while len(seen) < 5:
        page = (await wire.ask("GET", f"/v1/orders?{urlencode(query)}")).json
        seen += [shown["order_no"] for shown in page["orders"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == ["F-0", "F-1"]
    # A cursor of one sequence says nothing in the other.
    crossed = await wire.ask("GET", f"/v1/orders?{urlencode({'cursor': query['cursor']})}")
    assert (crossed.status, crossed.fields) == (422, ["cursor"])


async def test_a_filter_without_an_index_needs_a_bound(wire: Wire, ids: dict[str, str]) -> None:
    scanned = {
        "provider": "stripe",
        "buyer_id": "buyer-0",
        "region": "CN",
        "updated_from": "2026-11-01T00:00:00Z",
        "updated_to": "2026-11-01T00:00:00Z",
    }
    wide = {"placed_from": "2026-10-01T00:00:00Z", "placed_to": "2026-11-24T00:00:00Z"}
    open_ended = {"placed_to": "2026-11-24T00:00:00Z"}
    for name, value in scanned.items():
        for path in ("/v1/orders", "/v1/orders/export"):
            for bound in ({}, wide, open_ended, {"status": "paid"}):
                answer = await wire.ask("GET", f"{path}?{urlencode({name: value} | bound)}")
                assert (answer.status, answer.fields) == (422, [name]), bound
                days = PROVIDER_SCAN_DAYS_MAX if name == "provider" else SCAN_DAYS_MAX
                assert f"at most {days} days" in answer.json["errors"][0]["reason"]
            time = THAT_WEEK if name == "provider" else IN_NOVEMBER
            for bound in (time, {"order_no": "F-0"}, {"tracking_no": "SF-1001"}):
                query = urlencode({name: value} | bound)
                assert (await wire.ask("GET", f"{path}?{query}")).status == 200, bound


@pytest.mark.parametrize("region", ["cn", "CN/", "/CN", "CN//Hangzhou", "CN/a/b/c/d", "CHN"])
async def test_a_region_that_is_none_is_named(wire: Wire, region: str) -> None:
    query = urlencode({"region": region} | IN_NOVEMBER)
    answer = await wire.ask("GET", f"/v1/orders?{query}")
    assert (answer.status, answer.fields) == (422, ["region"])


async def test_payments_and_parcels_are_in_the_list_and_the_export(
    wire: Wire, ids: dict[str, str]
) -> None:
    one = (await wire.ask("GET", f"/v1/orders/{ids['F-1']}")).json
    (shown,) = (await wire.ask("GET", "/v1/orders?order_no=F-1")).json["orders"]
    assert shown == one
    (payment,) = shown["payments"]
    assert (payment["provider"], payment["transaction_id"]) == ("adyen", "T-1")
    assert (payment["amount"], payment["currency"]) == ("99.50", "CNY")
    body = (await wire.ask("GET", "/v1/orders/export?order_no=F-1")).body
    (row,) = csv.DictReader(io.StringIO(body.decode(), newline=""))
    assert (row["providers"], row["transaction_ids"]) == ("adyen", "T-1")
    assert row["tracking_nos"] == "SF-1001"
    assert json.loads(row["payments"]) == shown["payments"]
    assert row["updated_at"] == at(shown["updated_at"]).isoformat()
    unpaid = (await wire.ask("GET", "/v1/orders/export?order_no=F-2")).body
    (row,) = csv.DictReader(io.StringIO(unpaid.decode(), newline=""))
    assert (row["providers"], row["transaction_ids"], row["payments"]) == ("", "", "[]")


async def test_a_payment_of_an_order_that_the_key_must_not_see_is_not_found(
    site: Site, wire: Wire, ids: dict[str, str]
) -> None:
    wire.token = await site.token_for("query", channels=["app"])
    for query in ({"transaction_id": "T-1"}, {"tracking_no": "SF-1001"}):
        assert await listed(wire, **query) == []
