"""Two accounts of one provider: none changes what is outside its channels, none counts twice."""

import copy
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import authority, events
from gateway.domain.following import FollowUp, OrderState
from tests.domain.machine import Machine
from tests.domain.support import (
    DUE,
    NOW,
    closed,
    delivered,
    follow_up,
    order_state,
    paid,
    payment_state,
    refunded,
    shipped,
)

OURS, OTHERS, SHARED = "stripe:web", "stripe:app", "stripe:web-too"

numbers = st.sampled_from(["", "W-1", "W-2", "W-9"])
transactions = st.sampled_from(["T-1", "T-2", "T-3"])
amounts = st.sampled_from(["100", "40", "0"])

others_events: st.SearchStrategy[events.Event] = st.one_of(
    st.builds(
        lambda order_no, transaction_id, amount: paid(
            amount, order_no=order_no, transaction_id=transaction_id
        ),
        numbers,
        transactions,
        amounts,
    ),
    st.builds(
        lambda order_no, transaction_id, amount, is_total, refund_no: refunded(
            amount,
            order_no=order_no,
            transaction_id=transaction_id,
            cumulative=is_total,
            refund_no=refund_no,
        ),
        numbers,
        transactions,
        amounts,
        st.booleans(),
        st.sampled_from(["R-1", "R-2"]),
    ),
    st.sampled_from(["W-1", "W-2"]).map(lambda number: closed(order_no=number)),
    st.sampled_from(["W-1", "W-2"]).map(lambda number: shipped(order_no=number)),
    st.sampled_from(["W-1", "W-2"]).map(lambda number: delivered(order_no=number)),
    st.just(events.Unmapped("dispute", "W-1", "from another account", NOW)),
)

#: What our own account reports: one payment, two refunds of it that must add up.
OUR_EVENTS: tuple[events.Event, ...] = (
    paid(),
    refunded("30", cumulative=False, refund_no="R-1"),
    refunded("20", cumulative=False, refund_no="R-2", order_no=""),
    shipped(),
)


def report(source: str, channel: str, event: events.Event) -> FollowUp:
    return follow_up(event, source=source, channels=(channel,), trigger=f"callback:{source}")


def _plain(row: Any, *left_out: str) -> dict[str, Any]:
    """Return the fields of a row, and of the rows in it, without ids that each run makes anew."""
    return {
        name: [_plain(each, "id", *left_out) for each in value]
        if name in ("parcels", "refunds", "disputes")
        else value
        for name in row.__struct_fields__
        if name not in left_out and (value := getattr(row, name), True)
    }


def ours(machine: Machine) -> dict[str, Any]:
    """Return everything of the channel ``web`` and of its account."""

    def rows(found: Sequence[Any], *left_out: str) -> list[dict[str, Any]]:
        return [_plain(row, "payment_id", *left_out) for row in found]

    payments = [row for row in machine.payments.values() if row.source == OURS]
    waiting = [row for row in machine.waiting.values() if row.source == OURS]
    return {
        "orders": rows([row for row in machine.orders.values() if row.channel == "web"], "id"),
        "payments": rows(payments, "id"),
        "waiting": rows(waiting, "id", "received_at"),
        "parked": [row.reason for row in machine.parked if row.source == OURS],
    }


@settings(max_examples=400)
@given(data=st.data())
def test_no_sequence_of_one_account_changes_anything_outside_its_channels(
    data: st.DataObject,
) -> None:
    """With the other account's events or without them, our channel ends in the same state."""
    web = order_state()
    placed: list[OrderState | FollowUp] = [web, *(report(OURS, "web", each) for each in OUR_EVENTS)]
    our_way = data.draw(st.permutations(placed))
    theirs: list[OrderState | FollowUp] = [
        order_state(channel="app"),
        order_state(channel="app", order_no="W-2"),
        *(report(OTHERS, "app", each) for each in data.draw(st.lists(others_events, max_size=8))),
    ]
    their_way = data.draw(st.permutations(theirs))
    picks = data.draw(st.permutations([True] * len(our_way) + [False] * len(their_way)))

    alone, together = Machine(), Machine()
    our_rest, their_rest = iter(our_way), iter(their_way)
    for is_ours in picks:
        step = next(our_rest) if is_ours else next(their_rest)
        for machine in (alone, together) if is_ours else (together,):
            if isinstance(step, OrderState):
                machine.place(step)
            else:
                machine.follow([step])
    assert ours(together) == ours(alone)


@settings(max_examples=200)
@given(data=st.data())
def test_a_transaction_that_two_accounts_of_a_channel_report_counts_once(
    data: st.DataObject,
) -> None:
    order = order_state()
    both = [report(source, "web", event) for source in (OURS, SHARED) for event in OUR_EVENTS]
    steps: list[OrderState | FollowUp] = [order, *both]
    machine = Machine()
    for step in data.draw(st.permutations(steps)):
        if isinstance(step, OrderState):
            machine.place(step)
        else:
            machine.follow([step])
    (found,) = machine.orders.values()
    assert (found.status, found.hold) == ("shipped", None)
    assert (found.paid, found.refunded) == (DUE, Decimal(50))
    assert machine.waiting == {}
    assert machine.parked == []
    counted = [row for row in machine.payments.values() if row.standing == "applied"]
    assert [(row.order_id, row.refunded) for row in counted] == [(found.id, Decimal(50))]


def test_the_payment_that_an_account_was_told_of_first_is_not_lost_to_another_one() -> None:
    """An account names another one's transaction first: the true payment is booked all the same."""
    machine = Machine()
    machine.place(order_state())
    machine.follow([report(OTHERS, "app", paid("1", order_no="W-1"))])
    machine.follow([report(OURS, "web", paid())])
    (order,) = machine.orders.values()
    assert (order.status, order.hold) == ("paid", None)


def test_a_refund_that_names_no_order_does_not_reach_another_account_by_waiting() -> None:
    machine = Machine()
    machine.place(order_state())
    machine.follow([report(OTHERS, "app", refunded(order_no=""))])
    machine.follow([report(OURS, "web", paid())])
    (order,) = machine.orders.values()
    assert (order.status, order.refunded) == ("paid", Decimal(0))
    assert [row.source for row in machine.waiting.values()] == [OTHERS]


def test_money_goes_back_from_the_order_that_it_paid_whatever_number_the_refund_names() -> None:
    machine = Machine()
    first, second = order_state(), order_state(order_no="W-2")
    machine.place(first)
    machine.place(second)
    machine.follow([report(OURS, "web", paid())])
    machine.follow([report(OURS, "web", refunded("30", order_no="W-2"))])
    assert machine.orders[first.id].refunded == 30
    assert machine.orders[second.id].refunded == 0


@pytest.mark.parametrize(
    ("channel", "source", "is_booked", "expected"),
    [
        ("web", OURS, False, True),
        ("app", OURS, False, False),
        ("web", OTHERS, False, False),
        ("web", OTHERS, True, True),
        ("app", OTHERS, True, False),
    ],
)
def test_the_rule(channel: str, source: str, is_booked: bool, expected: bool) -> None:
    """``web`` is the account's channel; the payment is of ``source``, maybe booked to the order."""
    order = order_state(channel=channel)
    payment = payment_state(source=source, order_id=order.id if is_booked else None)
    before = copy.deepcopy((order, payment))
    allowed = authority.may_touch(source=OURS, channels=("web",), order=order, payment=payment)
    assert allowed is expected
    assert (order, payment) == before
