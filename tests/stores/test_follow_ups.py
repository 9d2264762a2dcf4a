"""The lane of follow-ups on the real ledger: what each event leaves in which table."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.domain import events
from gateway.domain.channels import ChannelPolicy
from gateway.domain.following import Done
from gateway.stores.postgres.ledger import Ledger
from gateway.wiring import Gateway
from tests.domain.support import DUE, NOW, closed, delivered, due, paid, refunded, shipped
from tests.stores.support import Database, counts, order, reported, rows, submit, tell

HISTORY = ("action", "from_status", "to_status", "outcome", "reason")
OUTBOX = ("topic", "version", "priority")


async def placed(gateway: Gateway, n: int = 1, order_no: str = "W-1", **changes: Any) -> None:
    await submit(gateway, due(n, order_no=order_no, **changes))


async def history(ledger: Database, order_no: str = "W-1") -> list[tuple[Any, ...]]:
    """Return what befell an order after its placement."""
    found = await ledger.fetch(
        f"SELECT {', '.join(HISTORY)} FROM order_events WHERE action <> 'placed' AND order_id = "
        "(SELECT id FROM orders WHERE order_no = $1) ORDER BY id",
        order_no,
    )
    return [tuple(row) for row in found]


async def state(ledger: Database) -> tuple[Any, ...]:
    stored = await order(ledger)
    return stored["status"], stored["hold"], stored["paid"], stored["refunded"], stored["version"]


# --- in order ---


async def test_a_payment_is_recorded_with_its_order_history_and_outbox(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    done = await tell(gateway, paid(), "evt_1")
    stored = await order(ledger)
    assert done == Done("applied", stored["id"], None, "paid", 2, None, True)
    assert await state(ledger) == ("paid", None, 100, 0, 2)
    assert stored["paid_at"] == paid().occurred_at
    assert stored["updated_at"] > stored["received_at"]
    assert await history(ledger) == [
        ("payment_succeeded", "pending_payment", "paid", "applied", None)
    ]
    assert await rows(ledger, "outbox", *OUTBOX) == [("order.placed", 1, 5), ("order.paid", 2, 1)]
    payment = ("transaction_id", "order_id", "amount", "refunded", "standing", "source")
    assert await rows(ledger, "payments", *payment) == [
        ("T-1", stored["id"], 100, 0, "applied", "stripe:main")
    ]
    made = await counts(ledger)
    assert (made["waiting"], made["parked"]) == (0, 0)


async def test_the_trigger_of_an_event_is_in_the_history(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, paid(), "evt_1")
    found = await rows(ledger, "order_events", "source", "source_key", "trigger")
    assert found == [
        ("placed:web", "W-1", "test"),
        ("stripe:main", "evt_1", "callback:stripe:main"),
    ]


async def test_a_raw_callback_is_stored_sealed(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    follow_up = reported(gateway, paid(), raw=b"CanaryBody")
    await gateway.intake.accept_event(follow_up)
    body = await ledger.fetchval("SELECT body FROM raw_messages WHERE id = $1", follow_up.id)
    assert b"Canary" not in body
    opened = gateway.stores.sealer.open("raw_messages.body", follow_up.id.bytes, body)
    assert opened == b"CanaryBody"


async def test_the_whole_life_of_an_order(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    for event in (paid(), shipped(), delivered(), refunded("30"), refunded("100")):
        assert (await tell(gateway, event)).outcome == "applied"
    assert await state(ledger) == ("refunded", None, 100, 100, 6)
    stored = await order(ledger)
    assert (stored["carrier"], stored["tracking_no"]) == ("SF", "SF-1")
    assert (stored["shipped_at"], stored["completed_at"]) == (
        shipped().occurred_at,
        delivered().occurred_at,
    )
    assert await rows(ledger, "outbox", *OUTBOX) == [
        ("order.placed", 1, 5),
        ("order.paid", 2, 1),
        ("order.shipped", 3, 1),
        ("order.completed", 4, 5),
        ("order.changed", 5, 5),
        ("order.refunded", 6, 2),
    ]


async def test_an_unpaid_order_is_closed(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    assert (await tell(gateway, closed("cancelled"))).status == "closed"
    assert (await order(ledger))["closed_at"] == closed().occurred_at
    assert await rows(ledger, "outbox", *OUTBOX) == [("order.placed", 1, 5), ("order.closed", 2, 3)]


async def test_what_is_only_noted_is_recorded_once_and_moves_nothing(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    outcomes = [
        await tell(gateway, events.Noted("dispute.created", NOW), "evt_1") for _ in range(2)
    ]
    assert [done.outcome for done in outcomes] == ["noted", "repeat"]
    assert await rows(ledger, "order_events", "action", "outcome") == [
        ("placed", "applied"),
        ("dispute.created", "noted"),
    ]
    assert (await order(ledger))["version"] == 1


async def test_the_smallest_unit_of_money_survives_the_way_through_the_database(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(1, Decimal("1.005"), order_no="W-1", currency="KWD"))
    await tell(gateway, paid("1.005", currency="KWD"))
    await tell(gateway, refunded("0.001", cumulative=False, refund_no="R-1", currency="KWD"))
    stored = await order(ledger)
    assert (stored["status"], stored["paid"]) == ("paid", Decimal("1.005"))
    assert stored["refunded"] == Decimal("0.001")


# --- early ---


async def test_a_payment_before_its_order_waits_and_is_applied_when_it_comes(
    gateway: Gateway, ledger: Database
) -> None:
    done = await tell(gateway, paid(), "evt_1")
    assert done == Done("waiting", is_new=True)
    waiting = ("transaction_id", "channels", "order_no", "tried_at", "shown_at")
    assert await rows(ledger, "waiting", *waiting) == [("T-1", ["web"], "W-1", None, None)]
    assert await rows(ledger, "payments", "standing", "order_id") == [("waiting", None)]
    await placed(gateway)
    assert await state(ledger) == ("paid", None, 100, 0, 2)
    assert (await counts(ledger))["waiting"] == 0
    stored = await order(ledger)
    assert await rows(ledger, "payments", "standing", "order_id") == [("applied", stored["id"])]
    found = await rows(ledger, "order_events", "action", "order_id", "outcome")
    assert found == [
        ("payment_succeeded", None, "waiting"),
        ("placed", stored["id"], "applied"),
        ("payment_succeeded", stored["id"], "applied"),
    ]


async def test_a_wrong_payment_before_its_order_holds_it_when_it_comes(
    gateway: Gateway, ledger: Database
) -> None:
    await tell(gateway, paid(currency="USD"))
    await placed(gateway)
    assert await state(ledger) == ("pending_payment", "amount_mismatch", 0, 0, 2)
    assert await rows(ledger, "parked", "reason") == [("amount_mismatch",)]


async def test_everything_may_come_before_its_order(gateway: Gateway, ledger: Database) -> None:
    for event in (delivered(), shipped(), refunded("30"), paid()):
        assert (await tell(gateway, event)).outcome == "waiting"
    await placed(gateway)
    assert await state(ledger) == ("completed", None, 100, 30, 5)
    assert (await counts(ledger))["waiting"] == 0


async def test_a_refund_that_names_only_the_transaction_finds_its_order(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, paid())
    done = await tell(gateway, refunded("100", order_no=""))
    assert (done.outcome, done.status) == ("applied", "refunded")
    assert await state(ledger) == ("refunded", None, 100, 100, 3)


@pytest.mark.parametrize("order_no", ["", "W-1"], ids=["by transaction", "by number"])
@pytest.mark.parametrize("is_order_first", [True, False])
async def test_a_refund_before_its_payment_waits_for_it(
    gateway: Gateway, ledger: Database, order_no: str, is_order_first: bool
) -> None:
    if is_order_first:
        await placed(gateway)
    assert (await tell(gateway, refunded("100", order_no=order_no))).outcome == "waiting"
    await tell(gateway, paid())
    if not is_order_first:
        await placed(gateway)
    assert await state(ledger) == ("refunded", None, 100, 100, 3)
    assert (await counts(ledger))["waiting"] == 0


async def test_a_parcel_before_the_payment_waits_for_it(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    for event in (delivered(), shipped()):
        assert (await tell(gateway, event)).outcome == "waiting"
    assert await state(ledger) == ("pending_payment", None, 0, 0, 1)
    done = await tell(gateway, paid())
    assert (done.outcome, done.status, done.version) == ("applied", "completed", 4)
    assert (await counts(ledger))["waiting"] == 0


async def test_a_waiting_event_keeps_all_its_fields(gateway: Gateway, ledger: Database) -> None:
    event = refunded("0.01", cumulative=False, refund_no="R-1")
    await tell(gateway, event)
    (kept,) = await ledger.fetchrow("SELECT event::text FROM waiting")
    assert msgspec.json.decode(kept, type=events.RefundSucceeded) == event


async def test_what_is_tried_in_vain_and_then_applied_in_one_batch_waits_no_more(
    gateway: Gateway, ledger: Database
) -> None:
    """The close has nothing for the refund that waits; the payment behind it in the batch has."""
    await placed(gateway)
    await tell(gateway, refunded("30"))
    stores = gateway.stores
    real = Ledger(pool=stores.primary, sealer=stores.sealer, new_id=gateway.new_id, is_late=False)
    await real.follow([reported(gateway, closed()), reported(gateway, paid())])
    assert (await counts(ledger))["waiting"] == 0
    assert await state(ledger) == ("closed", "refund_owed", 100, 30, 4)
    assert (await tell(gateway, refunded("100"))).status == "refunded"


# --- again ---


async def test_the_same_event_again_changes_nothing(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    await tell(gateway, paid(), "evt_1")
    before = await counts(ledger)
    await gateway.committer.drain()
    for _ in range(3):
        assert (await tell(gateway, paid(), "evt_1")).outcome == "repeat"
    assert await counts(ledger) == before
    assert await state(ledger) == ("paid", None, 100, 0, 2)


async def test_the_same_payment_under_another_key_is_recorded_as_a_repeat(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, paid())
    done = await tell(gateway, paid())
    assert (done.outcome, done.version) == ("repeat", 2)
    assert [line[3] for line in await history(ledger)] == ["applied", "repeat"]
    assert (await counts(ledger))["payments"] == 1


async def test_the_same_event_twice_in_one_batch_has_one_effect(
    gateway: Gateway, ledger: Database
) -> None:
    stores = gateway.stores
    real = Ledger(pool=stores.primary, sealer=stores.sealer, new_id=gateway.new_id, is_late=False)
    await placed(gateway)
    batch = [reported(gateway, paid(), "evt_1") for _ in range(3)]
    assert [done.outcome for done in await real.follow(batch)] == ["applied", "repeat", "repeat"]
    assert [done.outcome for done in await real.follow(batch)] == ["repeat"] * 3
    assert (await counts(ledger))["raw_messages"] == 2


async def test_a_whole_life_in_one_batch_in_any_order(gateway: Gateway, ledger: Database) -> None:
    stores = gateway.stores
    real = Ledger(pool=stores.primary, sealer=stores.sealer, new_id=gateway.new_id, is_late=False)
    await placed(gateway)
    part = refunded("30", order_no="")
    sent: list[events.Event] = [refunded("100"), delivered(), shipped(), part, paid()]
    await real.follow([reported(gateway, event) for event in sent])
    stored = await state(ledger)
    assert stored[:4] == ("refunded", None, 100, 100)
    assert (await counts(ledger))["waiting"] == 0


async def test_one_refund_reported_by_two_messages_counts_once(
    gateway: Gateway, ledger: Database
) -> None:
    """Told by a callback and by a poll, before the payment and after it."""
    part = refunded("30", cumulative=False, refund_no="R-1")
    await tell(gateway, part)
    await placed(gateway)
    await tell(gateway, paid())
    assert (await tell(gateway, part, source="stripe:poll")).outcome == "repeat"
    assert (await state(ledger))[3] == 30
    await tell(gateway, refunded("30", cumulative=False, refund_no="R-2"))
    assert (await state(ledger))[3] == 60
    assert await history(ledger) == [
        ("payment_succeeded", "pending_payment", "paid", "applied", None),
        ("refund_succeeded", "paid", "paid", "applied", None),
        ("refund_succeeded", "paid", "paid", "repeat", None),
        ("refund_succeeded", "paid", "paid", "applied", None),
    ]


async def test_the_same_refund_twice_while_it_waits_counts_once(
    gateway: Gateway, ledger: Database
) -> None:
    for _ in range(2):
        await tell(gateway, refunded("30", cumulative=False, refund_no="R-1"))
    await tell(gateway, paid())
    await placed(gateway)
    assert await state(ledger) == ("paid", None, 100, 30, 3)
    assert (await counts(ledger))["waiting"] == 0


# --- wrong ---


async def parked(ledger: Database) -> list[tuple[Any, ...]]:
    """Return what stands before a person: the reason and the order, each with its history."""
    found = await ledger.fetch(
        "SELECT p.reason, o.order_no, e.outcome, e.reason AS said FROM parked p "
        "LEFT JOIN orders o ON o.id = p.order_id "
        "LEFT JOIN order_events e ON (e.source, e.source_key) = (p.source, p.source_key) "
        "ORDER BY p.id"
    )
    return [tuple(row) for row in found]


@pytest.mark.parametrize(
    "wrong", [paid("99.99"), paid("100.01"), paid(currency="USD")], ids=["less", "more", "currency"]
)
async def test_a_wrong_amount_is_parked_and_holds_the_order_of_a_channel_without_parts(
    gateway: Gateway, ledger: Database, wrong: events.PaymentSucceeded
) -> None:
    gateway.policies.now = {**gateway.policies.now, "web": ChannelPolicy(parts="single")}
    await placed(gateway)
    done = await tell(gateway, wrong)
    assert (done.outcome, done.reason, done.hold) == (
        "parked",
        "amount_mismatch",
        "amount_mismatch",
    )
    assert await state(ledger) == ("pending_payment", "amount_mismatch", 0, 0, 2)
    assert await parked(ledger) == [("amount_mismatch", "W-1", "parked", "amount_mismatch")]
    assert await rows(ledger, "payments", "standing", "amount", "currency") == [
        ("mismatch", wrong.amount, wrong.currency)
    ]
    assert await rows(ledger, "outbox", *OUTBOX) == [
        ("order.placed", 1, 5),
        ("order.changed", 2, 5),
    ]


async def test_after_a_wrong_amount_the_right_one_still_pays(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    gateway.policies.now = {**gateway.policies.now, "web": ChannelPolicy(parts="single")}
    await tell(gateway, paid("90", transaction_id="T-0"))
    await tell(gateway, paid())
    assert await state(ledger) == ("paid", "amount_mismatch", 100, 0, 3)
    await tell(gateway, refunded("90", transaction_id="T-0", order_no=""))
    assert await state(ledger) == ("paid", None, 100, 0, 4)


async def test_a_second_transaction_is_parked_as_a_duplicate(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, paid())
    done = await tell(gateway, paid(transaction_id="T-2"))
    assert (done.outcome, done.reason) == ("parked", "duplicate_payment")
    assert await state(ledger) == ("paid", "duplicate_payment", 200, 0, 3)
    assert await parked(ledger) == [("duplicate_payment", "W-1", "parked", "duplicate_payment")]
    assert await rows(ledger, "payments", "transaction_id", "standing") == [
        ("T-1", "applied"),
        ("T-2", "duplicate"),
    ]
    await tell(gateway, refunded("100", transaction_id="T-2"))
    assert await state(ledger) == ("paid", None, 200, 100, 4)


async def test_two_wrong_payments_hold_the_order_until_both_went_back(
    gateway: Gateway, ledger: Database
) -> None:
    """The other payment is not in the batch: it is read with the order."""
    await placed(gateway)
    for transaction_id in ("T-2", "T-3"):
        await tell(gateway, paid("90", transaction_id=transaction_id, currency="USD"))
    await tell(gateway, refunded("90", transaction_id="T-3", currency="USD"))
    assert (await state(ledger))[1] == "amount_mismatch"
    await tell(gateway, refunded("90", transaction_id="T-2", currency="USD"))
    assert (await state(ledger))[1] is None


async def test_a_payment_after_the_close_is_parked_until_it_went_back(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, closed())
    done = await tell(gateway, paid())
    assert (done.outcome, done.reason) == ("parked", "paid_after_close")
    assert await state(ledger) == ("closed", "refund_owed", 100, 0, 3)
    assert await parked(ledger) == [("paid_after_close", "W-1", "parked", "paid_after_close")]
    await tell(gateway, refunded("100"))
    assert await state(ledger) == ("refunded", None, 100, 100, 4)


async def test_a_held_order_is_held_again_when_the_wrong_money_is_gone(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await ledger.execute("UPDATE orders SET hold = 'lookalike', placed_hold = 'lookalike'")
    await tell(gateway, closed())
    await tell(gateway, paid())
    await tell(gateway, refunded("100"))
    assert (await state(ledger))[:2] == ("refunded", "lookalike")


async def test_more_refunded_than_paid_is_parked_and_moves_nothing(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, paid())
    done = await tell(gateway, refunded("100.01"))
    assert (done.outcome, done.reason) == ("parked", "refund_exceeds_payment")
    # What went back is never more than was paid.
    assert await state(ledger) == ("refunded", None, 100, 100, 3)
    assert await parked(ledger) == [
        ("refund_exceeds_payment", "W-1", "parked", "refund_exceeds_payment")
    ]


@pytest.mark.parametrize("before", [[paid()], [closed()], [paid(), shipped()]], ids=repr)
async def test_an_impossible_move_is_parked_and_moves_nothing(
    gateway: Gateway, ledger: Database, before: list[events.Event]
) -> None:
    await placed(gateway)
    for event in before:
        await tell(gateway, event)
    as_it_was = await state(ledger)
    impossible = shipped() if isinstance(before[-1], events.Closed) else closed()
    done = await tell(gateway, impossible)
    assert (done.outcome, done.reason) == ("parked", "impossible_transition")
    assert await state(ledger) == as_it_was
    assert await parked(ledger) == [
        ("impossible_transition", "W-1", "parked", "impossible_transition")
    ]


async def test_one_transaction_for_two_orders_pays_the_first_and_is_parked_for_the_second(
    gateway: Gateway, ledger: Database
) -> None:
    """Somebody is wrong: the second order is not silently unpaid."""
    await placed(gateway)
    await placed(gateway, 2, "W-2")
    await tell(gateway, paid())
    done = await tell(gateway, paid(order_no="W-2"))
    assert (done.outcome, done.reason) == ("parked", "duplicate_payment")
    assert await parked(ledger) == [("duplicate_payment", "W-2", "parked", "duplicate_payment")]
    assert (await order(ledger, "W-2"))["status"] == "pending_payment"


async def test_what_is_parked_is_parked_once(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    for _ in range(3):
        await tell(gateway, paid("1", currency="USD"), "evt_1")
    assert (await counts(ledger))["parked"] == 1


# --- whose order ---


async def test_an_account_only_reaches_orders_of_its_channels(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway, channel="app")
    assert (await tell(gateway, paid(), channels=("web", "store"))).outcome == "waiting"
    assert (await order(ledger))["status"] == "pending_payment"
    await placed(gateway, 2, channel="store")
    found = await ledger.fetch("SELECT channel, status FROM orders ORDER BY channel")
    assert [tuple(row) for row in found] == [("app", "pending_payment"), ("store", "paid")]


async def test_of_two_orders_with_one_number_the_channel_named_first_is_meant(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway, 1, channel="app")
    await placed(gateway, 2, channel="web")
    await tell(gateway, paid(), channels=("web", "app"))
    found = await ledger.fetch("SELECT channel, status FROM orders ORDER BY channel")
    assert [tuple(row) for row in found] == [("app", "pending_payment"), ("web", "paid")]


async def test_a_settle_of_an_unknown_order_is_no_error(gateway: Gateway) -> None:
    assert (await gateway.intake.settle(gateway.new_id())).outcome == "repeat"


async def test_one_number_reported_by_two_accounts_is_two_transactions(
    gateway: Gateway, ledger: Database
) -> None:
    """Nobody takes a number away from another account by reporting it first."""
    wrong = paid("1", currency="USD")
    await tell(gateway, wrong, source="stripe:app", channels=("app",))
    await placed(gateway)
    assert (await tell(gateway, paid())).outcome == "applied"
    assert (await state(ledger))[0] == "paid"
    await submit(gateway, due(2, channel="app", order_no="W-1"))
    found = await ledger.fetch("SELECT channel, status, hold FROM orders ORDER BY channel")
    assert [tuple(row) for row in found] == [
        ("app", "pending_payment", "amount_mismatch"),
        ("web", "paid", None),
    ]
    made = await counts(ledger)
    assert (made["waiting"], made["payments"]) == (0, 2)


async def test_a_transaction_that_two_accounts_of_one_channel_report_counts_once(
    gateway: Gateway, ledger: Database
) -> None:
    """Both reported it before the order came; one of both is marked as a repeat."""
    refund = refunded("30", cumulative=False, refund_no="R-1")
    for source in ("stripe:main", "stripe:second"):
        for event in (paid(), refund):
            assert (await tell(gateway, event, source=source)).outcome == "waiting"
    await placed(gateway)
    stored = await order(ledger)
    assert (stored["status"], stored["hold"]) == ("paid", None)
    assert (stored["paid"], stored["refunded"]) == (DUE, 30)
    assert await rows(ledger, "payments", "standing") == [("applied",), ("repeat",)]
    again = await tell(gateway, refund, source="stripe:second")
    assert again.outcome == "repeat"
    made = await counts(ledger)
    assert (made["waiting"], made["parked"]) == (0, 0)


async def test_a_refund_cannot_reach_another_channel_by_waiting(
    gateway: Gateway, ledger: Database
) -> None:
    """It names no order and the transaction of another account, before that one was paid."""
    await placed(gateway)
    for at in ("before", "after"):
        refund = await tell(gateway, refunded(order_no=""), source="stripe:app", channels=("app",))
        assert refund.outcome == "waiting", at
        await tell(gateway, paid())
        assert await gateway.maintenance.orders_to_settle(10) == []
        stored = await order(ledger)
        assert (stored["status"], stored["refunded"]) == ("paid", 0)


async def test_a_refund_recorded_by_an_older_version_is_known(
    gateway: Gateway, ledger: Database
) -> None:
    """Before revision 0009 the key of a single refund named the provider, not the account."""
    await placed(gateway)
    await tell(gateway, paid())
    refund = refunded("30", cumulative=False, refund_no="R-1")
    await tell(gateway, refund)
    await ledger.execute("ALTER TABLE order_events DISABLE TRIGGER append_only")
    await ledger.execute(
        "UPDATE order_events SET source = 'refund:stripe' WHERE source = 'refund:stripe:main'"
    )
    await ledger.execute("ALTER TABLE order_events ENABLE TRIGGER append_only")
    assert (await tell(gateway, refund)).outcome == "repeat"
    assert (await order(ledger))["refunded"] == 30


# --- parcels ---


def arrived(parcel: str) -> events.Delivered:
    return events.Delivered("", NOW, parcel)


async def test_a_courier_completes_the_order_that_was_shipped_under_its_number(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    for event in (paid(), shipped()):
        await tell(gateway, event)
    parcel = (await order(ledger))["tracking_no"]
    for _ in range(2):
        await tell(gateway, arrived(parcel), "push-1")
    assert (await state(ledger))[0] == "completed"
    assert (await counts(ledger))["parked"] == 0


async def test_a_parcel_of_no_order_or_of_another_channels_is_parked(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    for event in (paid(), shipped()):
        await tell(gateway, event)
    parcel = (await order(ledger))["tracking_no"]
    await tell(gateway, arrived("elsewhere"))
    await tell(gateway, arrived(parcel), channels=("app",))
    assert (await state(ledger))[0] == "shipped"
    assert await rows(ledger, "parked", "reason", "detail") == [
        ("unknown_order", "not exactly one order was shipped under elsewhere"),
        ("unknown_order", f"not exactly one order was shipped under {parcel}"),
    ]
    assert (await counts(ledger))["waiting"] == 0


async def test_a_parcel_of_two_orders_is_parked(gateway: Gateway, ledger: Database) -> None:
    for n in (1, 2):
        await placed(gateway, n, order_no=f"W-{n}")
        await tell(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"))
        await tell(gateway, shipped(order_no=f"W-{n}"))
    await tell(gateway, arrived((await order(ledger))["tracking_no"]))
    assert [row["status"] for row in await ledger.fetch("SELECT status FROM orders")] == [
        "shipped",
        "shipped",
    ]
    assert (await counts(ledger))["parked"] == 1
