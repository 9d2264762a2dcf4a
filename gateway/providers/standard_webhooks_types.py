"""The types of messages that Tidegate documents for senders of its own.

The specification leaves ``type`` and ``data`` to the sender: a type that may be about orders and
their money, and ``data`` of another shape, are parked; other types are noted.
Amounts are in major units, a decimal string or an exact JSON number.
"""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors, events
from gateway.providers.shared import fields

_CARRIER_MAX = 64
_TRACKING_NO_MAX = 64
_PARCEL_NO_MAX = 64
_DISPUTE_NO_MAX = 128
_REASON_MAX = 64
_SKU_MAX = 64
_LINES_MAX = 1000
_REFERENCE_MAX = 64

#: Types of these families that have no line below are parked with their name: they may be money.
FAMILIES = ("payment.", "refund.", "dispute.", "order.")

#: Words that name money which moved, in types of any family: ``invoice.paid``,
#: ``charge.dispute.created``. What the sender pays out itself is no money of an order.
_MOVED = re.compile(
    r"(?!payout|transfer)(?:.*[._:-])?(?:(?:partially_)?(?:paid|refunded)|captured|charged|settled"
    r"|refund|dispute|disputed|chargeback|reversed)(?:[._:-].*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)

#: What is only noted in these families: nothing was paid, or not yet, and no order changed.
NOTED = frozenset(
    {
        "payment.created",
        "payment.pending",
        "payment.authorised",
        "payment.authorized",
        "payment.failed",
        "payment.voided",
        "refund.created",
        "refund.pending",
        "order.created",
        "order.updated",
    }
)


class Envelope(Struct):
    """A whole message."""

    type: str
    timestamp: object = None
    data: msgspec.Raw = msgspec.Raw()


#: A number that names something: senders write it as text, or bare.
_Number = str | int


class _Named(Struct):
    order_no: object = None


class _Payment(Struct):
    order_no: _Number
    transaction_id: _Number
    amount: Decimal
    currency: str
    occurred_at: object = None


class _Refund(Struct):
    transaction_id: _Number
    currency: str
    order_no: object = None
    refund_no: _Number | None = None
    #: Amount of this refund alone; it then needs ``refund_no``.
    amount: Decimal | None = None
    #: Total refunded of the transaction so far.
    refunded_total: Decimal | None = None
    occurred_at: object = None


class _Dispute(Struct):
    transaction_id: _Number
    dispute_no: _Number
    amount: Decimal
    currency: str
    order_no: object = None
    reason: object = None
    due_at: object = None
    occurred_at: object = None


class _Order(Struct):
    order_no: _Number
    occurred_at: object = None


class _Acceptance(Struct):
    order_no: _Number
    reference: object = None
    occurred_at: object = None


class _Line(Struct):
    sku: str
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]


class _Shipment(Struct):
    order_no: _Number
    carrier: str | None = None
    tracking_no: _Number | None = None
    parcel_no: _Number | None = None
    lines: object = None
    occurred_at: object = None


class _Delivery(Struct):
    order_no: _Number | None = None
    tracking_no: _Number | None = None
    occurred_at: object = None


_NAMED = msgspec.json.Decoder(_Named)
_PAYMENT = msgspec.json.Decoder(_Payment)
_REFUND = msgspec.json.Decoder(_Refund)
_DISPUTE = msgspec.json.Decoder(_Dispute)
_ORDER = msgspec.json.Decoder(_Order)
_ACCEPTANCE = msgspec.json.Decoder(_Acceptance)
_SHIPMENT = msgspec.json.Decoder(_Shipment)
_DELIVERY = msgspec.json.Decoder(_Delivery)


def event(kind: str, envelope: Envelope, at: datetime) -> events.Event:
    """Return what a message of this type means. Raises ``Rejected`` if ``data`` is of no shape."""
    if (reader := READERS.get(kind)) is not None:
        return reader(kind, envelope, at)
    may_be_money = kind.startswith(FAMILIES) or _MOVED.fullmatch(kind)
    if may_be_money and kind not in NOTED:
        return events.Unmapped(kind, "", "not a type that is documented here", at)
    return events.Noted(kind, at)


def order_no(envelope: Envelope) -> str:
    """Return the order number in ``data``, whatever else stands there, or ``""``."""
    try:
        return fields.merchant_order_no(fields.text(fields.decoded(_NAMED, envelope.data).order_no))
    except errors.Rejected:
        return ""


def _paid(_: str, envelope: Envelope, at: datetime) -> events.Event:
    data = fields.decoded(_PAYMENT, envelope.data)
    amount, currency = _money(data.amount, data.currency)
    return events.PaymentSucceeded(
        transaction_id=fields.transaction_id(fields.text(data.transaction_id)),
        order_no=fields.merchant_order_no(fields.text(data.order_no)),
        amount=amount,
        currency=currency,
        occurred_at=fields.moment_or(data.occurred_at, at),
    )


def _refunded(_: str, envelope: Envelope, at: datetime) -> events.Event:
    data = fields.decoded(_REFUND, envelope.data)
    if (data.amount is None) == (data.refunded_total is None):
        raise fields.malformed("a refund needs either amount or refunded_total")
    if data.amount is not None and not data.refund_no:
        raise fields.malformed("a refund with its own amount needs refund_no")
    value = data.refunded_total if data.amount is None else data.amount
    assert value is not None, "one of the two is present"
    amount, currency = _money_back(value, data.currency)
    return events.RefundSucceeded(
        transaction_id=fields.transaction_id(fields.text(data.transaction_id)),
        order_no=fields.merchant_order_no(fields.text(data.order_no)),
        refund_no=_optional(data.refund_no, "refund_no", fields.REFUND_NO_MAX),
        amount=amount,
        cumulative=data.amount is None,
        currency=currency,
        occurred_at=fields.moment_or(data.occurred_at, at),
    )


def _refund_failed(_: str, envelope: Envelope, at: datetime) -> events.Event:
    data = fields.decoded(_REFUND, envelope.data)
    if data.amount is None:
        raise fields.malformed("a failed refund needs amount")
    amount, currency = _money_back(data.amount, data.currency)
    return events.RefundFailed(
        transaction_id=fields.transaction_id(fields.text(data.transaction_id)),
        order_no=fields.merchant_order_no(fields.text(data.order_no)),
        refund_no=_optional(data.refund_no, "refund_no", fields.REFUND_NO_MAX),
        amount=amount,
        # Without a number of its own it was told as a part of a total.
        cumulative=not data.refund_no,
        currency=currency,
        occurred_at=fields.moment_or(data.occurred_at, at),
    )


def _disputed(kind: str, envelope: Envelope, at: datetime) -> events.Event:
    data = fields.decoded(_DISPUTE, envelope.data)
    state = _STATES[kind]
    is_open = state == "opened"
    amount, currency = _money_back(data.amount, data.currency)
    return events.Dispute(
        transaction_id=fields.transaction_id(fields.text(data.transaction_id)),
        order_no=fields.merchant_order_no(fields.text(data.order_no)),
        dispute_no=fields.token(fields.text(data.dispute_no), "dispute_no", _DISPUTE_NO_MAX),
        amount=amount,
        currency=currency,
        state=state,
        reason=_reason(data.reason),
        occurred_at=fields.moment_or(data.occurred_at, at),
        due_at=_due_at(data.due_at) if is_open else None,
    )


def _closed(kind: str, envelope: Envelope, at: datetime) -> events.Event:
    data = fields.decoded(_ORDER, envelope.data)
    cause = "timed_out" if kind == "payment.expired" else "cancelled"
    return events.Closed(
        fields.order_no(fields.text(data.order_no)), cause, fields.moment_or(data.occurred_at, at)
    )


def _pays_on_delivery(_: str, envelope: Envelope, at: datetime) -> events.Event:
    data = fields.decoded(_ORDER, envelope.data)
    return events.PaysOnDelivery(
        fields.order_no(fields.text(data.order_no)), fields.moment_or(data.occurred_at, at)
    )


def _accepted(_: str, envelope: Envelope, at: datetime) -> events.Event:
    data = fields.decoded(_ACCEPTANCE, envelope.data)
    return events.Accepted(
        order_no=fields.order_no(fields.text(data.order_no)),
        # Whose word it is stands in the account's options, not in its messages.
        target="",
        reference=_reference(data.reference),
        occurred_at=fields.moment_or(data.occurred_at, at),
    )


def _shipped(_: str, envelope: Envelope, at: datetime) -> events.Event:
    data = fields.decoded(_SHIPMENT, envelope.data)
    return events.Shipped(
        order_no=fields.order_no(fields.text(data.order_no)),
        carrier=fields.label(data.carrier, "carrier", _CARRIER_MAX) if data.carrier else "",
        tracking_no=_optional(data.tracking_no, "tracking_no", _TRACKING_NO_MAX),
        occurred_at=fields.moment_or(data.occurred_at, at),
        parcel_no=_optional(data.parcel_no, "parcel_no", _PARCEL_NO_MAX),
        lines=_lines(data.lines),
    )


def _delivered(_: str, envelope: Envelope, at: datetime) -> events.Event:
    data = fields.decoded(_DELIVERY, envelope.data)
    if not data.order_no and not data.tracking_no:
        raise fields.malformed("a delivery needs order_no or tracking_no")
    return events.Delivered(
        order_no=fields.order_no(fields.text(data.order_no)) if data.order_no else "",
        occurred_at=fields.moment_or(data.occurred_at, at),
        tracking_no=_optional(data.tracking_no, "tracking_no", _TRACKING_NO_MAX),
    )


def _optional(found: _Number | None, name: str, length_max: int) -> str:
    text = fields.text(found)
    return fields.token(text, name, length_max) if text else ""


def _money(value: Decimal, currency: str) -> tuple[Decimal, str]:
    """Return an amount and its currency, whose code some senders write in lower case."""
    code = fields.currency(currency.upper() if currency.isascii() else currency)
    return fields.amount(value, code), code


def _money_back(value: Decimal, currency: str) -> tuple[Decimal, str]:
    """Return what goes back, which must not be zero."""
    amount, code = _money(value, currency)
    return fields.refund_amount(amount, code), code


def _lines(found: object) -> tuple[events.ParcelLine, ...]:
    """Return what is in a parcel; that it left counts whether its lines can be read or not."""
    try:
        lines = msgspec.convert(found, Annotated[list[_Line], Meta(max_length=_LINES_MAX)])
        return tuple(
            events.ParcelLine(fields.label(line.sku, "sku", _SKU_MAX), line.quantity)
            for line in lines
        )
    except (msgspec.ValidationError, errors.Rejected):
        return ()


def _reference(found: object) -> str:
    """Return the sender's own number, or "": the acceptance counts without it."""
    text = fields.text(found)
    return text if fields.is_token(text, _REFERENCE_MAX) else ""


def _reason(found: object) -> str:
    try:
        return fields.label(msgspec.convert(found, str), "reason", _REASON_MAX)
    except (msgspec.ValidationError, errors.Rejected):
        return ""


def _due_at(found: object) -> datetime | None:
    try:
        return fields.moment(msgspec.convert(found, datetime))
    except (msgspec.ValidationError, errors.Rejected):
        return None


_STATES: dict[str, Literal["opened", "won", "lost"]] = {
    "dispute.opened": "opened",
    "dispute.won": "won",
    "dispute.lost": "lost",
}

READERS: dict[str, Callable[[str, Envelope, datetime], events.Event]] = {
    "payment.succeeded": _paid,
    "order.paid": _paid,
    "payment.refunded": _refunded,
    "refund.succeeded": _refunded,
    "refund.failed": _refund_failed,
    **dict.fromkeys(_STATES, _disputed),
    "order.cancelled": _closed,
    "payment.expired": _closed,
    "order.pays_on_delivery": _pays_on_delivery,
    "order.accepted": _accepted,
    "order.shipped": _shipped,
    "order.delivered": _delivered,
}
