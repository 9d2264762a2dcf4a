"""Screening in the ledger: findings are stored with the order, and limits hold under rivals."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain import handoff_payload, orders
from gateway.domain.events import Released
from gateway.domain.placing import Placed
from gateway.intake import screening
from gateway.runtime.settings import Channel, Settings
from gateway.runtime.settings_rules import Rule
from gateway.stores.postgres.ledger import Ledger
from gateway.stores.postgres.orders_to_tell import OrdersToTell
from gateway.wiring import Gateway
from tests.domain import support
from tests.domain.support import NOW, due, paid, submission
from tests.stores.support import Database, alone, at_once, gateways, order, submit, tell, with_
from tests.stores.test_nothing_due import free, told_of

BLOCKED = Rule(name="bad-numbers", kind="blocked", phones=["+8613800138000"])
FIVE_AN_HOUR = Rule(name="five-an-hour", kind="limit", orders_max=4, window_s=3600)
TWO_EACH = Rule(
    name="two-each",
    kind="limit",
    per="buyer_or_phone",
    pieces_max=2,
    skus=["LEAF-*"],
    window_s=86400,
)
WEST = Rule(name="west", kind="route", regions=["CN/Sichuan"], warehouse="cd-1", carrier="sf")
ELSE = Rule(name="else", kind="route", warehouse="hz-1")


@asynccontextmanager
async def screened_by(settings: Settings, *rules: Rule, rivals: int = 1) -> AsyncIterator[Any]:
    """Open gateways with these rules; one stands bare."""
    made = [alone(with_(settings, rules=list(rules)))] * rivals
    async with gateways(*made) as opened:
        yield opened[0] if rivals == 1 else opened


def tea(n: int, quantity: int = 1, **changes: Any) -> orders.Submission:
    """Return order ``n`` over some pieces of tea."""
    item = {"sku": "LEAF-1", "name": "Tea", "quantity": quantity, "unit_price": "10.00"}
    return submission(n, items=[item], order_no=f"W-{n}", **changes)


async def found(ledger: Database, order_no: str = "W-1") -> dict[str, Any]:
    """Return what is stored of the rules' findings of an order."""
    stored = (await order(ledger, order_no))["screening"]
    return {} if stored is None else dict(json.loads(stored))


async def detail(ledger: Database, placed: Placed) -> str | None:
    """Return what the history says of a placement."""
    query = "SELECT detail FROM order_events WHERE order_id = $1 AND action = 'placed'"
    text: str | None = await ledger.fetchval(query, placed.id)
    return text


async def test_without_rules_nothing_is_stored(gateway: Gateway, ledger: Database) -> None:
    placed = await submit(gateway, tea(1))
    assert (placed.hold, (await order(ledger))["screening"]) == (None, None)
    assert await detail(ledger, placed) is None
    assert await ledger.fetchval("SELECT count(*) FROM purchases") == 0


async def test_a_blocked_number_holds_and_is_stored_masked(
    settings: Settings, ledger: Database
) -> None:
    async with screened_by(settings, BLOCKED, ELSE) as gateway:
        placed = await submit(gateway, tea(1, recipient={"phone": "138 0013 8000"}))
    assert placed.hold == "screened"
    stored = await order(ledger)
    assert (stored["placed_hold"], stored["hold"]) == ("screened", "screened")
    assert await found(ledger) == {
        "findings": [
            {
                "rule": "bad-numbers",
                "kind": "blocked",
                "outcome": "held",
                "values": {"phone": "+86****8000"},
            },
            {"rule": "else", "kind": "route", "outcome": "routed", "values": {"warehouse": "hz-1"}},
        ],
        "warehouse": "hz-1",
    }
    assert await detail(ledger, placed) == "screened by bad-numbers"
    assert "13800138000" not in str(await ledger.fetch("SELECT * FROM order_events"))


async def test_money_is_taken_and_a_person_ends_the_hold(
    settings: Settings, ledger: Database
) -> None:
    async with screened_by(settings, BLOCKED) as gateway:
        placed = await submit(gateway, due(1, order_no="W-1", recipient={"phone": "13800138000"}))
        done = await tell(gateway, paid())
        assert (done.status, done.hold) == ("paid", "screened")
        assert "order.paid" not in await told_of(ledger, placed.id)
        done = await tell(gateway, Released("W-1", "looked at", NOW))
        assert done.hold is None
    assert (await told_of(ledger, placed.id))[-1] == "order.paid"


@pytest.mark.parametrize("stops", [True, False])
async def test_a_note_does_not_keep_an_order_from_the_warehouse(
    settings: Settings, ledger: Database, stops: bool
) -> None:
    rule = Rule(name="look", kind="expression", when="lines > 0", stops_hand_off=stops)
    async with screened_by(settings, rule) as gateway:
        placed = await submit(gateway, free())
    assert placed.hold == ("screened" if stops else "screened_note")
    last = (await told_of(ledger, placed.id))[-1]
    assert last == ("order.changed" if stops else "order.paid")


async def test_the_fifth_order_in_an_hour_is_held(settings: Settings, ledger: Database) -> None:
    async with screened_by(settings, FIVE_AN_HOUR) as gateway:
        holds = [(await submit(gateway, tea(n, buyer_id="b"))).hold for n in range(1, 7)]
        assert holds == [
            None,
            None,
            None,
            "suspected_brushing",
            "suspected_brushing",
            "suspected_brushing",
        ]
        apart = [(await submit(gateway, tea(n, n, buyer_id="c"))).hold for n in range(10, 16)]
    assert apart == [None] * 4 + ["screened"] * 2
    finding = (await found(ledger, "W-14"))["findings"]
    values = {"per": "buyer", "window_s": 3600, "orders_max": 4, "orders": 5, "pieces": 60}
    assert finding == [
        {"rule": "five-an-hour", "kind": "limit", "outcome": "held", "values": values}
    ]


async def test_pieces_are_counted_over_orders_by_buyer_and_by_phone(
    settings: Settings, ledger: Database
) -> None:
    async with screened_by(settings, TWO_EACH) as gateway:
        to: dict[str, Any] = {"recipient": {"phone": "13800138001"}}
        assert (await submit(gateway, tea(1, buyer_id="b", **to))).hold is None
        assert (await submit(gateway, tea(2, 2, buyer_id="other", **to))).hold == "screened"
        assert (await submit(gateway, tea(3, 2, buyer_id="b"))).hold == "screened"
        assert (await submit(gateway, submission(4, buyer_id="b"))).hold is None
        assert (await submit(gateway, tea(5, 3, buyer_id="c"))).hold == "screened"
    assert [each["values"]["per"] for each in (await found(ledger, "W-2"))["findings"]] == ["phone"]
    keys = [key for (key,) in await ledger.fetch("SELECT key FROM purchases")]
    assert all(len(key) == 16 for key in keys)


async def test_a_repeat_and_a_double_click_count_once(settings: Settings, ledger: Database) -> None:
    async with screened_by(settings, TWO_EACH) as gateway:
        for _ in range(3):
            assert (await submit(gateway, tea(1, 2, buyer_id="b"))).hold is None
        double = tea(1, 2, buyer_id="b")
        double = orders.decode_accepted(
            support.order_bytes(1, **_as_changes(double), order_no="W-9")
        )
        assert (await submit(gateway, double)).answer == "replayed"
    assert await ledger.fetchval("SELECT sum(cardinality(recent)) FROM purchases") == 2


def _as_changes(sent: orders.Submission) -> dict[str, Any]:
    item = {"sku": "LEAF-1", "name": "Tea", "quantity": 2, "unit_price": "10.00"}
    return {"items": [item], "buyer_id": sent.buyer_id}


async def test_of_200_at_once_exactly_as_many_pass_as_may(
    settings: Settings, ledger: Database
) -> None:
    limit = Rule(name="ten", kind="limit", orders_max=10, window_s=86400)
    async with screened_by(settings, limit, rivals=2) as rivals:
        placed = await at_once(
            [submit(rivals[n % 2], tea(n, quantity=n, buyer_id="b")) for n in range(1, 201)]
        )
    assert Counter(each.hold for each in placed) == {None: 10, "screened": 190}
    counted = [
        json.loads(text)["findings"][0]["values"]["orders"]
        for (text,) in await ledger.fetch("SELECT screening FROM orders WHERE hold = 'screened'")
    ]
    assert set(counted) == {11}, "only as many are kept as tell that it is over the limit"


async def test_a_small_order_is_released_whatever_holds_it_but_not_what_is_not_named(
    settings: Settings, ledger: Database
) -> None:
    small = Rule(
        name="small", kind="release", below=["CNY 25.00"], releases=["lookalike", "two-each"]
    )
    channel = Channel("web", lookalike_window_s=0)
    changed = with_(settings, channels=[channel])
    async with screened_by(changed, TWO_EACH, BLOCKED, small) as gateway:
        same: dict[str, Any] = {"buyer_id": "b", "recipient": {"phone": "13800138001"}}
        free_of = {"amounts": {"freight": "0"}}
        assert (await submit(gateway, tea(1, 2, **same, **free_of))).hold is None
        twin = await submit(gateway, tea(2, 2, **same, **free_of))
        assert twin.hold is None
        assert await detail(ledger, twin) == (
            "looks like order W-1; lookalike released by small; two-each released by small; "
            "two-each released by small"
        )
        dear = await submit(gateway, tea(3, 3, **same, **free_of))
        assert dear.hold == "screened"
        blocked = {"recipient": {"phone": "13800138000"}, "amounts": {"freight": "0"}}
        assert (await submit(gateway, tea(4, 1, **blocked))).hold == "screened"


async def test_a_lookalike_that_is_screened_too_shows_the_graver_hold(
    settings: Settings, ledger: Database
) -> None:
    changed = with_(settings, channels=[Channel("web", lookalike_window_s=0)])
    note = Rule(name="note", kind="expression", when="lines > 0", stops_hand_off=False)
    for n, (rule, hold) in enumerate(((BLOCKED, "screened"), (note, "lookalike"))):
        same: dict[str, Any] = {"buyer_id": f"b{n}", "recipient": {"phone": "13800138000"}}
        async with screened_by(changed, rule) as gateway:
            await submit(gateway, tea(10 * n + 1, **same, amounts={"freight": "0"}))
            twin = await submit(gateway, tea(10 * n + 2, **same, amounts={"freight": "0"}))
        assert twin.hold == hold
        said = f"looks like order W-{10 * n + 1}; screened by {rule.name}"
        assert await detail(ledger, twin) == said


async def test_the_route_is_stored_with_the_rule_that_chose_it(
    settings: Settings, ledger: Database
) -> None:
    async with screened_by(settings, WEST, ELSE) as gateway:
        await submit(gateway, tea(1, recipient={"province": "Sichuan"}))
        await submit(gateway, tea(2))
    west, other = await found(ledger), await found(ledger, "W-2")
    assert (west["warehouse"], west["carrier"]) == ("cd-1", "sf")
    assert [each["rule"] for each in west["findings"]] == ["west"]
    assert (other["warehouse"], other.get("carrier")) == ("hz-1", None)


async def test_late_orders_are_judged_by_when_they_came(
    settings: Settings, ledger: Database
) -> None:
    """Drained after a live one was stored: within any hour that holds it, five are too many."""
    async with screened_by(settings, FIVE_AN_HOUR) as gateway:
        rules = gateway.rules
        assert (
            rules.now.rules.names
            == screening.load(with_(settings, rules=[FIVE_AN_HOUR])).rules.names
        )
        stores = gateway.stores
        late = Ledger(
            pool=stores.primary,
            sealer=stores.sealer,
            new_id=gateway.new_id,
            is_late=True,
            rules=rules,
        )
        now = datetime.now(UTC)

        def received(n: int, minutes: float) -> Any:
            sent, at = tea(n, quantity=n, buyer_id="b"), now - timedelta(minutes=minutes)
            return support.placement(sent, received_at=at)

        first = await late.place([received(n, 200 - n) for n in range(1, 5)])
        apart = await late.place([received(10, 120)])
        fifth = await late.place([received(11, 190)])
        sixth = await late.place([received(12, 260 - 30)])
    holds = [each.hold for each in (*first, *apart, *fifth, *sixth) if isinstance(each, Placed)]
    assert holds == [None] * 5 + ["screened"] * 2


async def test_a_target_is_told_warehouse_and_carrier(settings: Settings, ledger: Database) -> None:
    async with screened_by(settings, WEST, ELSE) as gateway:
        west = await submit(gateway, tea(1, recipient={"province": "Sichuan"}))
        other = await submit(gateway, tea(2))
        stores = gateway.stores
        told = await OrdersToTell(pool=stores.primary, sealer=stores.sealer).read(
            [west.id, other.id], has_private=False
        )
    bodies = [
        json.loads(handoff_payload.render("order.paid", each.id, NOW, order_))["data"]["order"]
        for each in (west, other)
        if (order_ := told[each.id]) is not None
    ]
    assert [(each["warehouse"], each["carrier"]) for each in bodies] == [
        ("cd-1", "sf"), ("hz-1", None),
    ]  # fmt: skip
