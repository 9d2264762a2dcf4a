"""Youzan: parcels, payments in phases or on delivery, and what is closed after it was paid."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from gateway.domain import events

from .support import bent, verdict
from .youzan_samples import (
    ADAPTER,
    FULL,
    LINES,
    ORDER,
    PARCEL,
    PAYMENT,
    TID,
    UPDATED,
    full,
    pushed,
    read_events,
)


@pytest.mark.parametrize("status", ["TRADE_CLOSED", "TRADE_REFUND"])
@pytest.mark.parametrize("close_type", [1, 2, 4, 6, 99, None])
def test_closed_after_payment(status: str, close_type: object) -> None:
    """Whatever was paid is to be refunded; what was sent came back, and is for a person."""
    closed = [ORDER, PAYMENT, events.Closed(TID, "cancelled", UPDATED)]
    content = full(status, close_type=close_type)
    assert read_events("trade_TradeClose", content) == closed
    sent = full(status, close_type=close_type, consign_time="2026-11-23 20:00:00")
    assert isinstance(read_events("trade_TradeClose", sent)[-1], events.Unmapped)


LINES_OF_ONE = (events.ParcelLine("8002", 2), events.ParcelLine("8001-red", 3))


def test_shipped_with_a_number() -> None:
    """A parcel may have no number, and odd ones cost none of the others."""
    content = full("WAIT_BUYER_CONFIRM_GOODS")
    unnumbered = [ORDER, PAYMENT, events.Shipped(TID, "", "", UPDATED)]
    for nothing in ([], None, "", [{"dists": [{"express_info": {"express_no": ""}}]}]):
        content["delivery_order"] = nothing
        assert read_events("trade_TradeSellerShip", content) == unnumbered
    content["delivery_order"] = [{"dists": [{"express_info": {"express_no": ""}}]}, 7, *PARCEL]
    assert read_events("trade_TradeSellerShip", content) == [
        ORDER,
        PAYMENT,
        events.Shipped(TID, "4", "YT8800", UPDATED),
    ]
    content["delivery_order"] = {"odd": 1}
    odd = read_events("trade_TradeSellerShip", content)
    assert odd[0] == ORDER
    assert isinstance(odd[-1], events.Unmapped)


def dist(number: str, parcel: object, **express: object) -> dict[str, Any]:
    return {"dist_id": parcel, "express_info": {"express_id": 4, "express_no": number} | express}


def test_several_parcels() -> None:
    """Each has the platform's number of it; a delivery of one parcel tells what is in it."""
    oids = [{"oid": line["oid"]} for line in LINES]
    content = full("WAIT_BUYER_CONFIRM_GOODS", consign_time="2026-11-23 20:00:00")
    content["delivery_order"] = [
        {"oids": oids, "dists": [dist("YT 1", "P1")], "express_state": 1},
        {"oids": oids[:1], "dists": [dist("YT2", 77), dist("YT3", None, express_id=None)]},
        {"oids": [{"oid": "of another order"}], "dists": [dist("YT4", "P 4")]},
    ]
    assert read_events("trade_TradeBuyerPay", content)[2:] == [
        events.Shipped(TID, "4", "YT1", UPDATED, "P1", LINES_OF_ONE),
        events.Shipped(TID, "4", "YT2", UPDATED, "77"),
        events.Shipped(TID, "", "YT3", UPDATED),
        events.Shipped(TID, "4", "YT4", UPDATED),
    ]


@pytest.mark.parametrize("pay_type", [9, "9", 9.0])
@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        ("WAIT_BUYER_PAY", []),
        ("TRADE_PAID", [events.PaysOnDelivery]),
        ("WAIT_CONFIRM", [events.PaysOnDelivery]),
        ("WAIT_SELLER_SEND_GOODS", [events.PaysOnDelivery]),
        ("WAIT_BUYER_CONFIRM_GOODS", [events.PaysOnDelivery, events.Shipped]),
        ("TRADE_SUCCESS", [events.PaysOnDelivery, events.Delivered]),
        ("TRADE_CLOSED", [events.Closed]),
    ],
)
def test_paid_on_delivery(status: str, kinds: list[type], pay_type: object) -> None:
    """The courier takes the money: no status proves that it came."""
    order, *then = read_events("trade_TradeBuyerPay", full(status, pay_type=pay_type))
    assert order == ORDER
    assert [type(event) for event in then] == kinds


def in_phases(status: str, *phases: Any, **info: Any) -> list[Any]:
    content = full(status, **info)
    pay_info = FULL["pay_info"] | {"phase_payments": list(phases)}
    content["full_order_info"]["pay_info"] = pay_info
    return read_events("trade_TradePaid", content)


DEPOSIT = {"phase": 1, "real_price": "18.80", "inner_transaction_no": "1903261"}


REST = {"phase": 2, "real_price": "70.00", "inner_transaction_no": None}


PAID_REST = REST | {"inner_transaction_no": "", "outer_transaction_no": "4200002"}


@pytest.mark.parametrize(
    ("status", "phases", "parts"),
    [
        ("WAIT_BUYER_PAY", (DEPOSIT, REST), [(TID, "18.80")]),
        ("WAIT_BUYER_PAY", (DEPOSIT | {"inner_transaction_no": ""}, REST), []),
        ("TRADE_PAID", (DEPOSIT, REST), [(TID, "18.80")]),
        ("TRADE_PAID", (PAID_REST, DEPOSIT), [(TID, "18.80"), (f"{TID}:2", "70.00")]),
        # Paid in full, whether or not every part has a number.
        ("WAIT_SELLER_SEND_GOODS", (DEPOSIT, REST), [(TID, "18.80"), (f"{TID}:2", "70.00")]),
    ],
)
def test_a_deposit_and_the_rest_are_two_payments(status: str, phases: Any, parts: Any) -> None:
    order, *paid = in_phases(status, *phases)
    assert order == ORDER
    assert [(each.transaction_id, each.amount) for each in paid] == [
        (number, Decimal(amount)) for number, amount in parts
    ]


def test_a_deposit_of_a_closed_order_is_owed() -> None:
    _, deposit, closed = in_phases("TRADE_CLOSED", DEPOSIT, REST, pay_time="", close_type=1)
    assert isinstance(deposit, events.PaymentSucceeded)
    assert isinstance(closed, events.Closed)


@pytest.mark.parametrize(
    "phases",
    [
        ({"phase": 1}, {"phase": 2}),
        (DEPOSIT, REST | {"real_price": "71.00"}),
        (DEPOSIT, REST | {"real_price": "much"}),
        ("odd",),
    ],
)
def test_parts_that_are_not_told(phases: Any) -> None:
    """Then "paid" may mean the deposit: not until it may be shipped."""
    order, paid = in_phases("TRADE_PAID", *phases)
    assert order == ORDER
    assert isinstance(paid, events.Unmapped)
    assert in_phases("WAIT_SELLER_SEND_GOODS", *phases) == [ORDER, PAYMENT]


@pytest.mark.parametrize("kind", ["trade_TradeSellerShip", "trade_TradePartlySellerShip"])
def test_a_parcel_whose_number_is_not_told(kind: str) -> None:
    content = {"tid": TID, "update_time": "2026-11-23 20:00:00"}
    assert read_events(kind, content) == [events.Shipped(TID, "", "", UPDATED)]


DELIVERED: dict[str, Any] = full("WAIT_BUYER_CONFIRM_GOODS") | {
    "delivery_order": [{"oids": [{"oid": LINES[0]["oid"]}], "dists": [dist("YT1", "P1")]}]
}


@given(bent(DELIVERED))
def test_bent_deliveries_are_storable_or_parked(content: Any) -> None:
    verdict(ADAPTER, pushed("trade_TradeBuyerPay", content, how="object"))
