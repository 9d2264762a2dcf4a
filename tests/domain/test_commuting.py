"""Whichever way the events of an order arrive, and however often, it ends in the same state."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import events
from gateway.domain.following import FollowUp, OrderState
from gateway.domain.orders import Hold
from tests.domain.machine import Machine
from tests.domain.support import (
    DUE,
    NOW,
    closed,
    delivered,
    follow_up,
    order_state,
    paid,
    refunded,
    shipped,
)

PLACED = "placed"

CUMULATIVE = {"partial": refunded("30"), "full": refunded("100")}
SINGLE = {
    "partial": refunded("30", cumulative=False, refund_no="R-1"),
    "full": refunded("70", cumulative=False, refund_no="R-2"),
}
NAMELESS = {"partial": refunded("30", order_no=""), "full": refunded("100", order_no="")}
REFUNDS = {"cumulative": CUMULATIVE, "single": SINGLE, "by transaction only": NAMELESS}


def events_of(refunds: Mapping[str, Any]) -> dict[str, FollowUp]:
    """Return the events of one order by name; each has a key that its repeats share."""
    reported = {"paid": paid(), "paid again": paid(), **refunds, "closed": closed()}
    return {name: follow_up(event, key=name) for name, event in reported.items()}


def arrivals(names: Sequence[str]) -> st.SearchStrategy[list[list[str]]]:
    """Draw all of ``names`` in any order with repeats among them, parted into batches."""

    def parted(drawn: tuple[list[str], list[bool]]) -> list[list[str]]:
        batches: list[list[str]] = [[]]
        for name, is_cut in zip(drawn[0], [*drawn[1], *[True] * len(drawn[0])], strict=False):
            batches[-1].append(name)
            if is_cut:
                batches.append([])
        return [batch for batch in batches if batch]

    repeats = st.lists(st.sampled_from(names), max_size=5)
    orders = repeats.flatmap(lambda more: st.permutations([*names, *more]))
    return st.tuples(orders, st.lists(st.booleans(), max_size=10)).map(parted)


def run(
    order: OrderState,
    reported: Mapping[str, FollowUp],
    batches: Sequence[Sequence[str]],
    *,
    takes_parts: bool = True,
) -> Machine:
    """Let the batches arrive; a placement is a lane of its own, so it parts a batch in two."""
    machine = Machine(takes_parts=takes_parts)
    for batch in batches:
        gathered: list[FollowUp] = []
        for name in batch:
            if name == PLACED:
                machine.follow(gathered)
                machine.place(order)
                gathered = []
            else:
                gathered.append(reported[name])
        machine.follow(gathered)
    return machine


def state(machine: Machine) -> dict[str, Any]:
    """Return what must not depend on the order of arrival."""
    (order,) = machine.orders.values()
    (payment,) = machine.payments.values()
    return {
        "status": order.status,
        "hold": order.hold,
        "paid": order.paid,
        "refunded": order.refunded,
        "refunded of the payment": payment.refunded,
        "is paired": payment.order_id == order.id,
        "waiting": len(machine.waiting),
    }


@pytest.mark.parametrize("hold", [None, "lookalike"])
@pytest.mark.parametrize("kind", list(REFUNDS))
@settings(max_examples=150)
@given(data=st.data())
def test_all_ways_lead_to_the_same_state(kind: str, hold: Hold | None, data: st.DataObject) -> None:
    reported = events_of(REFUNDS[kind])
    order = order_state(hold=hold, placed_hold=hold)
    machine = run(order, reported, data.draw(arrivals([PLACED, *reported])))
    assert state(machine) == {
        "status": "refunded",
        "hold": hold,
        "paid": DUE,
        "refunded": DUE,
        "refunded of the payment": DUE,
        "is paired": True,
        "waiting": 0,
    }


@pytest.mark.parametrize("kind", list(REFUNDS))
@settings(max_examples=100)
@given(data=st.data())
def test_without_a_close_a_partial_refund_leaves_a_paid_order(
    kind: str, data: st.DataObject
) -> None:
    reported = events_of(REFUNDS[kind])
    del reported["closed"], reported["full"]
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    found = state(machine)
    assert (found["status"], found["paid"], found["refunded"]) == ("paid", DUE, 30)
    assert (found["waiting"], machine.parked) == (0, [])


@settings(max_examples=150)
@given(data=st.data())
def test_parcels_may_arrive_before_they_left_and_leave_before_they_were_paid(
    data: st.DataObject,
) -> None:
    moves: dict[str, events.Event] = {
        "paid": paid(),
        "shipped": shipped(),
        "delivered": delivered(),
    }
    reported = {name: follow_up(event, key=name) for name, event in moves.items()}
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    (order,) = machine.orders.values()
    assert (order.status, order.hold, order.paid) == ("completed", None, DUE)
    assert (order.carrier, order.tracking_no) == ("SF", "SF-1")
    assert (machine.waiting, machine.parked) == ({}, [])


@settings(max_examples=150)
@given(data=st.data())
def test_wrong_money_that_went_back_leaves_no_mark_but_the_history(data: st.DataObject) -> None:
    """The right payment, a wrong amount and its refund: the order ends paid and free."""
    wrong = Decimal(90)
    moves: dict[str, events.Event] = {
        "paid": paid(),
        "wrong": paid(wrong, transaction_id="T-2"),
        "wrong again": paid(wrong, transaction_id="T-2"),
        "wrong back": refunded(wrong, transaction_id="T-2"),
    }
    reported = {name: follow_up(event, key=name) for name, event in moves.items()}
    machine = run(
        order_state(), reported, data.draw(arrivals([PLACED, *reported])), takes_parts=False
    )
    (order,) = machine.orders.values()
    assert (order.status, order.hold) == ("paid", None)
    assert (order.paid, order.refunded) == (DUE, Decimal(0))
    assert [row.reason for row in machine.parked] == ["amount_mismatch"]


@settings(max_examples=150)
@given(data=st.data())
def test_the_hold_tells_which_wrong_money_is_still_here(data: st.DataObject) -> None:
    """Of two wrong payments one went back: whichever way they came, the order is held."""
    moves: dict[str, events.Event] = {
        "wrong": paid("90", transaction_id="T-2"),
        "wrong too": paid("80", transaction_id="T-3"),
        "one back": refunded("80", transaction_id="T-3", order_no=""),
    }
    reported = {name: follow_up(event, key=name) for name, event in moves.items()}
    machine = run(
        order_state(), reported, data.draw(arrivals([PLACED, *reported])), takes_parts=False
    )
    (order,) = machine.orders.values()
    assert (order.status, order.hold) == ("pending_payment", "amount_mismatch")
    assert machine.waiting == {}


# --- parts ---


def in_parts(cause: str | None, *, is_total: bool) -> dict[str, FollowUp]:
    """Return {part 1, part 2, repeat, refund of a part, close} of one order."""
    refund = refunded(
        "20", transaction_id="P-1", cumulative=is_total, refund_no="R-1",
        occurred_at=NOW + timedelta(minutes=9),
    )  # fmt: skip
    moves: dict[str, events.Event] = {
        "part 1": paid("60", transaction_id="P-1"),
        "part 2": paid("40", transaction_id="P-2"),
        "repeat": paid("60", transaction_id="P-1"),
        "refund": refund,
        "refund, polled": refund,
    }
    if cause is not None:
        moves["close"] = closed(cause)
    return {name: follow_up(event, key=name) for name, event in moves.items()}


@pytest.mark.parametrize("is_total", [True, False])
@pytest.mark.parametrize("cause", [None, "cancelled"])
@settings(max_examples=200)
@given(data=st.data())
def test_parts_add_up_whichever_way_they_come(
    cause: str | None, is_total: bool, data: st.DataObject
) -> None:
    reported = in_parts(cause, is_total=is_total)
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    (order,) = machine.orders.values()
    assert (order.paid, order.refunded, machine.waiting) == (DUE, Decimal(20), {})
    is_closed = cause is not None
    assert (order.status, order.hold) == (
        ("cancelling", "refund_owed") if is_closed else ("paid", None)
    )


@settings(max_examples=200)
@given(data=st.data())
def test_a_timeout_meets_parts_early_or_too_late(data: st.DataObject) -> None:
    """Whoever was first is right; whichever it is, the money agrees and nothing is forgotten."""
    reported = in_parts("timed_out", is_total=True)
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    (order,) = machine.orders.values()
    assert (order.paid, order.refunded, machine.waiting) == (DUE, Decimal(20), {})
    assert (order.status, order.hold) in [("paid", None), ("closed", "refund_owed")]
    assert machine.parked


@settings(max_examples=200)
@given(data=st.data())
def test_a_surplus_is_held_until_it_went_back(data: st.DataObject) -> None:
    moves: dict[str, events.Event] = {
        "part 1": paid("60", transaction_id="P-1"),
        "part 2": paid("60", transaction_id="P-2"),
        "surplus back": refunded("20", transaction_id="P-2", order_no=""),
    }
    reported = {name: follow_up(event, key=name) for name, event in moves.items()}
    some = data.draw(st.booleans())
    if not some:
        del reported["surplus back"]
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    (order,) = machine.orders.values()
    assert (order.status, order.paid) == ("paid", Decimal(120))
    assert order.hold == (None if some else "overpaid")


@settings(max_examples=200)
@given(data=st.data())
def test_a_payment_under_two_numbers_and_its_refund_count_once(data: st.DataObject) -> None:
    """A session without a payment number, the payment, and a refund that knows only this."""
    moves: dict[str, events.Event] = {
        "session": paid(transaction_id="cs_1", names=("in_1",), is_provisional=True),
        "payment": paid(transaction_id="pi_1", names=("ch_1",)),
        "refund": refunded("30", transaction_id="ch_1", order_no=""),
    }
    reported = {name: follow_up(event, key=name) for name, event in moves.items()}
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    (order,) = machine.orders.values()
    assert (order.status, order.paid, order.refunded) == ("paid", DUE, Decimal(30))
    assert (order.hold, machine.waiting, machine.parked) == (None, {}, [])


@settings(max_examples=200)
@given(data=st.data())
def test_numbers_that_only_a_third_message_joins_are_of_one_payment(data: st.DataObject) -> None:
    """What was told under either number, without an order, finds the payment of the other."""
    moves: dict[str, events.Event] = {
        "payment": paid(transaction_id="pi_1"),
        "charge": paid(transaction_id="ch_1", order_no=""),
        "both": paid(transaction_id="in_1", order_no="", names=("ch_1", "pi_1")),
        "refund": refunded("30", transaction_id="ch_1", order_no=""),
    }
    reported = {name: follow_up(event, key=name) for name, event in moves.items()}
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    (order,) = machine.orders.values()
    assert (order.status, order.paid, order.refunded) == ("paid", DUE, Decimal(30))
    assert (order.hold, machine.waiting, machine.parked) == (None, {}, [])


@settings(max_examples=100)
@given(data=st.data())
def test_the_hand_off_is_told_once_and_not_while_a_hold_stops_it(data: st.DataObject) -> None:
    moves: dict[str, events.Event] = {
        "paid": paid(),
        "released": events.Released("W-1", "looked at", NOW),
        "opened": events.Dispute("T-1", "", "D-1", DUE, "CNY", "opened", "fraud", NOW),
        "won": events.Dispute(
            "T-1", "", "D-1", DUE, "CNY", "won", "fraud", NOW + timedelta(days=1)
        ),
    }
    reported = {name: follow_up(event, key=name) for name, event in moves.items()}
    order = order_state(hold="lookalike", placed_hold="lookalike")
    machine = run(order, reported, data.draw(arrivals([PLACED, *reported])))
    (found,) = machine.orders.values()
    assert (found.status, found.hold) == ("paid", None)
    topics = [row.topic for row in machine.outbox]
    # More than once only where the hold came after it was told.
    assert topics.count("order.paid") in (1, 2)
    assert topics[-1] == "order.paid" or topics.count("order.paid") == 1


@settings(max_examples=100)
@given(data=st.data())
def test_every_event_is_in_the_history_once(data: st.DataObject) -> None:
    reported = events_of(CUMULATIVE)
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    recorded = [key for source, key in machine.history if source == "stripe:main"]
    assert sorted(recorded) == sorted(reported)


@settings(max_examples=100)
@given(data=st.data())
def test_a_repeat_is_answered_as_one_and_changes_nothing(data: st.DataObject) -> None:
    """Sent once more after all is over, no event raises the version."""
    reported = events_of(SINGLE)
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    (version,) = [order.version for order in machine.orders.values()]
    done = machine.follow(list(reported.values()))
    assert {each.outcome for each in done} == {"repeat"}
    assert {order.version for order in machine.orders.values()} == {version}


@settings(max_examples=100)
@given(data=st.data())
def test_one_refund_reported_under_two_keys_counts_once(data: st.DataObject) -> None:
    """``refund_no`` names a refund: a callback and a poll may both tell of it."""
    moves: dict[str, events.Event] = {
        "paid": paid(),
        "partial": refunded("30", cumulative=False, refund_no="R-1"),
        "partial, polled": refunded("30", cumulative=False, refund_no="R-1"),
    }
    reported = {name: follow_up(event, key=name) for name, event in moves.items()}
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    found = state(machine)
    assert (found["status"], found["refunded"], found["waiting"]) == ("paid", 30, 0)
