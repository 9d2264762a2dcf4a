"""Refunds that were booked where only their sum was kept, before this version or beside it."""

from decimal import Decimal

import pytest

from gateway.domain import events
from tests.domain.folding_support import apply
from tests.domain.support import order_state, payment_state, refunded
from tests.domain.test_folding_money_back import PART, disputed, failed


def single(amount: str, refund_no: str) -> events.RefundSucceeded:
    return refunded(amount, cumulative=False, refund_no=refund_no)


@pytest.mark.parametrize(("event", "total"), [
    (refunded("50"), 50),
    (refunded("20"), 30),
    (refunded("20", cumulative=False, refund_no="R-2"), 50),
    (failed("30"), 0),
])  # fmt: skip
def test_a_sum_without_reports_is_a_total_of_before(event: events.Event, total: int) -> None:
    order = order_state("paid", refunded=PART)
    payment = payment_state(refunded=PART)
    apply(event, order, payment)
    assert (payment.refunded, order.refunded) == (Decimal(total), Decimal(total))


@pytest.mark.parametrize(("booked", "event", "total"), [
    (refunded("10"), refunded("40"), 40),
    (refunded("10"), refunded("20"), 30),
    (single("10", "R-1"), single("20", "R-2"), 50),
    (single("10", "R-1"), single("10", "R-1"), 30),
    (disputed("lost", "10"), single("20", "R-2"), 50),
])  # fmt: skip
def test_what_a_gateway_of_before_books_beside_reports_is_not_lost(
    booked: events.Event, event: events.Event, total: int
) -> None:
    """It has only the sum: 10.00 has a row, and then it is told that 30.00 went back."""
    order, payment = order_state("paid"), payment_state()
    apply(booked, order, payment)
    order.refunded = payment.refunded = PART
    apply(event, order, payment)
    assert (payment.refunded, order.refunded) == (Decimal(total), Decimal(total))
