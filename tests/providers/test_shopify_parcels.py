"""Shopify: fulfilments as parcels, and what was delivered."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings

from gateway.domain import events
from gateway.providers import contract, shopify

from .shopify_samples import ADAPTER, LINE, ORDER, ORDER_ID, SECRET, SHOP, changed, posted
from .support import NOW, account, bent, verdict

CREATED, UPDATED = "2026-11-23T13:00:00+01:00", "2026-11-24T13:00:00+01:00"
LEFT_AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
THERE_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
ONE: dict[str, Any] = {
    "id": 255858046, "order_id": ORDER_ID, "status": "success", "shipment_status": None,
    "tracking_company": "DHL", "tracking_number": "JD1", "tracking_numbers": ["JD1"],
    "created_at": CREATED, "updated_at": UPDATED, "name": "#1001.1",
    "line_items": [LINE | {"quantity": 2}],
}  # fmt: skip
TWO = ONE | {"id": 255858047, "tracking_number": "JD2", "tracking_numbers": ["JD2"]}
PARCEL = events.Shipped(
    "#1001", "DHL", "JD1", LEFT_AT, "255858046", (events.ParcelLine("IPOD-1", 2),)
)
SENT = LINE | {"requires_shipping": True}
DOWNLOAD = LINE | {"requires_shipping": False}


def items(*fulfilments: Any, status: str | None = "partial", **changes: Any) -> list[Any]:
    """Return the items after the order and its payment."""
    told = {"fulfillments": list(fulfilments), "fulfillment_status": status}
    return list(ADAPTER.read(changed(**told | changes)).items[2:])


def happened(*fulfilments: Any, status: str | None = "partial", **changes: Any) -> list[Any]:
    return [item.event for item in items(*fulfilments, status=status, **changes)]


def test_each_fulfilment_is_a_parcel_with_its_lines() -> None:
    one, two = happened(ONE, TWO)
    assert one == PARCEL
    assert (two.parcel_no, two.tracking_no) == ("255858047", "JD2")


def test_several_numbers_are_several_parcels() -> None:
    """What is in which of them is not told."""
    found = happened(ONE | {"tracking_numbers": ["JD1", "JD 3", "JD1", "\u7269\u6d41", ""]})
    assert [(each.parcel_no, each.tracking_no, each.lines) for each in found] == [
        ("255858046", "JD1", ()),
        ("255858046-2", "JD3", ()),
    ]


def test_a_corrected_number_is_another_message_about_the_same_parcel() -> None:
    (first,), (again,) = items(ONE), items(ONE | {"updated_at": CREATED}, status="fulfilled")
    (corrected,) = items(ONE | {"tracking_number": "JD9", "tracking_numbers": ["JD9"]})
    assert first.key == again.key != corrected.key
    assert corrected.event.parcel_no == first.event.parcel_no == "255858046"


@pytest.mark.parametrize(
    "lines",
    [
        "odd",
        [7],
        [LINE | {"quantity": 0}],
        [{"quantity": 1}],
        [LINE | {"sku": "", "variant_id": 0}],
    ],
)
def test_no_odd_line_costs_a_parcel(lines: Any) -> None:
    (shipped,) = happened(ONE | {"line_items": lines})
    assert isinstance(shipped, events.Shipped)
    assert shipped.tracking_no == "JD1"


@pytest.mark.parametrize(
    ("shipment_status", "is_there"),
    [
        ("label_printed", False), ("label_purchased", False), ("attempted_delivery", False),
        ("ready_for_pickup", False), ("confirmed", False), ("in_transit", False),
        ("out_for_delivery", False), ("failure", False), (None, False), ("new_one", False),
        ("delivered", True), ("picked_up", True),
    ],
)  # fmt: skip
def test_delivered_parcel_by_parcel(shipment_status: str | None, is_there: bool) -> None:
    told = ONE | {"shipment_status": shipment_status}
    shipped, *delivered = happened(told, TWO)
    assert isinstance(shipped, events.Shipped)
    there = [each for each in delivered if isinstance(each, events.Delivered)]
    assert there == [events.Delivered("#1001", THERE_AT, "JD1")] * is_there


def test_all_of_it_is_delivered_when_all_parcels_are() -> None:
    there = [each | {"shipment_status": "delivered"} for each in (ONE, TWO)]
    whole = [
        each
        for each in happened(*there, status="fulfilled")
        if isinstance(each, events.Delivered) and not each.tracking_no
    ]
    assert len(whole) == 1
    for fulfilments, status in ((there, "partial"), ([ONE, there[1]], "fulfilled")):
        assert not [
            each
            for each in happened(*fulfilments, status=status)
            if isinstance(each, events.Delivered) and not each.tracking_no
        ]


@pytest.mark.parametrize("fulfilments", [[], [ONE], [ONE | {"tracking_numbers": []}]])
def test_what_is_not_sent_is_delivered_when_it_is_fulfilled(fulfilments: Any) -> None:
    (done,) = happened(*fulfilments, status="fulfilled", line_items=[DOWNLOAD, DOWNLOAD])
    assert isinstance(done, events.Delivered)
    assert not done.tracking_no
    mixed = happened(*fulfilments, status="fulfilled", line_items=[DOWNLOAD, SENT])
    assert isinstance(mixed[0], events.Shipped)


LETTER = ONE | {"tracking_company": None, "tracking_number": None, "tracking_numbers": []}


def test_what_leaves_without_a_number_is_delivered_when_it_is_archived() -> None:
    shipped = events.Shipped("#1001", "", "", LEFT_AT, "255858046", PARCEL.lines)
    assert happened(LETTER, status="fulfilled") == [shipped]
    archived = happened(LETTER, status="fulfilled", closed_at=UPDATED)
    assert [type(each) for each in archived] == [events.Shipped, events.Delivered]
    # A shop archives what it sent; a parcel with a number is still on its way.
    assert happened(ONE, status="fulfilled", closed_at=UPDATED) == [PARCEL]


def test_untracked_parcels_are_parked_where_the_option_says_so() -> None:
    adapter = shopify.adapter(account(SECRET, shop=SHOP, park_untracked=True))
    told: dict[str, Any] = {"fulfillment_status": "fulfilled", "fulfillments": [LETTER]}
    found = [item.event for item in adapter.read(changed(**told)).items[2:]]
    assert [type(each) for each in found] == [events.Shipped, events.Unmapped]
    tracked = [item.event for item in adapter.read(changed(**told | {"fulfillments": [ONE]})).items]
    assert not [each for each in tracked if isinstance(each, events.Unmapped)]


CANCELLED = ONE | {"status": "cancelled"}


def test_a_cancelled_parcel_is_for_a_person_unless_another_took_its_place() -> None:
    (parked,) = happened(CANCELLED, status=None)
    assert isinstance(parked, events.Unmapped)
    assert "JD1" in parked.detail
    assert [type(each) for each in happened(CANCELLED, TWO)] == [events.Shipped]
    assert happened(LETTER | {"status": "cancelled"}, status=None) == []


@pytest.mark.parametrize("status", ["pending", "open", "error", "failure", None, "new_one"])
def test_a_fulfilment_that_did_not_leave_is_no_parcel(status: str | None) -> None:
    assert happened(ONE | {"status": status}, status=None) == []


def test_more_parcels_than_are_read_are_told() -> None:
    many = [ONE | {"id": n + 1} for n in range(101)]
    found = happened(*many)
    assert len(found) == 101
    assert isinstance(found[-1], events.Unmapped)


def own(**changes: Any) -> list[contract.Item]:
    """Read a message about one fulfilment."""
    return list(ADAPTER.read(posted(ONE | changes)).items)


def test_a_fulfilments_own_message_names_its_order() -> None:
    """It is the one that tells of the delivery; what the order's told already has the same key."""
    (shipped,) = own()
    assert shipped == items(ONE)[0]
    _, there = own(shipment_status="delivered")
    assert there.event == events.Delivered("#1001", THERE_AT, "JD1")
    assert [item.event for item in own(status="open")] == [events.Noted("fulfillment", NOW)]


@pytest.mark.parametrize(
    "changes", [{"name": "1"}, {"name": "Order 1001.1"}, {"name": None}, {"order_id": None}]
)
def test_a_fulfilment_of_no_order_that_can_be_known_is_parked(changes: Any) -> None:
    (item,) = own(**changes)
    assert isinstance(item.event, events.Unmapped)


@settings(max_examples=200)
@given(bent(ONE))
def test_bent_parcels_are_storable_or_parked(content: Any) -> None:
    """Alone, and in the message about their order."""
    for told in (content, ORDER | {"fulfillments": [content], "fulfillment_status": "partial"}):
        try:
            callback = posted(told)
        except (TypeError, ValueError):
            return
        verdict(ADAPTER, callback)
