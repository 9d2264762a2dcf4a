"""Money that a person records beside what the provider tells of the same number: counted once."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from gateway.domain import events
from gateway.domain.following import FollowUp, OrderState
from tests.domain.support import NOW, follow_up, new_id, order_state, paid
from tests.domain.test_action_rules import LATER, action, done, placed

ALL = Decimal(100)


def told(order_no: str, amount: Decimal = ALL, source: str = "stripe:main") -> FollowUp:
    """Return the provider's word about B-9."""
    event = events.PaymentSucceeded("B-9", order_no, amount, "CNY", NOW)
    return follow_up(event, source=source)


def made_up(order: OrderState, amount: Decimal = ALL) -> FollowUp:
    event = events.PaymentSucceeded("B-9", order.order_no, amount, "CNY", LATER)
    entry = action("make-up-payment", order, event=event)
    return msgspec.structs.replace(entry, source="stripe:by person")


def test_a_payment_that_waits_for_another_order_is_not_made_up() -> None:
    machine, order = placed()
    machine.follow([told("W-77")])
    found = done(machine, made_up(order))
    assert found.refusal is not None
    assert found.refusal.detail == "payment B-9 is told for order W-77"
    machine.place(order_state(order_no="W-77", id=new_id()))
    assert sorted(each.paid for each in machine.orders.values()) == [0, ALL]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_person_sees_that_what_was_made_up_is_told_for_another_order(is_known: bool) -> None:
    machine, order = placed()
    other = order_state(order_no="W-77", id=new_id())
    if is_known:
        machine.place(other)
    assert done(machine, made_up(order)).outcome == "applied"
    machine.follow([told("W-77")])
    if not is_known:
        machine.place(other)
    assert machine.orders[other.id].status == "paid", "money is booked where it is told for"
    (row,) = machine.parked
    assert (row.reason, row.order_id) == ("duplicate_payment", order.id)
    assert row.detail == "payment B-9 was made up for this order; stripe:main tells W-77 of it"
    machine.follow([told("W-77")])
    assert len(machine.parked) == 1, "told again, it is known"


def test_another_shops_account_has_numbers_of_its_own() -> None:
    machine, order = placed()
    other = order_state(order_no="W-77", id=new_id(), channel="app")
    machine.place(other)
    done(machine, made_up(order))
    entry = msgspec.structs.replace(told("W-77", source="stripe:app"), channels=("app",))
    machine.follow([entry])
    assert (machine.orders[other.id].status, machine.parked) == ("paid", [])


@pytest.mark.parametrize(("amount", "parked"), [(ALL, 0), (Decimal(60), 1)])
def test_the_callback_that_comes_after_all_is_a_repeat(amount: Decimal, parked: int) -> None:
    machine, order = placed()
    done(machine, made_up(order))
    machine.follow([told("W-1", amount)])
    (order,) = machine.orders.values()
    assert (order.paid, order.status, len(machine.parked)) == (ALL, "paid", parked)


def refunded(order: OrderState, refund_no: str) -> FollowUp:
    event = events.RefundSucceeded(
        "T-1", "W-1", refund_no, Decimal(10), False, "CNY", LATER, is_apart=True
    )
    return action("refund", order, refund_no, event=event)


def test_a_refund_that_failed_goes_another_way_under_another_number() -> None:
    """The provider told that R-1 succeeded, then that it failed: nothing went back."""
    machine, order = placed(paid())
    of_r1 = ("T-1", "W-1", "R-1", Decimal(10), False, "CNY")
    machine.follow([follow_up(events.RefundSucceeded(*of_r1, NOW))])
    machine.follow([follow_up(events.RefundFailed(*of_r1, NOW + timedelta(hours=1)))])
    found = done(machine, refunded(order, "R-1"))
    assert found.refusal is not None
    assert found.refusal.detail == "refund R-1 failed: record the other way under another number"
    assert done(machine, refunded(order, "R-2")).outcome == "applied"
    (order,) = machine.orders.values()
    assert order.refunded == 10


def test_refund_that_is_recorded_is_the_same() -> None:
    machine, order = placed(paid())
    assert done(machine, refunded(order, "R-1")).outcome == "applied"
    (order,) = machine.orders.values()
    again = msgspec.structs.replace(refunded(order, "R-1"), source_key="k-2")
    assert done(machine, again).outcome == "repeat"
