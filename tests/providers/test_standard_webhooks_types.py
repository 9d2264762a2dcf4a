"""The types of messages of a Standard Webhooks sender: money that goes back, and parcels."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import events
from gateway.providers import standard_webhooks_types

from .standard_webhooks_samples import (
    ADAPTER,
    AT,
    DISPUTE,
    PAYMENT,
    REFUND,
    SHIPMENT,
    content,
    signed,
)
from .support import read_one

PAGE = Path(standard_webhooks_types.__file__).with_name("standard_webhooks.md")
EXAMPLES = [
    json.loads(line)
    for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["type"])
def test_the_examples_of_the_page_are_booked(example: Any) -> None:
    event = read_one(ADAPTER, signed(example))
    assert not isinstance(event, events.Noted | events.Unmapped)


def test_every_type_has_its_row_and_one_example() -> None:
    text = PAGE.read_text()
    for kind in standard_webhooks_types.READERS:
        assert f"`{kind}`" in text
    # Types that mean the same share one.
    assert len(EXAMPLES) >= len(set(standard_webhooks_types.READERS.values()))


@pytest.mark.parametrize("kind", ["payment.settled", "refund.reversed", "dispute.closed",
                                  "order.completed", "order.canceled"])  # fmt: skip
def test_an_unknown_type_that_may_be_money_is_parked_with_its_name(kind: str) -> None:
    result = read_one(ADAPTER, signed(content(kind, PAYMENT)))
    assert isinstance(result, events.Unmapped)
    assert result.kind == kind


@pytest.mark.parametrize(
    "kind",
    ["invoice.paid", "payment_link.partially_paid", "charge.refunded", "charge.dispute.created",
     "charge.captured", "subscription.charged", "transaction:chargeback", "INVOICE.PAID", "refund",
     "sale.reversed"],
)  # fmt: skip
def test_a_type_that_names_money_which_moved_is_parked(kind: str) -> None:
    """Of whatever family: a sender's own word for it is not known here, and may be money."""
    result = read_one(ADAPTER, signed(content(kind, PAYMENT)))
    assert isinstance(result, events.Unmapped)
    assert (result.kind, result.order_no) == (kind, "SO-1001")


@pytest.mark.parametrize(
    "kind", ["payout.paid", "transfer.reversed", "invoice.created", "prepaid.card", "unpaid", "x"]
)
def test_a_type_of_another_family_without_money_is_noted(kind: str) -> None:
    assert read_one(ADAPTER, signed(content(kind, PAYMENT))) == events.Noted(kind, AT)


@pytest.mark.parametrize("kind", sorted(standard_webhooks_types.NOTED))
def test_what_moves_nothing_is_noted(kind: str) -> None:
    assert read_one(ADAPTER, signed(content(kind, PAYMENT))) == events.Noted(kind, AT)


def test_a_failed_refund() -> None:
    """By its number, or as a part of a total; the success that it follows has the same number."""
    failed = events.RefundFailed(
        "TX-1", "SO-1001", "R-1", Decimal("9.00"), cumulative=False, currency="CNY", occurred_at=AT
    )
    assert read_one(ADAPTER, signed(content("refund.failed", REFUND))) == failed
    data = {"transaction_id": "TX-1", "amount": "9.00", "currency": "CNY"}
    assert read_one(ADAPTER, signed(content("refund.failed", data))) == events.RefundFailed(
        "TX-1", "", "", Decimal("9.00"), cumulative=True, currency="CNY", occurred_at=AT
    )


@pytest.mark.parametrize("state", ["opened", "won", "lost"])
def test_a_dispute(state: Any) -> None:
    data = DISPUTE | {"reason": "not received", "due_at": "2026-12-03T12:00:00Z"}
    due_at = datetime(2026, 12, 3, 12, tzinfo=UTC) if state == "opened" else None
    assert read_one(ADAPTER, signed(content(f"dispute.{state}", data))) == events.Dispute(
        "TX-1", "", "D-1", Decimal("9.00"), "CNY", state, "not received", AT, due_at
    )


@pytest.mark.parametrize("name", ["reason", "due_at", "occurred_at"])
@pytest.mark.parametrize("odd", [None, 7, "", "a\x00", ["x"], {}, "x" * 65])
def test_odd_fields_of_a_dispute_cost_nothing(name: str, odd: Any) -> None:
    result = read_one(ADAPTER, signed(content("dispute.opened", DISPUTE | {name: odd})))
    assert isinstance(result, events.Dispute)
    assert result.amount == Decimal("9.00")


def test_two_parcels_with_what_is_in_them() -> None:
    lines = [{"sku": "TEA-1", "quantity": 2}, {"sku": "杯", "quantity": 1}]
    data = SHIPMENT | {"parcel_no": "P1", "lines": lines}
    assert read_one(ADAPTER, signed(content("order.shipped", data))) == events.Shipped(
        "SO-1001",
        "顺丰速运",
        "SF1234567890",
        AT,
        parcel_no="P1",
        lines=(events.ParcelLine("TEA-1", 2), events.ParcelLine("杯", 1)),
    )


@pytest.mark.parametrize(
    "lines",
    ["x", 7, {}, [{}], [{"sku": "A"}], [{"sku": "A", "quantity": 0}], [{"sku": "", "quantity": 1}]],
)
def test_a_parcel_left_whatever_its_lines_are(lines: Any) -> None:
    result = read_one(ADAPTER, signed(content("order.shipped", SHIPMENT | {"lines": lines})))
    assert result == events.Shipped("SO-1001", "顺丰速运", "SF1234567890", AT)


@pytest.mark.parametrize(
    ("kind", "data", "changes"),
    [
        ("payment.succeeded", PAYMENT, {"transaction_id": 7_000_000_000_000_000_001}),
        ("payment.succeeded", PAYMENT, {"order_no": 1001, "currency": "cny"}),
        ("refund.succeeded", REFUND, {"transaction_id": 1001, "refund_no": 7, "currency": "cny"}),
        ("refund.failed", REFUND, {"transaction_id": 1001, "refund_no": 7, "currency": "cny"}),
        ("dispute.lost", DISPUTE, {"transaction_id": 1001, "dispute_no": 7, "currency": "cny"}),
        ("order.cancelled", PAYMENT, {"order_no": 1001}),
        ("order.pays_on_delivery", PAYMENT, {"order_no": 1001}),
        ("order.shipped", SHIPMENT, {"order_no": 1001, "tracking_no": 7, "parcel_no": 9}),
        ("order.delivered", SHIPMENT, {"order_no": 1001, "tracking_no": 7}),
    ],
)
def test_a_bare_number_is_its_digits_and_a_currency_has_either_case(
    kind: str, data: Any, changes: Any
) -> None:
    """A payment is the same whether its sender writes its numbers as text or not."""
    usual = {name: str(value).replace("cny", "CNY") for name, value in changes.items()}
    found = read_one(ADAPTER, signed(content(kind, data | changes)))
    assert not isinstance(found, events.Unmapped)
    assert found == read_one(ADAPTER, signed(content(kind, data | usual)))


@pytest.mark.parametrize(
    ("kind", "data", "order_no"),
    [
        ("payment.captured", PAYMENT, "SO-1001"),
        ("order.paid", {"order_no": "SO-1001", "total": 199}, "SO-1001"),
        ("order.paid", {"order_no": 1001}, "1001"),
        ("order.paid", {"order_no": "Order 1001"}, ""),
        ("order.paid", ["SO-1001"], ""),
        ("order.paid", None, ""),
    ],
)
def test_what_is_parked_is_found_from_its_order(kind: str, data: Any, order_no: str) -> None:
    result = read_one(ADAPTER, signed(content(kind, data)))
    assert isinstance(result, events.Unmapped)
    assert result.order_no == order_no
