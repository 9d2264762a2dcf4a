"""What people do to an order, as facts: whichever way the news arrive, the last word counts."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import events, refunds
from gateway.domain.following import RefundReport
from tests.domain.folding_support import apply
from tests.domain.support import NOW, closed, follow_up, new_id, order_state, paid, payment_state
from tests.domain.test_commuting import PLACED, arrivals, run
from tests.domain.test_parcels import arrived, sent


def at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def cancelled(tracking_no: str = "A", minutes: int = 10) -> events.ParcelCancelled:
    return events.ParcelCancelled("W-1", tracking_no, "did not leave", at(minutes))


# --- hold and release ---


@settings(max_examples=100)
@given(data=st.data())
def test_the_last_of_holds_and_releases_counts(data: st.DataObject) -> None:
    moves: dict[str, events.Event] = {
        "held": events.HeldByPerson("W-1", "look", at(1)),
        "released": events.Released("W-1", "fine", at(2)),
        "held again": events.HeldByPerson("W-1", "not fine", at(3)),
        "released again": events.Released("W-1", "fine after all", at(4)),
    }
    is_held = data.draw(st.booleans())
    if is_held:
        del moves["released again"]
    reported = {name: follow_up(event, key=name) for name, event in moves.items()}
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    (order,) = machine.orders.values()
    assert order.hold == ("by_person" if is_held else None)
    assert (machine.waiting, machine.parked) == ({}, [])


def test_a_hold_stops_the_hand_off_until_a_person_releases_the_order() -> None:
    reported: dict[str, events.Event] = {
        "held": events.HeldByPerson("W-1", "look", at(1)),
        "paid": paid(),
        "shipped": sent("A"),
        "released": events.Released("W-1", "fine", at(9)),
    }
    entries = {name: follow_up(event, key=name) for name, event in reported.items()}
    machine = run(order_state(), entries, [[PLACED], ["held"], ["paid"], ["shipped"]])
    (order,) = machine.orders.values()
    assert (order.status, order.hold, len(machine.waiting)) == ("paid", "by_person", 1)
    assert "order.paid" not in [row.topic for row in machine.outbox]
    machine.follow([entries["released"]])
    (order,) = machine.orders.values()
    assert (order.status, order.hold, machine.waiting) == ("shipped", None, {})
    assert [row.topic for row in machine.outbox].count("order.paid") == 1


def test_one_release_ends_the_hold_of_the_placement_and_that_of_a_person() -> None:
    order = order_state("paid", hold="lookalike", placed_hold="lookalike")
    apply(events.HeldByPerson("W-1", "look", at(1)), order)
    assert order.hold == "by_person", "the graver one"
    apply(events.Released("W-1", "fine", at(2)), order)
    assert order.hold is None


# --- reopen ---


@settings(max_examples=100)
@given(data=st.data())
def test_what_closed_an_order_before_it_was_reopened_counts_no_more(data: st.DataObject) -> None:
    moves: dict[str, events.Event] = {
        "closed": closed("cancelled"),
        "reopened": events.Reopened("W-1", "they want it", at(9)),
        "paid": paid(),
    }
    reported = {name: follow_up(event, key=name) for name, event in moves.items()}
    machine = run(order_state(), reported, data.draw(arrivals([PLACED, *reported])))
    (order,) = machine.orders.values()
    assert (order.status, order.hold, order.closed_at) == ("paid", None, None)
    assert machine.waiting == {}


def test_a_reopened_order_may_be_closed_anew() -> None:
    order = order_state("closed")
    assert apply(events.Reopened("W-1", "they want it", at(1)), order).outcome == "applied"
    assert (order.status, order.closed_cause) == ("pending_payment", None)
    assert apply(events.Closed("W-1", "timed_out", at(1)), order).outcome == "noted"
    assert apply(events.Closed("W-1", "cancelled", at(2)), order).outcome == "applied"
    assert order.status == "closed"


def test_an_order_whose_money_went_back_is_not_reopened() -> None:
    order = order_state("refunded", closed_at=NOW, closed_cause="cancelled")
    step = apply(events.Reopened("W-1", "they want it", at(1)), order)
    assert (step.outcome, step.reason) == ("parked", "impossible_transition")


# --- parcels ---


@pytest.mark.parametrize("moves", list(permutations((sent("A", 1), cancelled("A"), paid()))))
def test_a_cancelled_parcel_did_not_leave(moves: tuple[events.Event, ...]) -> None:
    entries = {str(n): follow_up(each, key=str(n)) for n, each in enumerate(moves)}
    machine = run(order_state(), entries, [[PLACED], *[[name] for name in entries]])
    (order,) = machine.orders.values()
    assert (order.status, order.shipped_at, order.tracking_no) == ("paid", None, None)
    assert [each.cancelled_at for each in order.parcels] == [at(10)]
    assert (machine.waiting, machine.parked) == ({}, [])


def test_an_order_stays_shipped_while_another_parcel_is_on_its_way() -> None:
    order = order_state("paid")
    for event in (sent("A", 1), sent("B", 2), cancelled("A")):
        assert apply(event, order).outcome == "applied"
    assert (order.status, order.tracking_no) == ("shipped", "B")
    apply(arrived("B"), order)
    assert order.status == "completed", "the cancelled one is not awaited"


def test_a_parcel_that_is_told_again_later_left_after_all() -> None:
    order = order_state("paid")
    for event in (sent("A", 1), cancelled("A", 10)):
        apply(event, order)
    assert apply(sent("A", 1), order).outcome == "repeat", "what is cancelled is old news"
    assert apply(sent("A", 11), order).outcome == "applied"
    assert (order.status, order.shipped_at, len(order.parcels)) == ("shipped", at(11), 1)


@pytest.mark.parametrize("moves", list(permutations((cancelled("A"), arrived("A")))))
def test_a_parcel_that_arrived_was_not_cancelled(moves: tuple[events.Event, ...]) -> None:
    order = order_state("paid")
    apply(sent("A", 1), order)
    for event in moves:
        apply(event, order)
    assert order.status == "completed"


# --- refunds that were made another way ---


def report(amount: int, minute: int, **more: bool) -> RefundReport:
    told = {"is_total": False, "is_failed": False, **more}
    return RefundReport(
        id=new_id(), payment_id=new_id(), refund_no=f"R-{minute}", amount=Decimal(amount),
        occurred_at=at(minute), **told,
    )  # fmt: skip


@pytest.mark.parametrize(
    "reports",
    list(
        permutations(
            (
                report(20, 1, is_total=True),
                report(30, 2, is_apart=True),
                report(25, 3, is_total=True),
            )
        )
    ),
)
def test_what_went_back_another_way_is_in_no_total(reports: tuple[RefundReport, ...]) -> None:
    assert refunds.gone_back(reports, ()) == 55


@pytest.mark.parametrize("ways", [(False, True), (True, False)])
def test_a_refund_that_a_person_told_and_the_provider_tells_too_counts_once(
    ways: tuple[bool, bool],
) -> None:
    order, payment = order_state("paid"), payment_state("applied")
    payment.order_id = order.id
    for is_apart in ways:
        event = events.RefundSucceeded(
            "T-1", "W-1", "R-1", Decimal(30), False, "CNY", at(1), is_apart
        )
        apply(event, order, payment)
    assert (payment.refunded, order.refunded) == (Decimal(30), Decimal(30))
