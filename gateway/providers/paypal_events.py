"""Map an event of PayPal to an order.

A completed capture is a payment; an approved order is not. A refund links to its capture, and
its own number distinguishes it from other refunds of that capture. Other events that move money
are parked for a person; events that move none are noted.
"""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers import contract
from gateway.providers.shared import fields

# No decimals at PayPal, two in ISO 4217. (JPY has none in either.)
# Source: https://developer.paypal.com/reports/reference/supported-currencies, its footnotes.
_WHOLE = frozenset({"HUF", "TWD"})

#: A capture with one of these states was paid, even if it was refunded since.
_PAID = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})

#: Money moved in a way that cannot be booked from the message alone: reversed in a dispute, or
#: reported by the older Payments API.
_MONEY_ELSEWHERE = frozenset(
    {
        "PAYMENT.CAPTURE.REVERSED",
        "PAYMENT.SALE.COMPLETED",
        "PAYMENT.SALE.REFUNDED",
        "PAYMENT.SALE.REVERSED",
    }
)

_CAPTURE_URL = re.compile(r"https://[^/?#]{1,100}/v2/payments/captures/([0-9A-Za-z]{1,64})")


class _Event(Struct):
    id: str
    event_type: str
    create_time: object
    resource: msgspec.Raw
    resource_type: str = ""
    resource_version: str = ""


class _Amount(Struct):
    value: str
    currency_code: str


class _Merchant(Struct):
    merchant_id: str | None = None


class _Link(Struct):
    href: str = ""
    rel: str = ""


class _Related(Struct):
    capture_id: str | None = None


class _Supplement(Struct):
    related_ids: _Related | None = None


class _Capture(Struct):
    id: str
    status: str
    amount: _Amount
    invoice_id: object = None
    custom_id: object = None
    payee: _Merchant | None = None


class _Refund(Struct):
    id: str
    status: str
    amount: _Amount
    links: list[_Link] = []
    supplementary_data: _Supplement | None = None
    #: In a refund the payer is the merchant.
    payer: _Merchant | None = None


_EVENT = msgspec.json.Decoder(_Event)
_CAPTURE = msgspec.json.Decoder(_Capture)
_REFUND = msgspec.json.Decoder(_Refund)


class _Occurred(Struct, frozen=True):
    """One verified event, its resource not yet decoded."""

    kind: str
    resource: msgspec.Raw
    at: datetime
    order_no_field: str
    merchant_id: str | None

    def check_merchant(self, named: _Merchant | None) -> None:
        """Raise ``Rejected`` unless the merchant is the configured one, if any."""
        if self.merchant_id is None:
            return
        if named is None or named.merchant_id is None:
            raise errors.Rejected(
                "not_ours", "names no merchant; PayPal may omit it, see the option merchant_id"
            )
        if named.merchant_id != self.merchant_id:
            raise errors.Rejected("not_ours", "paid to another merchant")

    def unmapped(self, detail: str) -> events.Unmapped:
        """Park it: genuine, but it cannot be booked."""
        return events.Unmapped(self.kind, "", detail, self.at)


def item(
    body: bytes, *, order_no_field: str, merchant_id: str | None, signed: datetime
) -> contract.Item:
    """Decode a verified message, signed at ``signed``. Raises ``Rejected``."""
    event = fields.decoded(_EVENT, body)
    key, kind = fields.key(event.id, body), fields.kind(event.event_type)
    at = fields.moment_or(event.create_time, signed)
    occurred = _Occurred(kind, event.resource, at, order_no_field, merchant_id)
    if kind not in _READERS:
        return contract.Item(key, _other(occurred))
    resource_type, reader = _READERS[kind]
    # PayPal's own samples omit the version; another version fails to decode.
    if event.resource_type != resource_type or event.resource_version not in ("", "2.0"):
        return contract.Item(key, occurred.unmapped("of another version of the Payments API"))
    event_ = fields.event_or_unmapped(lambda: reader(occurred), kind=kind, at=occurred.at)
    return contract.Item(key, event_)


def _other(occurred: _Occurred) -> events.Event:
    if occurred.kind in _MONEY_ELSEWHERE:
        return occurred.unmapped("money moved: check it at PayPal")
    return events.Noted(occurred.kind, occurred.at)


def _captured(occurred: _Occurred) -> events.Event:
    capture = fields.decoded(_CAPTURE, occurred.resource)
    occurred.check_merchant(capture.payee)
    if capture.status not in _PAID:
        return occurred.unmapped("a completed capture whose status contradicts it")
    amount, currency = _money(capture.amount)
    number = capture.invoice_id if occurred.order_no_field == "invoice_id" else capture.custom_id
    return events.PaymentSucceeded(
        transaction_id=fields.transaction_id(capture.id),
        # PayPal allows any 127 characters there; a payment counts without an order number.
        order_no=fields.merchant_order_no(number),
        amount=amount,
        currency=currency,
        occurred_at=occurred.at,
    )


def _refunded(occurred: _Occurred) -> events.Event:
    refund = fields.decoded(_REFUND, occurred.resource)
    occurred.check_merchant(refund.payer)
    if refund.status != "COMPLETED":
        return occurred.unmapped("a refund whose status is not COMPLETED")
    capture_id = _capture_of(refund)
    if not capture_id:
        return occurred.unmapped("a refund that does not name its capture")
    amount, currency = _money(refund.amount)
    return events.RefundSucceeded(
        transaction_id=fields.transaction_id(capture_id),
        # A refund has its own invoice number, chosen freely by the merchant: the capture names
        # the order.
        order_no="",
        refund_no=fields.token(refund.id, "the refund number", fields.REFUND_NO_MAX),
        amount=fields.refund_amount(amount, currency),
        cumulative=False,
        currency=currency,
        occurred_at=occurred.at,
    )


def _capture_of(refund: _Refund) -> str:
    for link in refund.links:
        if link.rel == "up" and (found := _CAPTURE_URL.fullmatch(link.href)):
            return found[1]
    related = refund.supplementary_data and refund.supplementary_data.related_ids
    return (related and related.capture_id) or ""


def _money(amount: _Amount) -> tuple[Decimal, str]:
    """Return amount and currency; the decimals must be those that PayPal allows."""
    currency = fields.currency(amount.currency_code)
    value = fields.amount(fields.decimal(amount.value, "the amount"), currency)
    if currency in _WHOLE and value != value.to_integral_value():
        raise fields.malformed(f"PayPal gives {currency} no decimals")
    return value, currency


#: The resource type of an event, and its reader.
_READERS: dict[str, tuple[str, Callable[[_Occurred], events.Event]]] = {
    "PAYMENT.CAPTURE.COMPLETED": ("capture", _captured),
    "PAYMENT.CAPTURE.REFUNDED": ("refund", _refunded),
}
