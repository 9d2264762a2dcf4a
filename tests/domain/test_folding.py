"""One event on one order: the table of moves, and every outcome with what it leaves behind."""

from datetime import timedelta
from decimal import Decimal
from typing import get_args

import pytest

from gateway.domain import events, folding
from gateway.domain.following import OrderState, PaymentState, Step
from gateway.domain.orders import Status
from tests.domain.support import (
    DUE,
    NOW,
    closed,
    delivered,
    order_state,
    paid,
    payment_state,
    refunded,
    shipped,
)

STATUSES: tuple[Status, ...] = get_args(Status)
ZERO, PART = Decimal(0), Decimal(30)


def apply(
    event: events.Event,
    order: OrderState | None,
    payment: PaymentState | None = None,
    *,
    is_new: bool = False,
    others: tuple[PaymentState, ...] = (),
) -> Step:
    """Apply ``event``; ``others`` are transactions of the same order beside its own."""
    for row in (payment, *others):
        if row is not None and row.standing != "waiting" and order is not None:
            row.order_id = order.id
    payments = [row for row in (payment, *others) if row is not None]
    return folding.apply(event, order=order, payment=payment, is_new=is_new, payments=payments)


def pay(order: OrderState | None, event: events.PaymentSucceeded | None = None) -> Step:
    """Apply a payment that was not reported before."""
    event = event or paid()
    payment = payment_state(
        "waiting", amount=event.amount, currency=event.currency, order_no=event.order_no
    )
    return apply(event, order, payment, is_new=True)


# --- moves without money ---

TRANSITIONS: dict[tuple[Status, str], str] = {
    ("pending_payment", "timed_out"): "closed",
    ("pending_payment", "cancelled"): "closed",
    ("pending_payment", "shipped"): "waiting",
    ("pending_payment", "delivered"): "waiting",
    ("paid", "timed_out"): "parked",
    ("paid", "cancelled"): "parked",
    ("paid", "shipped"): "shipped",
    ("paid", "delivered"): "waiting",
    ("shipped", "timed_out"): "parked",
    ("shipped", "cancelled"): "parked",
    ("shipped", "shipped"): "repeat",
    ("shipped", "delivered"): "completed",
    ("completed", "timed_out"): "parked",
    ("completed", "cancelled"): "parked",
    ("completed", "shipped"): "repeat",
    ("completed", "delivered"): "repeat",
    ("refunded", "timed_out"): "parked",
    ("refunded", "cancelled"): "parked",
    ("refunded", "shipped"): "parked",
    ("refunded", "delivered"): "parked",
    ("closed", "timed_out"): "repeat",
    ("closed", "cancelled"): "repeat",
    ("closed", "shipped"): "parked",
    ("closed", "delivered"): "parked",
}
SAID: dict[str, events.Event] = {
    "timed_out": closed("timed_out"),
    "cancelled": closed("cancelled"),
    "shipped": shipped(),
    "delivered": delivered(),
}


def test_the_table_below_is_whole() -> None:
    assert set(TRANSITIONS) == {(status, action) for status in STATUSES for action in SAID}


@pytest.mark.parametrize(("status", "action"), list(TRANSITIONS))
def test_each_action_does_in_each_status_what_the_table_says(status: Status, action: str) -> None:
    order, expected = order_state(status), TRANSITIONS[status, action]
    step = apply(SAID[action], order)
    if expected in STATUSES:
        assert step == Step("applied", status, order.status)
        assert (order.status, order.version) == (expected, 2)
    else:
        assert (step.outcome, order) == (expected, order_state(status, id=order.id))
    assert step.reason == ("impossible_transition" if expected == "parked" else None)


@pytest.mark.parametrize("action", list(SAID))
def test_what_is_about_an_unknown_order_waits(action: str) -> None:
    assert apply(SAID[action], None) == Step("waiting")


def test_a_dispatch_leaves_carrier_and_tracking_number() -> None:
    order = order_state("paid")
    apply(shipped(), order)
    assert (order.carrier, order.tracking_no) == ("SF", "SF-1")
    assert order.shipped_at == shipped().occurred_at


def test_close_and_delivery_leave_their_times() -> None:
    one, two = order_state(), order_state("shipped")
    apply(closed(), one)
    apply(delivered(), two)
    assert one.closed_at == closed().occurred_at
    assert two.completed_at == delivered().occurred_at


def test_what_is_only_noted_changes_nothing() -> None:
    order = order_state()
    assert apply(events.Noted("ping", NOW), order) == Step("noted")
    assert order.version == 1


# --- payments ---


def test_a_payment_pays_its_order() -> None:
    order, payment = order_state(), payment_state("waiting")
    step = apply(paid(), order, payment, is_new=True)
    assert step == Step("applied", "pending_payment", "paid")
    assert (order.status, order.paid, order.version, order.hold) == ("paid", DUE, 2, None)
    assert (payment.standing, payment.order_id) == ("applied", order.id)
    assert order.paid_at == paid().occurred_at


def test_a_payment_before_its_order_waits() -> None:
    assert pay(None) == Step("waiting")


def test_a_payment_reported_again_is_a_repeat_whether_its_order_came_or_not() -> None:
    order = order_state("paid")
    assert apply(paid(), None, payment_state("waiting")).outcome == "repeat"
    assert apply(paid(), order, payment_state("applied")).outcome == "repeat"
    assert order.version == 1


def test_a_waiting_payment_is_applied_when_its_order_is_there() -> None:
    order = order_state()
    assert apply(paid(), order, payment_state("waiting")).outcome == "applied"
    assert order.status == "paid"


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    "wrong", [paid("99.99"), paid("100.01"), paid("0"), paid(currency="USD")], ids=str
)
def test_a_wrong_amount_or_currency_holds_the_order(
    status: Status, wrong: events.PaymentSucceeded
) -> None:
    order = order_state(status)
    before = order.paid
    step = pay(order, wrong)
    assert (step.outcome, step.reason) == ("parked", "amount_mismatch")
    assert f"{wrong.amount} {wrong.currency}" in step.detail
    assert (order.status, order.paid, order.hold) == (status, before, "amount_mismatch")
    assert order.version == 2


def test_an_amount_counts_by_its_value_not_by_its_spelling() -> None:
    order = order_state()
    assert pay(order, paid("1E+2")).outcome == "applied"


def test_a_payment_after_the_close_is_owed_back() -> None:
    order = order_state("closed")
    step = pay(order)
    assert (step.outcome, step.reason) == ("parked", "paid_after_close")
    assert (order.status, order.paid, order.hold) == ("closed", DUE, "paid_after_close")


@pytest.mark.parametrize("status", ["paid", "shipped", "completed", "refunded"])
def test_a_second_transaction_is_owed_back(status: Status) -> None:
    order = order_state(status)
    step = pay(order, paid(transaction_id="T-2"))
    assert (step.outcome, step.reason) == ("parked", "duplicate_payment")
    assert (order.status, order.paid, order.hold) == (status, DUE, "duplicate_payment")


def test_a_second_transaction_after_the_close_is_a_duplicate_of_the_first() -> None:
    order = order_state("closed")
    pay(order)
    assert pay(order, paid(transaction_id="T-2")).reason == "duplicate_payment"


@pytest.mark.parametrize(
    "other", [paid("99.99"), paid(currency="USD"), paid(order_no="W-2")], ids=str
)
@pytest.mark.parametrize("standing", ["waiting", "applied"])
def test_a_transaction_that_contradicts_itself_is_shown_to_a_person(
    other: events.PaymentSucceeded, standing: str
) -> None:
    """The same transaction with another amount or order is no repeat: somebody is wrong."""
    order = order_state("paid" if standing == "applied" else "pending_payment")
    payment = payment_state("applied" if standing == "applied" else "waiting")
    step = apply(other, order, payment)
    assert step.outcome == "parked"
    assert (order.version, payment.amount, payment.standing) == (1, DUE, standing)


def test_a_transaction_that_contradicts_itself_is_shown_before_its_order_comes() -> None:
    assert apply(paid("99.99"), None, payment_state("waiting")).outcome == "parked"


# --- refunds ---


@pytest.mark.parametrize("status", ["paid", "shipped", "completed"])
def test_a_partial_refund_leaves_the_status_and_a_full_one_ends_it(status: Status) -> None:
    order, payment = order_state(status), payment_state()
    assert apply(refunded("30"), order, payment) == Step("applied", status, status)
    assert (order.status, order.refunded, payment.refunded) == (status, PART, PART)
    assert apply(refunded("100"), order, payment) == Step("applied", status, "refunded")
    assert (order.refunded, payment.refunded, order.version) == (DUE, DUE, 3)


def test_single_refunds_add_up() -> None:
    order, payment = order_state("paid"), payment_state()
    for number in range(4):
        step = apply(refunded("25", cumulative=False, refund_no=f"R-{number}"), order, payment)
        assert step.outcome == "applied"
    assert (order.status, order.refunded) == ("refunded", DUE)


def test_a_lesser_total_that_arrives_late_is_a_repeat() -> None:
    order, payment = order_state("paid"), payment_state()
    apply(refunded("60"), order, payment)
    assert apply(refunded("30"), order, payment).outcome == "repeat"
    assert (order.refunded, order.version) == (Decimal(60), 2)


@pytest.mark.parametrize("cumulative", [True, False])
def test_more_than_was_paid_does_not_go_back(cumulative: bool) -> None:
    order, payment = order_state("paid"), payment_state()
    apply(refunded("30"), order, payment)
    step = apply(refunded("100.01", cumulative=cumulative), order, payment)
    assert (step.outcome, step.reason) == ("parked", "refund_exceeds_payment")
    assert (order.refunded, payment.refunded, order.version) == (PART, PART, 2)


def test_a_refund_in_another_currency_is_parked() -> None:
    order, payment = order_state("paid"), payment_state()
    step = apply(refunded("1", currency="USD"), order, payment)
    assert (step.outcome, step.reason) == ("parked", "refund_exceeds_payment")


@pytest.mark.parametrize("payment", [None, payment_state("waiting")])
@pytest.mark.parametrize("order", [None, order_state()])
def test_a_refund_waits_for_its_payment(
    order: OrderState | None, payment: PaymentState | None
) -> None:
    assert apply(refunded(), order, payment).outcome == "waiting"


@pytest.mark.parametrize("cumulative", [True, False])
def test_a_refund_of_nothing_moves_nothing(cumulative: bool) -> None:
    order, payment = order_state("paid"), payment_state(refunded=PART)
    assert apply(refunded("0", cumulative=cumulative), order, payment).outcome == "repeat"
    assert (order.refunded, payment.refunded, order.version) == (ZERO, PART, 1)


def test_what_came_after_the_close_and_went_back_is_settled() -> None:
    order = order_state("closed", paid=DUE, hold="paid_after_close")
    payment = payment_state("after_close")
    apply(refunded("30"), order, payment)
    assert (order.status, order.hold) == ("closed", "paid_after_close")
    apply(refunded("100"), order, payment)
    assert (order.status, order.hold, order.refunded) == ("refunded", None, DUE)


def test_the_wrong_amount_gone_back_releases_the_order_unmoved() -> None:
    order = order_state(hold="amount_mismatch")
    payment = payment_state("mismatch", amount=Decimal(90))
    apply(refunded("40"), order, payment)
    assert order.hold == "amount_mismatch"
    apply(refunded("90"), order, payment)
    assert (order.status, order.refunded) == ("pending_payment", ZERO)
    assert order.hold is None


# --- holds: what a person must look at does not go away by itself ---


def test_one_wrong_payment_gone_back_does_not_release_the_other() -> None:
    order = order_state("paid", hold="duplicate_payment")
    one = payment_state("mismatch", transaction_id="T-2", amount=Decimal(90))
    two = payment_state("duplicate", transaction_id="T-3")
    apply(refunded("90", transaction_id="T-2"), order, one, others=(two,))
    assert order.hold == "duplicate_payment"
    apply(refunded("100", transaction_id="T-3"), order, two, others=(one,))
    assert order.hold is None


def test_a_duplicate_gone_back_does_not_hide_that_the_first_is_owed() -> None:
    order = order_state("closed", paid=DUE, hold="duplicate_payment")
    first, second = payment_state("after_close"), payment_state("duplicate", transaction_id="T-2")
    apply(refunded("100", transaction_id="T-2"), order, second, others=(first,))
    assert order.hold == "paid_after_close"


def test_a_hold_of_the_placement_is_back_when_the_wrong_money_is_gone() -> None:
    order = order_state(hold="suspected_brushing", placed_hold="suspected_brushing")
    payment = payment_state("waiting", amount=Decimal(90))
    holds: list[str | None] = []
    for event in (paid("90"), refunded("90")):
        apply(event, order, payment, is_new=not holds)
        holds.append(order.hold)
    assert holds == ["amount_mismatch", "suspected_brushing"]


def test_a_released_order_is_not_held_again_by_a_refund_that_owes_nothing() -> None:
    order = order_state("paid", hold=None, placed_hold="lookalike")
    apply(refunded("100"), order, payment_state())
    assert (order.status, order.hold) == ("refunded", None)


# --- ranks ---


def test_money_in_is_applied_before_money_out_and_both_before_the_rest() -> None:
    waiting = [delivered(), shipped(), closed(), refunded(), paid()]
    waiting.sort(key=lambda event: folding.RANK[type(event)])
    assert [type(event) for event in waiting] == [
        events.PaymentSucceeded,
        events.RefundSucceeded,
        events.Closed,
        events.Shipped,
        events.Delivered,
    ]


def test_the_time_it_happened_is_stored_not_when_it_was_reported() -> None:
    order = order_state()
    at = NOW - timedelta(days=3)
    pay(order, paid(occurred_at=at))
    assert order.paid_at == at
