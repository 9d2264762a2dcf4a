"""Read PayPal's captures and refunds.

What counts is ``amount``, in the currency that the shop asked for. ``receivable_amount`` and the
breakdowns tell the same money again, after fees and in the currency of the merchant's balance.

An order of PayPal, and an authorisation, can have several captures. Their numbers are therefore no
names of a payment: only the capture's own number is.
"""

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.domain import events
from gateway.providers.paypal_resources import Amount, Merchant, Occurred, money
from gateway.providers.shared import fields

_CAPTURE_URL = re.compile(r"https://[^/?#]{1,100}/v2/payments/captures/([0-9A-Za-z]{1,64})")

#: PayPal allows ten purchase units in an order.
_UNITS_MAX = 10

#: Every documented status of a capture: whether it was paid, even if it was refunded since.
CAPTURES = {
    "COMPLETED": True,
    "PARTIALLY_REFUNDED": True,
    "REFUNDED": True,
    "PENDING": False,
    "DECLINED": False,
    "FAILED": False,
}


class _Capture(Struct):
    id: str
    status: str
    amount: Amount
    invoice_id: object = None
    custom_id: object = None
    payee: object = None


class _Link(Struct):
    href: str = ""
    rel: str = ""


class _Related(Struct):
    capture_id: str | None = None


class _Supplement(Struct):
    related_ids: _Related | None = None


class _Refund(Struct):
    id: str
    status: str
    amount: Amount
    links: object = None
    supplementary_data: object = None
    #: In a refund the payer is the merchant.
    payer: object = None


class _Payments(Struct):
    captures: list[_Capture] = []


class _PurchaseUnit(Struct):
    payments: _Payments | None = None
    invoice_id: object = None
    custom_id: object = None
    payee: object = None


class _Order(Struct):
    purchase_units: Annotated[list[_PurchaseUnit], Meta(max_length=_UNITS_MAX)] = []


_ORDER = msgspec.json.Decoder(_Order)
_CAPTURE = msgspec.json.Decoder(_Capture)
_REFUND = msgspec.json.Decoder(_Refund)


def ordered(occurred: Occurred) -> Sequence[events.Event]:
    """Return the payments of a completed order of PayPal: its captures. Raises ``Rejected``.

    Each may be reported by itself as well, and counts once.
    """
    order = fields.decoded(_ORDER, occurred.resource)
    return [
        _payment(
            occurred,
            msgspec.structs.replace(
                capture,
                invoice_id=capture.invoice_id or unit.invoice_id,
                custom_id=capture.custom_id or unit.custom_id,
                payee=capture.payee or unit.payee,
            ),
        )
        for unit in order.purchase_units
        for capture in (unit.payments or _Payments()).captures[:_UNITS_MAX]
        if CAPTURES.get(capture.status, True)
    ]


def captured(occurred: Occurred) -> events.Event:
    """Return the payment that a capture is."""
    return _payment(occurred, fields.decoded(_CAPTURE, occurred.resource))


def _payment(occurred: Occurred, capture: _Capture) -> events.Event:
    occurred.check_payee(fields.part(capture.payee, Merchant))
    if capture.status not in CAPTURES:
        return occurred.undocumented("the status of the capture", capture.status)
    if not CAPTURES[capture.status]:
        return occurred.unmapped(f"a completed capture, but its status is {capture.status}")
    amount, currency = money(capture.amount)
    number = capture.invoice_id if occurred.order_no_field == "invoice_id" else capture.custom_id
    return events.PaymentSucceeded(
        transaction_id=fields.transaction_id(capture.id),
        # PayPal allows any 127 characters there; a payment counts without an order number.
        order_no=fields.merchant_order_no(number),
        amount=amount,
        currency=currency,
        occurred_at=occurred.at,
    )


def refunded(occurred: Occurred) -> events.Event:
    """Return a refund, by the status that it has, or park it where it has none that counts."""
    refund = _refund(occurred)
    match refund.status:
        case "COMPLETED":
            return _succeeded(occurred, refund)
        case "FAILED" | "CANCELLED":
            return _failed(occurred, refund)
        case "PENDING":
            # Not documented is whether the same event comes again once it is completed.
            return occurred.unmapped("a refund that is pending: see at PayPal what becomes of it")
        case other:
            return occurred.undocumented("the status of the refund", other)


def refund_failed(occurred: Occurred) -> events.Event:
    """Return a refund that did not reach the buyer."""
    refund = _refund(occurred)
    if refund.status == "COMPLETED":
        return occurred.unmapped("a failed refund, but its status is COMPLETED")
    return _failed(occurred, refund)


def reversed_(occurred: Occurred) -> events.Event:
    """Return money that PayPal itself took back: for a bank, or for a buyer who was right.

    It is the lost state of the capture's dispute (``paypal_disputes``), which may report the same
    money and may still be won.
    """
    refund = _refund(occurred)
    if refund.status != "COMPLETED":
        return occurred.unmapped("a reversal whose status is not COMPLETED")
    capture_id = _capture_id(refund)
    amount, currency = money(refund.amount)
    return events.Dispute(
        transaction_id=capture_id,
        order_no="",
        dispute_no=capture_id,
        amount=fields.refund_amount(amount, currency),
        currency=currency,
        state="lost",
        reason="reversed",
        occurred_at=occurred.at,
    )


def _refund(occurred: Occurred) -> _Refund:
    refund = fields.decoded(_REFUND, occurred.resource)
    occurred.check_merchant(fields.part(refund.payer, Merchant))
    return refund


def _succeeded(occurred: Occurred, refund: _Refund) -> events.RefundSucceeded:
    amount, currency = money(refund.amount)
    return events.RefundSucceeded(
        transaction_id=_capture_id(refund),
        # A refund has its own invoice number, chosen freely by the merchant: the capture names
        # the order.
        order_no="",
        refund_no=fields.token(refund.id, "the refund number", fields.REFUND_NO_MAX),
        amount=fields.refund_amount(amount, currency),
        cumulative=False,
        currency=currency,
        occurred_at=occurred.at,
    )


def _failed(occurred: Occurred, refund: _Refund) -> events.RefundFailed:
    told = _succeeded(occurred, refund)
    return events.RefundFailed(
        transaction_id=told.transaction_id,
        order_no="",
        refund_no=told.refund_no,
        amount=told.amount,
        cumulative=False,
        currency=told.currency,
        occurred_at=told.occurred_at,
    )


def _capture_id(refund: _Refund) -> str:
    """Return the number of the capture. Raises ``Rejected`` if none is named."""
    for each in refund.links if isinstance(refund.links, list) else ():
        link = fields.part(each, _Link) or _Link()
        if link.rel == "up" and (found := _CAPTURE_URL.fullmatch(link.href)):
            return fields.transaction_id(found[1])
    supplement = fields.part(refund.supplementary_data, _Supplement)
    related = supplement and supplement.related_ids
    if related and related.capture_id:
        return fields.transaction_id(related.capture_id)
    raise fields.malformed("a refund that does not name its capture")
