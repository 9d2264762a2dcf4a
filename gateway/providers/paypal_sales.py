"""Read PayPal's sales: payments by the older Payments API, and those of subscriptions.

A sale is a payment under its own number, in the shop's currency. That of a subscription names the
subscription, whose reference is that of the first order: it is parked with that number, for nothing
in it tells the first payment from a renewal, and a renewal does not pay the first order again.
"""

from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.domain import events
from gateway.domain.money import named
from gateway.providers.paypal_resources import Amount, Occurred, money
from gateway.providers.shared import fields

#: Every documented state of a sale: whether it was paid, even if it was refunded since.
SALES = {
    "completed": True,
    "partially_refunded": True,
    "refunded": True,
    "pending": False,
    "denied": False,
}

_AGREEMENT_MAX = 64


class _Amount(Struct):
    total: str
    currency: str


class _Sale(Struct):
    id: str
    state: str
    amount: _Amount
    invoice_number: object = None
    custom: object = None
    billing_agreement_id: object = None


class _Refund(Struct):
    id: str
    sale_id: str
    state: str
    amount: _Amount


_SALE = msgspec.json.Decoder(_Sale)
_REFUND = msgspec.json.Decoder(_Refund)


def sold(occurred: Occurred) -> events.Event:
    """Return the payment that a sale is. Raises ``Rejected``."""
    sale = fields.decoded(_SALE, occurred.resource)
    # A sale names no merchant.
    occurred.check_payee(None)
    if sale.state not in SALES:
        return occurred.undocumented("the state of the sale", sale.state)
    if not SALES[sale.state]:
        return occurred.unmapped(f"a completed sale, but its state is {sale.state}")
    is_invoice = occurred.order_no_field == "invoice_id"
    order_no = fields.merchant_order_no(sale.invoice_number if is_invoice else sale.custom)
    amount, currency = _money(sale.amount)
    if agreement := sale.billing_agreement_id:
        found = isinstance(agreement, str) and fields.is_token(agreement, _AGREEMENT_MAX)
        name = f" {agreement}" if found else ""
        detail = (
            f"{named(amount, currency)} for subscription{name}: its first payment, or a renewal"
        )
        return events.Unmapped(occurred.kind, order_no, detail, occurred.at)
    return events.PaymentSucceeded(
        transaction_id=fields.transaction_id(sale.id),
        order_no=order_no,
        amount=amount,
        currency=currency,
        occurred_at=occurred.at,
    )


def refunded(occurred: Occurred) -> events.Event:
    """Return the refund of a sale, by the state that it has. Raises ``Rejected``."""
    refund = fields.decoded(_REFUND, occurred.resource)
    match refund.state:
        case "completed":
            kind: type[events.RefundSucceeded | events.RefundFailed] = events.RefundSucceeded
        case "failed" | "cancelled":
            kind = events.RefundFailed
        case "pending":
            return occurred.unmapped("a refund that is pending: see at PayPal what becomes of it")
        case other:
            return occurred.undocumented("the state of the refund", other)
    amount, currency = _money(refund.amount)
    return kind(
        transaction_id=fields.transaction_id(refund.sale_id),
        order_no="",
        refund_no=fields.token(refund.id, "the refund number", fields.REFUND_NO_MAX),
        amount=fields.refund_amount(amount, currency),
        cumulative=False,
        currency=currency,
        occurred_at=occurred.at,
    )


def _money(amount: _Amount) -> tuple[Decimal, str]:
    """Return amount and currency: what goes back may be written with a minus."""
    return money(Amount(amount.total.removeprefix("-"), amount.currency))
