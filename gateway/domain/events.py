"""Domain events: what a callback, a poll or an operator reports of an order.

Provider dialects end at ``gateway/providers/``; from there on only these exist.
None of them carries private data, so they may be stored in clear while they wait.
"""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct


class PaymentSucceeded(Struct, frozen=True, tag="payment_succeeded"):
    """The buyer paid ``amount`` (major units). ``transaction_id`` is the provider's number."""

    transaction_id: str
    order_no: str
    amount: Decimal
    currency: str
    occurred_at: datetime


class RefundSucceeded(Struct, frozen=True, tag="refund_succeeded"):
    """Money went back.

    ``cumulative``: ``amount`` is all that was refunded of the transaction so far (Alipay,
    Stripe); otherwise it is this refund alone and ``refund_no`` names it (WeChat Pay).
    ``order_no`` may be empty: the transaction then names the order.
    """

    transaction_id: str
    order_no: str
    refund_no: str
    amount: Decimal
    cumulative: bool
    currency: str
    occurred_at: datetime


class Closed(Struct, frozen=True, tag="closed"):
    """The order was closed unpaid. ``cause`` is ``timed_out`` or ``cancelled``."""

    order_no: str
    cause: str
    occurred_at: datetime


class Shipped(Struct, frozen=True, tag="shipped"):
    """The parcel left. Carrier and tracking number are required."""

    order_no: str
    carrier: str
    tracking_no: str
    occurred_at: datetime


class Delivered(Struct, frozen=True, tag="delivered"):
    """The buyer has the parcel.

    A courier names no order: ``order_no`` is empty then, and the one order in the account's
    channels that was shipped under ``tracking_no`` is meant.
    """

    order_no: str
    occurred_at: datetime
    tracking_no: str = ""


class Noted(Struct, frozen=True, tag="noted"):
    """Verified, recorded, and without effect on any order: ``kind`` says what it was."""

    kind: str
    occurred_at: datetime


class Unmapped(Struct, frozen=True, tag="unmapped"):
    """Verified, but not bookable: parked, so that an operator sees it.

    ``kind`` is the provider's name for it; ``detail`` says what could not be mapped and holds
    nothing private. ``order_no`` may be empty.
    """

    kind: str
    order_no: str
    detail: str
    occurred_at: datetime


Event = PaymentSucceeded | RefundSucceeded | Closed | Shipped | Delivered | Noted | Unmapped


def order_no(event: Event) -> str:
    """Return the order number that the event names, or ``""``."""
    return "" if isinstance(event, Noted) else event.order_no


def transaction_id(event: Event) -> str:
    """Return the provider's transaction number that the event names, or ``""``."""
    return event.transaction_id if isinstance(event, PaymentSucceeded | RefundSucceeded) else ""


def tracking_no(event: Event) -> str:
    """Return the tracking number that identifies the order where none is named, or ``""``."""
    return event.tracking_no if isinstance(event, Delivered) and not event.order_no else ""


def refund_key(origin: str, event: Event) -> tuple[str, str] | None:
    """Return what identifies a single refund in any report of it: (source, key) in the history.

    ``origin`` is the account that reported the payment; revisions before 0009 wrote the provider.
    A callback and a poll may both report it, each under a key of its own; added up twice, it
    would be money that was never refunded. Totals need no name: they are compared, not added.
    """
    if isinstance(event, RefundSucceeded) and not event.cumulative and event.refund_no:
        return f"refund:{origin}", f"{event.transaction_id} {event.refund_no}"
    return None


def action(event: Event) -> str:
    """Return the word for the history: ``payment_succeeded``, ``timed_out``, ..."""
    match event:
        case Closed():
            return event.cause
        case Noted() | Unmapped():
            return event.kind
        case _:
            return str(event.__struct_config__.tag)
