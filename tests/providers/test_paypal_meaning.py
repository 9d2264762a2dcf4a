"""What each event, status and outcome of PayPal means: every documented value has its line."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import events
from gateway.providers import paypal_disputes, paypal_events, paypal_payments, paypal_sales

from .paypal_samples import (
    ADAPTER,
    CAPTURE,
    DISPUTE,
    OCCURRED,
    REFUND,
    disputed,
    event,
    learned,
    paid,
    refunded,
    signed,
    without,
)
from .support import read_one, rejection

BACK: dict[str, Any] = {
    "transaction_id": "02335565G34798738",
    "order_no": "",
    "refund_no": "55105082X5896632E",
    "amount": Decimal("9.00"),
    "cumulative": False,
    "currency": "USD",
    "occurred_at": OCCURRED,
}
USD = {"currency_code": "USD"}


def dispute(**changes: Any) -> events.Dispute:
    """Return the dispute of the samples, as it is booked."""
    usual: dict[str, Any] = {
        "transaction_id": "02335565G34798738",
        "order_no": "",
        "dispute_no": "02335565G34798738",
        "amount": Decimal("40.00"),
        "currency": "USD",
        "state": "opened",
        "reason": "PP-D-4012 MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "occurred_at": OCCURRED,
        "due_at": datetime(2026, 12, 3, 12, tzinfo=UTC),
    }
    return events.Dispute(**usual | changes)


@pytest.mark.parametrize("kind", sorted(paypal_events.NOTED))
@pytest.mark.parametrize("resource", [CAPTURE, {"odd": [1]}, None])
def test_what_pays_nothing_is_noted(kind: str, resource: Any) -> None:
    """Approved, authorised, pending, denied, voided: nothing was paid, whatever the resource is."""
    assert read_one(ADAPTER, signed(event(kind, resource))) == events.Noted(kind, OCCURRED)


@pytest.mark.parametrize("family", paypal_events.NOTED_FAMILIES)
def test_what_is_about_no_order_is_noted(family: str) -> None:
    kind = f"{family}ANYTHING"
    assert read_one(ADAPTER, signed(event(kind, {}))) == events.Noted(kind, OCCURRED)


@pytest.mark.parametrize("kind", sorted(paypal_events.MONEY_ELSEWHERE))
def test_money_that_cannot_be_booked_is_parked(kind: str) -> None:
    result = read_one(ADAPTER, signed(event(kind, {"odd": [1]})))
    assert isinstance(result, events.Unmapped)
    assert (result.kind, result.occurred_at) == (kind, OCCURRED)


SALE: dict[str, Any] = {
    "id": "80021663DE681814L", "state": "completed", "custom": "SO-1001",
    "amount": {"total": "20.00", "currency": "USD", "details": {"subtotal": "20.00"}},
    "invoice_number": "SO-1001", "parent_payment": "PAY-1", "payment_mode": "INSTANT_TRANSFER",
}  # fmt: skip
SALE_BACK: dict[str, Any] = {
    "id": "6YX43824R4443062K", "sale_id": SALE["id"], "state": "completed",
    "amount": {"total": "-5.00", "currency": "USD"}, "invoice_number": "R-1",
}  # fmt: skip


def sale(kind: str, resource: Any, **changes: Any) -> events.Event:
    versionless = {"resource_type": kind, "resource_version": "1.0"}
    named = {"sale": "PAYMENT.SALE.COMPLETED", "refund": "PAYMENT.SALE.REFUNDED"}[kind]
    return read_one(ADAPTER, signed(event(named, resource | changes) | versionless))


def test_a_sale_is_a_payment_under_its_own_number() -> None:
    assert sale("sale", SALE) == events.PaymentSucceeded(
        SALE["id"], "SO-1001", Decimal("20.00"), "USD", OCCURRED
    )
    numberless = sale("sale", SALE, invoice_number="Order 1001")
    assert isinstance(numberless, events.PaymentSucceeded)
    assert numberless.order_no == ""


@pytest.mark.parametrize(("state", "is_paid"), sorted(paypal_sales.SALES.items()))
def test_every_state_of_a_completed_sale(state: str, is_paid: bool) -> None:
    result = sale("sale", SALE, state=state)
    assert isinstance(result, events.PaymentSucceeded if is_paid else events.Unmapped)


@pytest.mark.parametrize("agreement", ["I-8E4H1ALXDPDC", "ü", {"id": 7}])
def test_a_sale_of_a_subscription_is_parked_with_its_order(agreement: Any) -> None:
    result = sale("sale", SALE, billing_agreement_id=agreement)
    assert isinstance(result, events.Unmapped)
    assert result.order_no == "SO-1001"
    assert "20.00 USD" in result.detail


def test_a_refund_of_a_sale_counts_by_its_state() -> None:
    """Its amount is written with a minus, or without."""
    back = BACK | {"transaction_id": SALE["id"], "refund_no": SALE_BACK["id"]}
    back |= {"amount": Decimal("5.00")}
    assert sale("refund", SALE_BACK) == events.RefundSucceeded(**back)
    plain = {"total": "5.00", "currency": "USD"}
    assert sale("refund", SALE_BACK, amount=plain) == events.RefundSucceeded(**back)
    for state in ("failed", "cancelled"):
        assert sale("refund", SALE_BACK, state=state) == events.RefundFailed(**back)
    for state in ("pending", "new"):
        assert isinstance(sale("refund", SALE_BACK, state=state), events.Unmapped)


@pytest.mark.parametrize("changes", [{"amount": None}, {"id": None}, {"state": 7}, {"id": ""}])
def test_a_sale_that_cannot_be_read_is_parked(changes: dict[str, Any]) -> None:
    assert isinstance(sale("sale", SALE, **changes), events.Unmapped)
    assert isinstance(sale("refund", SALE_BACK, **changes), events.Unmapped)


@pytest.mark.parametrize(
    "kind", ["PAYMENT.CAPTURE.NEW", "CUSTOMER.DISPUTE.NEW", "PAYMENT.REFUND.REVERSED", "NEW", ""]
)
def test_an_unknown_event_is_parked_with_its_name(kind: str) -> None:
    result = read_one(ADAPTER, signed(event(kind, CAPTURE)))
    assert isinstance(result, events.Unmapped)
    assert result.kind == (kind or "unknown")


def test_an_event_without_a_resource_is_parked() -> None:
    """It is genuine: a rejection would have it sent again for three days."""
    for kind in (*paypal_events.READERS, *paypal_events.SEVERAL):
        content = without(event(kind, {}), "resource")
        assert isinstance(read_one(ADAPTER, signed(content)), events.Unmapped)


@pytest.mark.parametrize(("status", "is_paid"), sorted(paypal_payments.CAPTURES.items()))
def test_every_status_of_a_completed_capture(status: str, is_paid: bool) -> None:
    """The capture may have moved on before the event was written; a contradiction is parked."""
    result = read_one(ADAPTER, signed(paid(status=status)))
    assert isinstance(result, events.PaymentSucceeded if is_paid else events.Unmapped)


@pytest.mark.parametrize("status", ["NEW", "completed", "?"])
def test_an_unknown_status_is_parked_with_its_name(status: str) -> None:
    for content in (
        paid(status=status),
        refunded(status=status),
        disputed("CREATED", status=status),
    ):
        result = read_one(ADAPTER, signed(content))
        assert isinstance(result, events.Unmapped)
        assert f"is {status}:" in result.detail


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("PAYMENT.CAPTURE.REFUNDED", "COMPLETED", events.RefundSucceeded),
        ("PAYMENT.CAPTURE.REFUNDED", "FAILED", events.RefundFailed),
        ("PAYMENT.CAPTURE.REFUNDED", "CANCELLED", events.RefundFailed),
        ("PAYMENT.CAPTURE.REFUNDED", "PENDING", events.Unmapped),
        ("PAYMENT.REFUND.FAILED", "FAILED", events.RefundFailed),
        ("PAYMENT.REFUND.FAILED", "CANCELLED", events.RefundFailed),
        ("PAYMENT.REFUND.FAILED", "COMPLETED", events.Unmapped),
        ("PAYMENT.CAPTURE.REVERSED", "COMPLETED", events.Dispute),
        ("PAYMENT.CAPTURE.REVERSED", "PENDING", events.Unmapped),
    ],
)
def test_every_status_of_a_refund(kind: str, status: str, expected: type[object]) -> None:
    assert isinstance(read_one(ADAPTER, signed(event(kind, REFUND | {"status": status}))), expected)


def test_a_failed_refund_names_the_refund_that_failed() -> None:
    content = event("PAYMENT.REFUND.FAILED", REFUND | {"status": "FAILED"})
    assert read_one(ADAPTER, signed(content)) == events.RefundFailed(**BACK)
    assert read_one(ADAPTER, signed(refunded())) == events.RefundSucceeded(**BACK)


def test_a_reversal_is_the_lost_dispute_of_its_capture() -> None:
    """PayPal took the money back itself; the result of a dispute may tell the same money."""
    content = event("PAYMENT.CAPTURE.REVERSED", REFUND)
    assert read_one(ADAPTER, signed(content)) == dispute(
        amount=Decimal("9.00"), state="lost", reason="reversed", due_at=None
    )


@pytest.mark.parametrize("kind", ["CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.UPDATED",
                                  "RISK.DISPUTE.CREATED"])  # fmt: skip
@pytest.mark.parametrize(
    "status", sorted(each for each, state in paypal_disputes.STATUSES.items() if state)
)
def test_an_open_dispute_holds_its_capture(kind: str, status: str) -> None:
    assert read_one(ADAPTER, signed(event(kind, DISPUTE | {"status": status}))) == dispute()


@pytest.mark.parametrize("code", sorted(paypal_disputes.OUTCOMES))
@pytest.mark.parametrize("ending", ["RESOLVED", "UPDATED"])
def test_every_outcome_of_a_dispute(ending: str, code: str) -> None:
    """Won or lost, whichever event tells it; one that another dispute replaces has no effect."""
    outcome = {"outcome_code": code, "amount_refunded": USD | {"value": "30.00"}}
    content = disputed(ending, status="RESOLVED", dispute_outcome=outcome)
    result = read_one(ADAPTER, signed(content))
    state = paypal_disputes.OUTCOMES[code]
    if state is None:
        assert result == events.Noted(f"CUSTOMER.DISPUTE.{ending}", OCCURRED)
    else:
        amount = Decimal("30.00") if state == "lost" else Decimal("40.00")
        assert result == dispute(state=state, amount=amount, due_at=None)


def completed(*captures: dict[str, Any], **unit: Any) -> dict[str, Any]:
    units = [{"invoice_id": "SO-1001", "payments": {"captures": list(captures)}} | unit]
    resource = {"id": "1W5313654M9708630", "status": "COMPLETED", "purchase_units": units}
    return event("CHECKOUT.ORDER.COMPLETED", resource, resource_type="checkout-order")


def test_a_completed_order_is_the_payments_of_its_captures() -> None:
    """The same that each capture tells by itself; one that is not paid counts nothing."""
    bare = {"id": "CAP2", "status": "COMPLETED", "amount": USD | {"value": "1.00"}}
    pending = CAPTURE | {"id": "CAP3", "status": "PENDING"}
    items = ADAPTER.read(signed(completed(CAPTURE, bare, pending))).items
    assert [item.event for item in items] == [
        read_one(ADAPTER, signed(paid())),
        events.PaymentSucceeded("CAP2", "SO-1001", Decimal("1.00"), "USD", OCCURRED),
    ]
    assert len({item.key for item in items}) == 2


@pytest.mark.parametrize("captures", [(), (CAPTURE | {"status": "DECLINED"},)])
def test_a_completed_order_without_a_capture_is_noted(captures: Any) -> None:
    result = read_one(ADAPTER, signed(completed(*captures)))
    assert result == events.Noted("CHECKOUT.ORDER.COMPLETED", OCCURRED)


@pytest.mark.parametrize(
    "content",
    [
        completed(CAPTURE | {"amount": None}),
        completed(CAPTURE | {"status": "NEW"}),
        completed(payments=[]),
        event("CHECKOUT.ORDER.COMPLETED", None),
        event("CHECKOUT.ORDER.COMPLETED", {"purchase_units": [{}] * 11}),
    ],
)
def test_a_completed_order_that_cannot_be_read_is_parked(content: Any) -> None:
    """It may be money."""
    assert isinstance(read_one(ADAPTER, signed(content)), events.Unmapped)


def test_what_is_documented_of_disputes_is_all_there() -> None:
    """As https://developer.paypal.com/api/customer-disputes/v1 lists it."""
    assert set(paypal_disputes.OUTCOMES) == {
        "RESOLVED_BUYER_FAVOUR", "RESOLVED_SELLER_FAVOUR", "RESOLVED_WITH_PAYOUT",
        "CANCELED_BY_BUYER", "ACCEPTED", "DENIED", "NONE",
    }  # fmt: skip
    assert set(paypal_disputes.STATUSES) == {
        "OPEN", "WAITING_FOR_BUYER_RESPONSE", "WAITING_FOR_SELLER_RESPONSE", "UNDER_REVIEW",
        "RESOLVED", "OTHER",
    }  # fmt: skip


@pytest.mark.parametrize("outcome", [None, {}, {"outcome_code": "NEW"}, {"outcome_code": 7}])
def test_a_result_that_is_not_known_is_parked(outcome: Any) -> None:
    """Neither won nor lost is guessed."""
    content = disputed("RESOLVED", status="RESOLVED", dispute_outcome=outcome)
    assert isinstance(read_one(ADAPTER, signed(content)), events.Unmapped)


def test_lost_without_an_amount_is_what_was_disputed() -> None:
    outcome = {"outcome_code": "RESOLVED_BUYER_FAVOUR"}
    result = read_one(ADAPTER, signed(disputed("RESOLVED", dispute_outcome=outcome)))
    assert result == dispute(state="lost", due_at=None)


@pytest.mark.parametrize("name", ["dispute_id", "reason", "seller_response_due_date"])
@pytest.mark.parametrize("odd", [None, 7, "", "a b", ["x"], {}])
def test_odd_fields_of_a_dispute_cost_nothing(name: str, odd: Any) -> None:
    """Only the capture, the state and the amount are needed."""
    result = read_one(ADAPTER, signed(disputed("CREATED", **{name: odd})))
    assert isinstance(result, events.Dispute)
    assert result.amount == Decimal("40.00")


def test_a_dispute_without_its_amount_is_of_the_whole_capture() -> None:
    content = event("CUSTOMER.DISPUTE.CREATED", without(DISPUTE, "dispute_amount"))
    assert read_one(ADAPTER, signed(content)) == dispute(amount=Decimal("199.00"))


@pytest.mark.parametrize(
    "transactions",
    [
        None,
        [],
        [{}],
        [{"seller_transaction_id": ""}],
        [{"seller_transaction_id": "A B"}],
        [{"buyer_transaction_id": "5SC37543VD7153001"}],
        [{"seller_transaction_id": "A"}] * 101,
    ],
)
def test_a_dispute_of_nothing_known_is_parked(transactions: Any) -> None:
    content = disputed("CREATED", disputed_transactions=transactions)
    assert isinstance(read_one(ADAPTER, signed(content)), events.Unmapped)


def test_a_dispute_of_several_captures_is_one_of_each() -> None:
    """Each for its own amount, under its own key, the same again when it is sent again."""
    content = disputed(
        "CREATED",
        disputed_transactions=[
            {"seller_transaction_id": "A", "gross_amount": USD | {"value": "60.00"}},
            {"seller_transaction_id": "B", "gross_amount": USD | {"value": "40.00"}},
        ],
        dispute_amount=USD | {"value": "100.00"},
    )
    items = ADAPTER.read(signed(content)).items
    assert [item.event for item in items] == [
        dispute(transaction_id="A", dispute_no="A", amount=Decimal("60.00")),
        dispute(transaction_id="B", dispute_no="B", amount=Decimal("40.00")),
    ]
    assert len({item.key for item in items}) == 2
    assert ADAPTER.read(signed(content)).items == items


def test_a_dispute_of_another_merchant_is_not_ours() -> None:
    theirs = learned(merchant_id="OTHER00000000")
    assert rejection(theirs, signed(disputed("CREATED"))) == "not_ours"


def test_the_currency_of_the_order_counts() -> None:
    """PayPal tells a payment a second time, after fees, in the currency of the balance."""
    breakdown = {
        "gross_amount": USD | {"value": "199.00"},
        "paypal_fee": USD | {"value": "7.10"},
        "net_amount": USD | {"value": "191.90"},
        "receivable_amount": {"currency_code": "EUR", "value": "165.22"},
        "exchange_rate": {"source_currency": "USD", "target_currency": "EUR", "value": "0.861"},
    }
    result = read_one(ADAPTER, signed(paid(seller_receivable_breakdown=breakdown)))
    assert isinstance(result, events.PaymentSucceeded)
    assert (result.amount, result.currency) == (Decimal("199.00"), "USD")
    back = {
        "gross_amount": USD | {"value": "9.00"},
        "net_amount_in_receivable_currency": {"currency_code": "EUR", "value": "7.47"},
        "total_refunded_amount": USD | {"value": "9.00"},
    }
    result = read_one(ADAPTER, signed(refunded(seller_payable_breakdown=back)))
    assert result == events.RefundSucceeded(**BACK)


def test_two_captures_of_one_order_are_two_payments() -> None:
    """60 and 40 of 100: neither the order's number at PayPal nor an authorisation's joins them."""
    read = []
    for number, value in (("CAP60", "60.00"), ("CAP40", "40.00")):
        ids = {"order_id": "1W5313654M9708630", "authorization_id": "AUTH1"}
        capture: dict[str, Any] = {
            "id": number,
            "amount": USD | {"value": value},
            "final_capture": number == "CAP40",
            "supplementary_data": {"related_ids": ids},
        }
        read.append(read_one(ADAPTER, signed(paid(**capture))))
    assert [events.names(each) for each in read] == [("CAP60",), ("CAP40",)]
    assert {events.order_no(each) for each in read} == {"SO-1001"}
