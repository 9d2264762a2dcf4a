"""Parcels: several to an order, told by whoever knows of them, in any order."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import events
from gateway.domain.events import ParcelLine
from tests.domain.folding_support import apply
from tests.domain.support import NOW, delivered, order_state


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def sent(tracking_no: str, minute: int = 1, **changes: Any) -> events.Shipped:
    return events.Shipped("W-1", "SF", tracking_no, at(minute), **changes)


def arrived(tracking_no: str, minute: int = 9) -> events.Delivered:
    return events.Delivered("W-1", at(minute), tracking_no)


def test_an_order_is_shipped_with_its_first_parcel_and_completed_with_its_last() -> None:
    order = order_state("paid")
    seen = []
    for event in (sent("A"), sent("B", 2), arrived("A"), arrived("B", 10)):
        assert apply(event, order).outcome == "applied"
        seen.append(order.status)
    assert seen == ["shipped", "shipped", "shipped", "completed"]
    assert [parcel.tracking_no for parcel in order.parcels] == ["A", "B"]
    assert (order.shipped_at, order.completed_at) == (at(1), at(10))
    assert (order.carrier, order.tracking_no) == ("SF", "A")


def test_the_shop_may_say_that_the_order_is_completed() -> None:
    order = order_state("paid")
    for event in (sent("A"), sent("B"), delivered()):
        apply(event, order)
    assert order.status == "completed"
    assert apply(sent("C"), order).outcome == "applied"
    assert (order.status, len(order.parcels)) == ("completed", 3)


def test_a_parcel_that_leaves_after_all_others_arrived_is_on_its_way() -> None:
    order = order_state("paid")
    for event in (sent("A"), arrived("A")):
        apply(event, order)
    assert order.status == "completed"
    apply(sent("B", 10), order)
    assert (order.status, order.completed_at) == ("shipped", None)


@pytest.mark.parametrize(
    "again",
    [
        sent("A"),
        sent("A", 5),
        events.Shipped("W-1", "", "A", at(1)),
        events.Shipped("W-1", "Another word for SF", "A", at(1)),
        events.Shipped("W-1", "", "", at(3)),
    ],
    ids=str,
)
def test_a_parcel_told_again_is_a_repeat(again: events.Shipped) -> None:
    order = order_state("paid")
    apply(sent("A"), order)
    assert apply(again, order).outcome == "repeat"
    assert (len(order.parcels), order.version) == (1, 2)


def test_its_sender_corrects_the_tracking_number_of_a_parcel() -> None:
    order = order_state("paid")
    apply(sent("WRONG", parcel_no="F-1"), order)
    assert apply(sent("RIGHT", 2, parcel_no="F-1"), order).outcome == "applied"
    assert [parcel.tracking_no for parcel in order.parcels] == ["RIGHT"]
    assert order.tracking_no == "RIGHT"


def test_two_parcels_may_have_one_tracking_number() -> None:
    """A label for several boxes: the sender's own numbers tell them apart."""
    order = order_state("paid")
    apply(sent("A", parcel_no="F-1"), order)
    apply(sent("A", parcel_no="F-2"), order)
    assert [parcel.parcel_no for parcel in order.parcels] == ["F-1", "F-2"]


def test_what_a_parcel_holds_is_kept_where_told() -> None:
    order = order_state("paid")
    lines = (ParcelLine("TEA", 2),)
    apply(sent("A"), order)
    apply(sent("A", lines=lines), order)
    assert [parcel.lines for parcel in order.parcels] == [lines]


def test_a_parcel_without_any_number_is_the_next_one_that_is_told_with_one() -> None:
    order = order_state("paid")
    apply(events.Shipped("W-1", "", "", at(1)), order)
    assert (order.status, order.carrier, order.tracking_no) == ("shipped", None, None)
    apply(sent("A", 2), order)
    assert [(parcel.tracking_no, parcel.shipped_at) for parcel in order.parcels] == [("A", at(1))]


def test_a_parcel_that_nobody_sent_waits() -> None:
    order = order_state("shipped")
    assert apply(arrived("ELSEWHERE"), order).outcome == "waiting"
    assert order.status == "shipped"


def test_an_order_of_before_has_the_parcel_that_it_had() -> None:
    order = order_state("shipped")
    assert [parcel.tracking_no for parcel in order.parcels] == ["SF-0"]
    apply(arrived("SF-0"), order)
    assert order.status == "completed"


@settings(max_examples=200)
@given(data=st.data())
def test_parcels_commute(data: st.DataObject) -> None:
    """However its parcels are told, an order ends the same; what arrives early is told again."""
    told: list[events.Event] = [
        sent("A", 1), sent("B", 2), arrived("A", 8), arrived("B", 9), delivered(),
    ]  # fmt: skip
    told = told[: data.draw(st.integers(1, len(told)))]
    found = set()
    for way in (told, data.draw(st.permutations(told))):
        order = order_state("paid")
        waiting = list(way)
        while waiting:
            left = [event for event in waiting if apply(event, order).outcome == "waiting"]
            if len(left) == len(waiting):
                break
            waiting = left
        found.add(
            (
                order.status, order.shipped_at, order.tracking_no,
                frozenset((each.tracking_no, each.delivered_at) for each in order.parcels),
            )
        )  # fmt: skip
    assert len(found) == 1
