"""A target's word that it has an order: its earliest counts, whatever became of the order."""

from datetime import timedelta
from itertools import permutations

import pytest

from gateway.domain import events
from gateway.domain.following import Acceptance
from gateway.domain.orders import Status
from tests.domain.folding_support import apply
from tests.domain.machine import Machine
from tests.domain.support import NOW, closed, follow_up, order_state, paid, shipped


def accepted(target: str = "wms", reference: str = "WMS-1", minute: int = 6) -> events.Accepted:
    return events.Accepted("W-1", target, reference, NOW + timedelta(minutes=minute))


@pytest.mark.parametrize("status", ["paid", "shipped", "completed", "cancelling", "refunded"])
def test_it_is_recorded_and_moves_nothing(status: Status) -> None:
    order = order_state(status)
    step = apply(accepted(), order)
    assert (step.outcome, step.from_status, step.to_status) == ("applied", status, status)
    assert (order.status, order.version, step.detail) == (status, 2, "by wms as WMS-1")
    assert order.acceptances == (Acceptance("wms", "WMS-1", NOW + timedelta(minutes=6)),)
    assert order.accepted_at == NOW + timedelta(minutes=6)


def test_it_waits_for_the_order_and_for_its_payment() -> None:
    assert apply(accepted(), None).outcome == "waiting"
    order = order_state("pending_payment")
    assert apply(accepted(), order).outcome == "waiting"
    assert (order.version, order.acceptances) == (1, ())


def test_cash_on_delivery_is_accepted_before_it_is_paid() -> None:
    order = order_state("pending_payment", pays_on_delivery=True)
    assert apply(accepted(), order).outcome == "applied"


def test_an_order_on_hold_was_handed_on_before_it() -> None:
    assert apply(accepted(), order_state("paid", hold="disputed")).outcome == "applied"


def test_of_several_words_the_earliest_counts() -> None:
    order = order_state("paid")
    assert apply(accepted(minute=6), order).outcome == "applied"
    assert apply(accepted(minute=6), order).outcome == "repeat"
    assert apply(accepted(reference="WMS-2", minute=7), order).outcome == "repeat"
    assert order.version == 2
    # Told late: the order knew a later word.
    assert apply(accepted(reference="WMS-0", minute=5), order).outcome == "applied"
    assert [each.reference for each in order.acceptances] == ["WMS-0"]


def test_each_target_accepts_for_itself() -> None:
    order = order_state("paid")
    apply(accepted("wms", minute=7), order)
    apply(accepted("erp", minute=6), order)
    assert [each.target for each in order.acceptances] == ["erp", "wms"]
    assert order.accepted_at == NOW + timedelta(minutes=6)


def test_whatever_arrives_first_the_order_ends_the_same() -> None:
    told: list[events.Event] = [
        paid(),
        accepted(),
        accepted(reference="WMS-2", minute=7),
        shipped(),
        accepted("erp"),
    ]
    ends = set()
    for arrival in permutations([*told, None]):
        machine = Machine()
        for n, event in enumerate(arrival):
            if event is None:
                machine.place(order_state())
            else:
                machine.follow([follow_up(event, f"evt_{told.index(event)}_{n}")])
        (order,) = machine.orders.values()
        ends.add((order.status, order.acceptances, order.accepted_at, len(machine.waiting)))
    assert len(ends) == 1


def test_the_feed_tells_it_under_a_topic_of_its_own() -> None:
    machine = Machine()
    machine.place(order_state())
    machine.follow([follow_up(paid(), "1"), follow_up(accepted(), "2")])
    assert [(row.topic, row.version) for row in machine.outbox] == [
        ("order.paid", 2),
        ("order.accepted", 3),
    ]


def test_what_was_cancelled_before_it_is_paid_is_still_with_the_warehouse() -> None:
    order = order_state("pending_payment")
    apply(closed("cancelled"), order)
    assert apply(accepted(), order).outcome == "applied"
