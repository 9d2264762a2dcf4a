"""Shopify: two currencies, refunds that failed, payments in part, disputes."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from gateway.domain import events, orders

from .shopify_samples import ADAPTER, LINE, ORDER_ID, changed, posted
from .support import bent, verdict

ID = str(ORDER_ID)


def money(shop: str, buyer: str) -> dict[str, Any]:
    """Return an amount in the shop's currency and in the buyer's."""
    return {
        "shop_money": {"amount": shop, "currency_code": "EUR"},
        "presentment_money": {"amount": buyer, "currency_code": "GBP"},
    }


def happened(**changes: Any) -> list[Any]:
    return [item.event for item in ADAPTER.read(changed(**changes)).items[1:]]


def placed(**changes: Any) -> orders.Submission:
    order = ADAPTER.read(changed(**changes)).items[0].event
    assert isinstance(order, orders.Submission), order
    return order


def refund(number: int, *transactions: dict[str, Any], **told: Any) -> dict[str, Any]:
    done = {"kind": "refund", "status": "success", "amount": "6.00", "currency": "EUR"}
    return {"id": number, "transactions": [done | each for each in transactions], **told}


IN_TWO = {
    "presentment_currency": "GBP",
    "total_price_set": money("38.08", "33.50"),
    "line_items": [
        LINE
        | {
            "price_set": money("10.00", "8.80"),
            "discount_allocations": [{"amount": "3.00", "amount_set": money("3.00", "2.64")}],
            "tax_lines": [{"price": "5.13", "price_set": money("5.13", "4.51")}],
        }
    ],
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        # Whatever stands in the plain fields: the shop's currency is told beside it.
        {"currency": "GBP", "total_price": "33.50"},
    ],
)
def test_the_shops_currency_counts(changes: Any) -> None:
    order, (paid,) = placed(**IN_TWO | changes), happened(**IN_TWO | changes)
    assert (order.currency, order.amounts.payable) == ("EUR", Decimal("38.08"))
    assert order.items == placed().items
    assert (paid.amount, paid.currency) == (Decimal("38.08"), "EUR")


BY_LINES: dict[str, Any] = {
    "refund_line_items": [
        {"subtotal_set": money("3.00", "2.64"), "total_tax_set": money("0.57", "0.50")}
    ],
    "order_adjustments": [
        {"amount_set": money("-5.00", "-4.40"), "tax_amount_set": money("-0.95", "-0.84")}
    ],
}
NO_ADJUSTMENT: dict[str, Any] = {"order_adjustments": []}
SHIPPING: dict[str, Any] = {
    "refund_shipping_lines": [
        {"subtotal_amount_set": money("5.00", "4.40"), "tax_amount_set": money("0.95", "0.84")}
    ]
}
TOLD_TWICE = SHIPPING | {
    "order_adjustments": [BY_LINES["order_adjustments"][0] | {"kind": "shipping_refund"}]
}


@pytest.mark.parametrize(
    ("transaction", "told", "amount"),
    [
        ({"amount": "6.00"}, {}, "6.00"),
        ({"amount": "6.00", "currency": None}, {}, "6.00"),
        ({"amount": "5.28", "currency": "GBP", "amount_set": money("6.00", "5.28")}, {}, "6.00"),
        # Of the whole order.
        ({"amount": "33.50", "currency": "GBP"}, {}, "38.08"),
        # Of what it lists: lines with their tax, and shipping.
        ({"amount": "8.38", "currency": "GBP"}, BY_LINES, "9.52"),
        # With the tax in the prices.
        ({"amount": "7.88", "currency": "GBP"}, BY_LINES, "8.95"),
        # As since version 2024-10: shipping has lines of its own, at times told in both ways.
        ({"amount": "5.24", "currency": "GBP"}, SHIPPING, "5.95"),
        ({"amount": "8.38", "currency": "GBP"}, BY_LINES | NO_ADJUSTMENT | SHIPPING, "9.52"),
        ({"amount": "7.88", "currency": "GBP"}, BY_LINES | NO_ADJUSTMENT | SHIPPING, "8.95"),
        ({"amount": "8.38", "currency": "GBP"}, BY_LINES | TOLD_TWICE, "9.52"),
        ({"amount": "5.24", "currency": "GBP"}, TOLD_TWICE, "5.95"),
    ],
)
def test_a_refund_is_in_the_shops_currency(transaction: Any, told: Any, amount: str) -> None:
    changes = IN_TWO | {"financial_status": "partially_refunded"}
    paid, back = happened(**changes, refunds=[refund(9, transaction, **told)])
    assert isinstance(paid, events.PaymentSucceeded)
    assert isinstance(back, events.RefundSucceeded)
    assert (back.amount, back.currency) == (Decimal(amount), "EUR")


@pytest.mark.parametrize("told", [{}, BY_LINES])
def test_a_refund_that_tells_no_amount_of_the_shop_is_parked(told: Any) -> None:
    back = refund(9, {"amount": "1.00", "currency": "GBP"}, **told)
    changes = IN_TWO | {"financial_status": "partially_refunded"}
    paid, parked = happened(**changes, refunds=[back])
    assert isinstance(paid, events.PaymentSucceeded)
    assert isinstance(parked, events.Unmapped)


FAILED_AT = "2026-11-23T14:00:00+01:00"


@pytest.mark.parametrize("status", ["failure", "error"])
def test_a_refund_of_which_all_failed_has_failed(status: str) -> None:
    failed = refund(9, {"status": status, "processed_at": FAILED_AT})
    (item,) = [
        item
        for item in ADAPTER.read(changed(refunds=[failed])).items
        if isinstance(item.event, events.RefundFailed)
    ]
    assert item.key == "refund:9:failed"
    assert item.event == events.RefundFailed(
        ID, "#1001", "9", Decimal("6.00"), False, "EUR", datetime(2026, 11, 23, 13, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("transactions", "kinds"),
    [
        ([{"status": "pending"}], []),
        ([{"status": "awaiting_response"}], []),
        ([{"status": "unknown"}], []),
        ([{"status": "pending"}, {"status": "failure"}], []),
        ([{"status": "failure"}, {"status": "success"}], [events.RefundSucceeded]),
        ([{"kind": "void"}], []),
        ([{"kind": "capture"}], []),
        ([{"kind": "authorization", "status": "failure"}], []),
        ([{"status": "failure", "amount": "0.00"}], []),
        ([], []),
    ],
)
def test_only_a_finished_refund_moves_money(transactions: Any, kinds: list[type]) -> None:
    paid, *others = happened(refunds=[refund(9, *transactions)])
    assert isinstance(paid, events.PaymentSucceeded)
    assert [type(event) for event in others] == kinds


def test_a_payment_in_part_is_parked_once_for_each_amount() -> None:
    """Its number is in no message; the whole is booked once it is paid."""
    part = {"financial_status": "partially_paid", "total_outstanding": "8.08"}
    (first,) = ADAPTER.read(changed(**part)).items[1:]
    (again,) = ADAPTER.read(changed(**part, updated_at="2026-11-25T00:00:00Z")).items[1:]
    (other,) = ADAPTER.read(changed(**part | {"total_outstanding": "3.00"})).items[1:]
    assert isinstance(first.event, events.Unmapped)
    assert "8.08 EUR" in first.event.detail
    assert first.key == again.key != other.key


@pytest.mark.parametrize(
    "name", ["Cash on Delivery (COD)", "cash_on_delivery", "COD", "Contanti: cash on delivery"]
)
def test_cash_on_delivery(name: str) -> None:
    unpaid = {"financial_status": "pending", "payment_gateway_names": [name]}
    assert [type(event) for event in happened(**unpaid)] == [events.PaysOnDelivery]
    assert [type(event) for event in happened(payment_gateway_names=[name])] == [
        events.PaymentSucceeded
    ]
    plain = unpaid | {"payment_gateway_names": ["shopify_payments", "Codify"]}
    assert happened(**plain) == []


@pytest.mark.parametrize("status", ["pending", "authorized"])
def test_what_is_sent_unpaid_is_paid_later(status: str) -> None:
    """Payment terms, an authorisation that is captured when the parcel left."""
    parcel = {"id": 7, "status": "success", "tracking_number": "JD1"}
    found = happened(financial_status=status, fulfillment_status="partial", fulfillments=[parcel])
    assert [type(event) for event in found] == [events.PaysOnDelivery, events.Shipped]


DISPUTE: dict[str, Any] = {
    "id": 285332461850802050, "order_id": ORDER_ID, "type": "chargeback", "amount": "11.50",
    "currency": "EUR", "reason": "fraudulent", "network_reason_code": "4837",
    "status": "needs_response", "evidence_due_by": "2026-12-03T19:00:00-05:00",
    "evidence_sent_on": None, "finalized_on": None, "initiated_at": "2026-11-23T05:00:00-05:00",
}  # fmt: skip

OPENED_AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
CLOSED_AT = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("needs_response", "opened"),
        ("under_review", "opened"),
        ("won", "won"),
        ("charge_refunded", "won"),
        ("lost", "lost"),
        ("accepted", "lost"),
    ],
)
def test_a_dispute_names_the_order_by_its_payment(status: str, state: Any) -> None:
    closed = {} if state == "opened" else {"finalized_on": "2026-11-24"}
    (item,) = ADAPTER.read(posted(DISPUTE | {"status": status} | closed)).items
    assert item.event == events.Dispute(
        transaction_id=ID,
        order_no="",
        dispute_no="285332461850802050",
        amount=Decimal("11.50"),
        currency="EUR",
        state=state,
        reason="fraudulent",
        occurred_at=OPENED_AT if state == "opened" else CLOSED_AT,
        due_at=datetime(2026, 12, 4, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "new_one"},
        {"order_id": None},
        {"amount": "NaN"},
        {"amount": "0"},
        {"currency": "XXQ"},
        {"id": 0},
    ],
)
def test_a_dispute_that_cannot_be_booked_is_parked(changes: Any) -> None:
    (item,) = ADAPTER.read(posted(DISPUTE | changes)).items
    assert isinstance(item.event, events.Unmapped)
    assert item.event.kind == "dispute"
    if "status" in changes:
        assert "new_one" in item.event.detail


@settings(max_examples=200)
@given(bent(DISPUTE))
def test_bent_disputes_are_storable_or_parked(content: Any) -> None:
    try:
        callback = posted(content)
    except (TypeError, ValueError):
        return
    verdict(ADAPTER, callback)


@pytest.mark.parametrize("odd", [{"reason": ["x"]}, {"evidence_due_by": 7}, {"initiated_at": []}])
def test_no_odd_field_costs_a_dispute(odd: Any) -> None:
    (item,) = ADAPTER.read(posted(DISPUTE | odd)).items
    assert isinstance(item.event, events.Dispute)


def test_what_comes_for_an_order_that_was_edited_after_it_was_paid_is_told() -> None:
    """It is under a key of its own: that of the first payment would be a repeat, and vanish."""
    more = {
        "current_total_price": "48.08",
        "line_items": [LINE, LINE | {"id": 2, "price": "10.00", "quantity": 1, "tax_lines": [],
                                     "discount_allocations": []}],
    }  # fmt: skip
    _, first = ADAPTER.read(changed()).items
    _, again, further = ADAPTER.read(changed(**more)).items
    assert (again.key, again.event) == (first.key, further.event)
    assert further.key != first.key
    assert further.event.amount == Decimal("48.08")  # type: ignore[union-attr]


@pytest.mark.parametrize("status", ["partially_refunded", "refunded"])
@pytest.mark.parametrize("transactions", [{}, {"transactions": None}, {"transactions": []}])
def test_a_refund_of_which_no_amount_is_told_is_seen(status: str, transactions: Any) -> None:
    """Some webhooks list refunds without their transactions: the money went back nevertheless."""
    events_of = happened(financial_status=status, refunds=[{"id": 9} | transactions])
    details = [event.detail for event in events_of if isinstance(event, events.Unmapped)]
    assert f"{status}, but the message names no amount" in details


@pytest.mark.parametrize("none", ["", " ", "0000-00-00T00:00:00Z"])
def test_a_time_of_nothing_neither_cancels_nor_archives(none: str) -> None:
    changes = {"cancelled_at": none, "closed_at": none, "fulfillment_status": "fulfilled"}
    kinds = [type(event) for event in happened(**changes)]
    assert kinds == [events.PaymentSucceeded, events.Shipped]
