"""Orders in parts on the real ledger: payments, refunds, disputes and parcels, each as rows."""

import json
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from gateway.domain import events, fingerprint, orders
from gateway.domain.channels import ChannelPolicy
from gateway.domain.events import ParcelLine
from gateway.wiring import Gateway
from tests.domain.support import DUE, NOW, closed, delivered, due, paid, refunded, shipped
from tests.stores.support import Database, at_once, order, rows, submit, tell


async def placed(gateway: Gateway, n: int = 1, order_no: str = "W-1", **changes: Any) -> None:
    await submit(gateway, due(n, order_no=order_no, **changes))


def part(n: int, amount: str, **changes: Any) -> events.PaymentSucceeded:
    at = NOW + timedelta(minutes=n)
    return paid(amount, **{"transaction_id": f"P-{n}", "occurred_at": at, **changes})


def failed(amount: str, **changes: Any) -> events.RefundFailed:
    made: dict[str, Any] = {
        "transaction_id": "T-1",
        "order_no": "",
        "refund_no": "R-1",
        "amount": Decimal(amount),
        "cumulative": False,
        "currency": "CNY",
        "occurred_at": NOW + timedelta(hours=1),
    }
    return events.RefundFailed(**made | changes)


def disputed(state: Any, minute: int, amount: str = "100", **changes: Any) -> events.Dispute:
    made: dict[str, Any] = {
        "transaction_id": "T-1",
        "order_no": "",
        "dispute_no": "D-1",
        "amount": Decimal(amount),
        "currency": "CNY",
        "state": state,
        "reason": "fraudulent",
        "occurred_at": NOW + timedelta(minutes=minute),
    }
    return events.Dispute(**made | changes)


async def money(ledger: Database, order_no: str = "W-1") -> tuple[Any, ...]:
    stored = await order(ledger, order_no)
    return stored["status"], stored["hold"], stored["paid"], stored["refunded"]


# --- parts ---


async def test_parts_add_up(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    await tell(gateway, part(1, "60"))
    assert await money(ledger) == ("pending_payment", None, 60, 0)
    assert (await tell(gateway, part(2, "40"))).status == "paid"
    assert await money(ledger) == ("paid", None, 100, 0)
    assert (await order(ledger))["paid_at"] == NOW + timedelta(minutes=2)
    assert await rows(ledger, "outbox", "topic", "version") == [
        ("order.placed", 1), ("order.changed", 2), ("order.paid", 3),
    ]  # fmt: skip


async def test_a_surplus_is_parked_and_named(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    await tell(gateway, part(1, "60"))
    done = await tell(gateway, part(2, "60"))
    assert (done.status, done.reason, done.hold) == ("paid", "overpaid", "overpaid")
    ((detail,),) = await rows(ledger, "parked", "detail")
    assert detail.endswith("20.00 CNY must go back")
    await tell(gateway, refunded("20", transaction_id="P-2"))
    assert await money(ledger) == ("paid", None, 120, 20)


async def test_a_channel_without_parts_is_told_of_each(gateway: Gateway, ledger: Database) -> None:
    gateway.policies.now = {**gateway.policies.now, "web": ChannelPolicy(parts="single")}
    await placed(gateway)
    for n in (1, 2):
        assert (await tell(gateway, part(n, "50"))).reason == "amount_mismatch"
    assert await money(ledger) == ("pending_payment", "amount_mismatch", 0, 0)


async def test_the_deposit_of_a_closed_order_is_owed_back(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, part(1, "60"))
    await tell(gateway, closed("cancelled"))
    assert await money(ledger) == ("cancelling", "refund_owed", 60, 0)
    await tell(gateway, refunded("60", transaction_id="P-1"))
    assert await money(ledger) == ("refunded", None, 60, 60)
    assert (await order(ledger))["closed_cause"] == "cancelled"


async def test_parts_that_arrive_at_once_are_all_booked(gateway: Gateway, ledger: Database) -> None:
    for n in range(8):
        await placed(gateway, n, order_no=f"W-{n}")
    told = [
        tell(gateway, part(k, "20", transaction_id=f"P-{n}-{k}", order_no=f"W-{n}"))
        for n in range(8)
        for k in range(5)
    ]
    outcomes = await at_once(told)
    assert not [each for each in outcomes if isinstance(each, BaseException)]
    for n in range(8):
        assert await money(ledger, f"W-{n}") == ("paid", None, 100, 0)


PLAYED: dict[str, events.Event] = {
    "part 1": part(1, "60"),
    "part 2": part(2, "40"),
    "refund": refunded("20", transaction_id="P-1", occurred_at=NOW + timedelta(minutes=9)),
    "close": closed("cancelled"),
}


async def test_every_order_of_parts_a_repeat_a_refund_and_a_close_ends_the_same(
    gateway: Gateway, ledger: Database
) -> None:
    """All 24 ways, each part told twice; the placement comes first, last or in between."""
    for n, way in enumerate(permutations(PLAYED)):
        order_no = f"W-{n}"
        for step, name in enumerate([*way, "part 1"]):
            if step == n % 5:
                await placed(gateway, n, order_no=order_no)
            told = PLAYED[name]
            changes: dict[str, Any] = {"order_no": order_no}
            if not isinstance(told, events.Closed):
                changes["transaction_id"] = f"{told.transaction_id}-{n}"  # type: ignore[union-attr]
            made = {field: getattr(told, field) for field in told.__struct_fields__}
            await tell(gateway, type(told)(**made | changes))
    for order_id in await gateway.maintenance.orders_to_settle(500):
        await gateway.intake.settle(order_id)
    ends = await rows(ledger, "orders", "status", "hold", "paid", "refunded")
    assert set(ends) == {("cancelling", "refund_owed", DUE, Decimal(20))}
    assert await rows(ledger, "waiting", "id") == []


# --- one payment under several numbers ---


async def test_a_refund_finds_its_payment_by_any_of_its_numbers(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, refunded("30", transaction_id="ch_1", order_no=""))
    await tell(gateway, paid(transaction_id="cs_1", names=("in_1",), is_provisional=True))
    await tell(gateway, paid(transaction_id="pi_1", names=("ch_1",)))
    for order_id in await gateway.maintenance.orders_to_settle(500):
        await gateway.intake.settle(order_id)
    assert await money(ledger) == ("paid", None, 100, 30)
    named = await ledger.fetch("SELECT DISTINCT name FROM payment_names ORDER BY name")
    assert [row["name"] for row in named] == ["ch_1", "in_1", "pi_1"]
    await tell(gateway, refunded("50", transaction_id="in_1", order_no=""))
    assert (await money(ledger))[3] == 50


# --- refunds that fail, disputes ---


async def test_a_failed_refund_is_taken_back_and_shown(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    await tell(gateway, paid())
    await tell(gateway, refunded("100", cumulative=False, refund_no="R-1"))
    assert await money(ledger) == ("refunded", None, 100, 100)
    done = await tell(gateway, failed("100"))
    assert (done.reason, done.status) == ("refund_failed", "paid")
    assert await money(ledger) == ("paid", None, 100, 0)
    assert await rows(ledger, "refunds", "refund_no", "amount", "is_failed") == [
        ("R-1", 100, False), ("R-1", 100, True),
    ]  # fmt: skip
    assert (await tell(gateway, failed("100"))).outcome == "repeat"
    await tell(gateway, refunded("100", cumulative=False, refund_no="R-2"))
    assert await money(ledger) == ("refunded", None, 100, 100)


async def test_what_was_refunded_before_reports_were_kept_counts(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, paid())
    await tell(gateway, refunded("30"))
    await ledger.execute("DELETE FROM refunds")
    await tell(gateway, refunded("20", cumulative=False, refund_no="R-2"))
    assert await money(ledger) == ("paid", None, 100, 50)
    assert await rows(ledger, "refunds", "amount", "is_total") == [(30, True), (20, False)]


async def test_a_dispute_holds_with_its_amount_and_deadline_until_it_ends(
    gateway: Gateway, ledger: Database
) -> None:
    due_at = NOW + timedelta(days=7)
    await tell(gateway, disputed("opened", 5, "40", due_at=due_at))
    await placed(gateway)
    await tell(gateway, paid())
    await gateway.intake.settle((await order(ledger))["id"])
    assert await money(ledger) == ("paid", "disputed", 100, 0)
    assert await rows(ledger, "disputes", "state", "amount", "due_at") == [("opened", 40, due_at)]
    await tell(gateway, disputed("lost", 6, "40"))
    assert await money(ledger) == ("paid", None, 100, 40)
    await tell(gateway, disputed("won", 7, "40"))
    assert await money(ledger) == ("paid", None, 100, 0)
    assert await rows(ledger, "disputes", "state", "due_at") == [("won", due_at)]


# --- parcels ---


async def test_parcels_are_rows_and_a_courier_finds_each(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, paid())
    lines = (ParcelLine("SKU-1", 1),)
    await tell(gateway, shipped())
    await tell(gateway, events.Shipped("W-1", "JD", "JD-2", NOW, "F-2", lines))
    found = await rows(ledger, "parcels", "tracking_no", "parcel_no", "lines")
    assert found == [("SF-1", "", "[]"), ("JD-2", "F-2", '[{"sku": "SKU-1", "quantity": 1}]')]
    for tracking_no, status in (("JD-2", "shipped"), ("SF-1", "completed")):
        done = await tell(gateway, events.Delivered("", NOW, tracking_no))
        assert (done.outcome, done.status) == ("applied", status)


async def test_an_order_shipped_before_parcels_were_rows_is_found_by_its_parcel(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, paid())
    await tell(gateway, shipped())
    await ledger.execute("DELETE FROM parcels")
    assert (await tell(gateway, events.Delivered("", NOW, "SF-1"))).status == "completed"
    assert await rows(ledger, "parcels", "tracking_no", "delivered_at") == [("SF-1", NOW)]


async def test_what_is_paid_on_delivery_is_completed_unpaid(
    gateway: Gateway, ledger: Database
) -> None:
    await tell(gateway, delivered())
    await tell(gateway, shipped())
    await placed(gateway)
    await tell(gateway, events.PaysOnDelivery("W-1", NOW))
    assert await money(ledger) == ("completed", None, 0, 0)
    assert await rows(ledger, "waiting", "id") == []


# --- holds ---


async def test_what_a_held_order_reports_waits_is_shown_and_applied_at_its_release(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(1, order_no="W-0"), "key-0")
    await submit(gateway, due(1, order_no="W-1"), "key-1")
    assert (await order(ledger))["hold"] == "lookalike"
    await tell(gateway, paid())
    assert (await tell(gateway, shipped())).outcome == "waiting"
    assert await money(ledger) == ("paid", "lookalike", 100, 0)
    await ledger.execute("UPDATE waiting SET received_at = now() - interval '1 day'")
    assert len(await gateway.maintenance.park_overdue_events(900, 10)) == 1
    assert await rows(ledger, "parked", "reason", "detail") == [
        ("held", "shipped, and the order is held: lookalike")
    ]
    done = await tell(gateway, events.Released("W-1", "called the buyer", NOW))
    assert (done.outcome, done.status, done.hold) == ("applied", "shipped", None)
    assert await rows(ledger, "parked", "resolved_at IS NOT NULL") == [(True,)]
    topics = await ledger.fetch(
        "SELECT topic FROM outbox WHERE order_id = $1 ORDER BY version", (await order(ledger))["id"]
    )
    assert [row["topic"] for row in topics] == [
        "order.placed", "order.changed", "order.paid", "order.shipped",
    ]  # fmt: skip


# --- amendments ---


async def test_an_amended_order_is_stored_as_the_shop_tells_it_now(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    told = due(1, Decimal("80.00"), order_no="W-1")
    digest = fingerprint.payload(told).hex()
    amended = events.Amended("W-1", "CNY", told.amounts, tuple(told.items), digest, NOW)
    assert (await tell(gateway, amended, "shop/1")).outcome == "applied"
    stored = await order(ledger)
    assert (stored["payable"], stored["goods"], stored["version"]) == (80, 80, 2)
    assert orders.Item(**_decimals(stored["items"])[0]).unit_price == Decimal(80)
    # Told once more, it is the order that is stored.
    assert (await submit(gateway, told)).answer == "replayed"
    await tell(gateway, paid("80"))
    assert (await order(ledger))["status"] == "paid"
    assert (await tell(gateway, amended, "shop/1")).outcome == "repeat"


def _decimals(items: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(items)
    for item in found:
        for name in ("unit_price", "discount"):
            item[name] = Decimal(item.get(name, "0"))
    return found


@pytest.mark.parametrize("payable", ["90.00", "110.00"])
async def test_a_new_price_after_the_payment_is_shown_to_a_person(
    gateway: Gateway, ledger: Database, payable: str
) -> None:
    await placed(gateway)
    await tell(gateway, paid())
    told = due(1, Decimal(payable), order_no="W-1")
    digest = fingerprint.payload(told).hex()
    amended = events.Amended("W-1", "CNY", told.amounts, tuple(told.items), digest, NOW)
    assert (await tell(gateway, amended)).reason == "impossible_transition"
    assert (await order(ledger))["payable"] == 100
