"""One event on one order: the table of moves, and every outcome with what it leaves behind."""

import copy
from decimal import Decimal
from typing import get_args

import pytest

from gateway.domain import events, folding
from gateway.domain.following import Step
from gateway.domain.holds import HOLDS
from gateway.domain.orders import Amounts, Hold, Status
from tests.domain.folding_support import apply, pay
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
PART = Decimal(30)

TRANSITIONS: dict[tuple[Status, str], str] = {
    ("pending_payment", "timed_out"): "closed",
    ("pending_payment", "cancelled"): "closed",
    ("pending_payment", "shipped"): "waiting",
    ("pending_payment", "delivered"): "waiting",
    ("paid", "timed_out"): "parked",
    ("paid", "cancelled"): "cancelling",
    ("paid", "shipped"): "shipped",
    ("paid", "delivered"): "completed",
    ("shipped", "timed_out"): "parked",
    ("shipped", "cancelled"): "waiting",
    ("shipped", "shipped"): "shipped",
    ("shipped", "delivered"): "completed",
    ("completed", "timed_out"): "parked",
    ("completed", "cancelled"): "waiting",
    ("completed", "shipped"): "completed",
    ("completed", "delivered"): "repeat",
    ("cancelling", "timed_out"): "parked",
    ("cancelling", "cancelled"): "repeat",
    ("cancelling", "shipped"): "parked",
    ("cancelling", "delivered"): "parked",
    ("refunded", "timed_out"): "parked",
    ("refunded", "cancelled"): "refunded",
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
    before = copy.copy(order)
    step = apply(SAID[action], order)
    if expected in STATUSES:
        assert step == Step("applied", status, order.status)
        assert (order.status, order.version) == (expected, 2)
    else:
        assert (step.outcome, order) == (expected, before)
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


@pytest.mark.parametrize("action", ["shipped", "delivered"])
def test_what_is_paid_on_delivery_leaves_and_arrives_unpaid(action: str) -> None:
    order = order_state()
    assert apply(events.PaysOnDelivery("W-1", NOW), order).outcome == "applied"
    assert apply(events.PaysOnDelivery("W-1", NOW), order).outcome == "repeat"
    apply(SAID[action], order)
    assert order.status == TRANSITIONS["paid", action]
    # The courier hands the money over: the order is as far as it was, and paid.
    assert pay(order).outcome == "applied"
    assert (order.status, order.paid) == (TRANSITIONS["paid", action], DUE)


def test_a_cancelled_order_that_was_paid_owes_a_refund_and_ends_with_it() -> None:
    order, payment = order_state("paid"), payment_state()
    apply(closed("cancelled"), order, others=(payment,))
    assert (order.status, order.hold, order.closed_cause) == (
        "cancelling", "refund_owed", "cancelled",
    )  # fmt: skip
    apply(refunded("30"), order, payment)
    assert (order.status, order.hold) == ("cancelling", "refund_owed")
    apply(refunded("100"), order, payment)
    assert (order.status, order.hold, order.refunded) == ("refunded", None, DUE)


@pytest.mark.parametrize("cause", ["timed_out", "cancelled"])
def test_the_deposit_of_a_closed_order_is_owed_back(cause: str) -> None:
    order, deposit = order_state(), payment_state("waiting", amount=PART)
    apply(paid("30"), order, deposit, is_new=True)
    apply(closed(cause), order, others=(deposit,))
    assert (order.status, order.hold) == (
        "cancelling" if cause == "cancelled" else "closed", "refund_owed",
    )  # fmt: skip
    apply(refunded("30"), order, deposit)
    assert (order.status, order.hold) == ("refunded", None)


def test_the_end_of_a_sent_order_comes_with_its_refund() -> None:
    order, payment = order_state("shipped"), payment_state()
    assert apply(closed("cancelled"), order).outcome == "waiting"
    apply(refunded(), order, payment)
    assert apply(closed("cancelled"), order).outcome == "applied"
    assert (order.status, order.hold) == ("refunded", None)


def test_what_is_refused_at_the_door_is_closed_unpaid() -> None:
    order = order_state()
    for event in (events.PaysOnDelivery("W-1", NOW), shipped(), closed("cancelled")):
        assert apply(event, order).outcome == "applied"
    assert (order.status, order.hold) == ("closed", None)


# --- holds stop what leaves, never what is paid ---

LEAVING: dict[str, events.Event] = {"shipped": shipped(), "delivered": delivered()}


@pytest.mark.parametrize("hold", list(HOLDS))
@pytest.mark.parametrize("action", list(LEAVING))
def test_a_held_order_does_not_leave_if_its_hold_stops_that(hold: Hold, action: str) -> None:
    order = order_state("paid", hold=hold)
    step = apply(LEAVING[action], order)
    if "shipping" in HOLDS[hold].stops:
        assert (step.outcome, order.status) == ("waiting", "paid")
    else:
        assert (step.outcome, order.status) == ("applied", TRANSITIONS["paid", action])


@pytest.mark.parametrize("hold", ["lookalike", "suspected_brushing"])
def test_a_person_releases_what_was_held_when_it_was_placed(hold: Hold) -> None:
    order = order_state("paid", hold=hold, placed_hold=hold)
    step = apply(events.Released("W-1", "called the buyer", NOW), order)
    assert (step.outcome, step.detail, order.hold) == ("applied", "called the buyer", None)
    assert (order.placed_hold, order.released_at) == (hold, NOW)
    assert apply(events.Released("W-1", "once more", NOW), order).outcome == "repeat"
    assert apply(shipped(), order).outcome == "applied"


def test_an_order_that_is_on_its_way_arrives_whatever_its_hold() -> None:
    order = order_state("shipped", hold="disputed")
    assert apply(delivered(), order).outcome == "applied"
    assert order.status == "completed"


# --- amendments ---


def amended(payable: str, *, goods: str | None = None) -> events.Amended:
    amounts = Amounts(goods=Decimal(goods or payable), payable=Decimal(payable))
    return events.Amended("W-1", "CNY", amounts, (), "ab" * 32, NOW)


def test_an_unpaid_order_takes_the_amounts_that_the_shop_tells_now() -> None:
    order = order_state()
    assert apply(amended("80"), order).outcome == "applied"
    assert (order.payable, order.version, order.status) == (Decimal(80), 2, "pending_payment")
    assert pay(order, paid("80")).outcome == "applied"
    assert order.status == "paid"


def test_a_deposit_that_covers_the_new_price_pays_the_order() -> None:
    order, deposit = order_state(), payment_state("waiting", amount=PART)
    apply(paid("30"), order, deposit, is_new=True)
    apply(amended("30"), order, others=(deposit,))
    assert (order.status, order.hold) == ("paid", None)


def test_a_price_of_nothing_pays_the_order() -> None:
    order = order_state()
    apply(amended("0"), order)
    assert (order.status, order.paid_at) == ("paid", NOW)


@pytest.mark.parametrize("status", ["paid", "shipped", "completed", "refunded", "closed"])
def test_a_new_price_after_the_payment_or_the_close_is_shown_to_a_person(status: Status) -> None:
    order = order_state(status)
    step = apply(amended("80"), order)
    assert (step.outcome, step.reason) == ("parked", "impossible_transition")
    assert (order.payable, order.version) == (DUE, 1)


@pytest.mark.parametrize("status", ["pending_payment", "paid", "completed"])
def test_another_split_of_the_same_price_is_taken_at_any_time(status: Status) -> None:
    order = order_state(status)
    split = events.Amended(
        "W-1", "CNY", Amounts(goods=Decimal(90), payable=DUE, freight=Decimal(10)), (), "ab", NOW
    )
    assert apply(split, order).outcome == "applied"
    assert (order.status, order.hold, order.payable) == (status, None, DUE)


def test_an_amendment_says_what_was_due_before() -> None:
    assert apply(amended("80"), order_state()).detail == "due 80.00 CNY instead of 100.00 CNY"


def test_other_goods_of_the_same_price_are_taken() -> None:
    order = order_state()
    assert apply(amended("100"), order).outcome == "applied"
    assert order.version == 2


@pytest.mark.parametrize("cause", ["timed_out", "cancelled"])
@pytest.mark.parametrize("status", STATUSES)
def test_a_way_to_pay_that_was_given_up_closes_only_what_nobody_paid(
    status: Status, cause: str
) -> None:
    order = order_state(status)
    given_up = events.Closed("W-1", cause, NOW, only_unpaid=True)
    expected = {"pending_payment": "applied", "closed": "repeat"}.get(status, "noted")
    if (status, cause) == ("cancelling", "cancelled"):
        expected = "repeat"
    assert apply(given_up, order).outcome == expected
    assert order.status == ("closed" if status == "pending_payment" else status)


def test_a_way_to_pay_that_was_given_up_leaves_a_deposit() -> None:
    order, deposit = order_state(), payment_state("waiting", amount=PART)
    apply(paid("30"), order, deposit, is_new=True)
    given_up = events.Closed("W-1", "timed_out", NOW, only_unpaid=True)
    assert apply(given_up, order, others=(deposit,)).outcome == "noted"
    assert (order.status, order.hold) == ("pending_payment", None)


# --- ranks ---


def test_every_event_has_a_rank() -> None:
    assert set(folding.RANK) == set(get_args(events.Event))


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
