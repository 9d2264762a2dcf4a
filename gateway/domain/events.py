"""Domain events: what a callback, a poll or an operator reports of an order.

Provider dialects end at ``gateway/providers/``; from there on only these exist.
None of them carries private data, so they may be stored in clear while they wait.
"""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from gateway.domain.orders import Amounts, Item


class PaymentSucceeded(Struct, frozen=True, tag="payment_succeeded"):
    """The buyer paid ``amount`` (major units): what was captured, never what was authorised.

    ``transaction_id`` is the provider's number. ``names`` are other numbers that the provider has
    for the same payment, and may use in later messages: an invoice, a checkout session, a charge.
    ``is_provisional``: the provider has not said its own number yet. The payment of the same
    account, order and amount is this one then, whichever message comes first.
    """

    transaction_id: str
    order_no: str
    amount: Decimal
    currency: str
    occurred_at: datetime
    names: tuple[str, ...] = ()
    is_provisional: bool = False


class RefundSucceeded(Struct, frozen=True, tag="refund_succeeded", omit_defaults=True):
    """Money went back.

    ``cumulative``: ``amount`` is all that was refunded of the transaction so far (Alipay,
    Stripe); otherwise it is this refund alone and ``refund_no`` names it (WeChat Pay).
    ``order_no`` may be empty: the transaction then names the order. ``is_apart``: the money went
    back another way than through the provider, so that no total of the provider's has it.
    """

    transaction_id: str
    order_no: str
    refund_no: str
    amount: Decimal
    cumulative: bool
    currency: str
    occurred_at: datetime
    is_apart: bool = False


class RefundFailed(Struct, frozen=True, tag="refund_failed"):
    """A refund did not reach the buyer: the money is with the merchant again, or still.

    What was booked of this refund is taken back, and a refund is owed again. ``refund_no`` and
    ``amount`` are those of the refund. ``cumulative``: refunds of this provider are reported as
    totals, and the amount is taken off the total; otherwise ``refund_no`` names the refund that
    does not count any more. A report of its success that is older counts no more either.
    """

    transaction_id: str
    order_no: str
    refund_no: str
    amount: Decimal
    cumulative: bool
    currency: str
    occurred_at: datetime


class Dispute(Struct, frozen=True, tag="dispute"):
    """The buyer, or their bank, disputes a payment: a chargeback, a claim, a reversal.

    ``dispute_no`` names it in all its messages; ``amount`` is what is disputed. ``opened``: the
    order is held. ``won``: the money stays with the merchant. ``lost``: it went back to the buyer.
    The latest state by ``occurred_at`` counts. ``due_at``: until when the merchant can answer.
    ``reason`` is the provider's word, without anything private.
    """

    transaction_id: str
    order_no: str
    dispute_no: str
    amount: Decimal
    currency: str
    state: Literal["opened", "won", "lost"]
    reason: str
    occurred_at: datetime
    due_at: datetime | None = None


class Closed(Struct, frozen=True, tag="closed"):
    """The order was closed: it will not be delivered. ``cause`` is ``timed_out`` or ``cancelled``.

    What was paid for it is to be refunded. ``only_unpaid``: no news where money came meanwhile, as
    when one payment was given up, or nobody paid in time.
    """

    order_no: str
    cause: str
    occurred_at: datetime
    only_unpaid: bool = False


class ParcelLine(Struct, frozen=True):
    """What a parcel holds of one line of the order."""

    sku: str
    quantity: int


class Shipped(Struct, frozen=True, tag="shipped"):
    """A parcel of the order left; an order may have several.

    ``parcel_no`` is the sender's own number of the parcel, where it has one. Two reports with the
    same ``parcel_no``, or with the same tracking number, are of one parcel: the later one may
    correct it. Carrier and tracking number may be empty where there are none (a pick-up, a
    letter). ``lines``: what is in it, where told.
    """

    order_no: str
    carrier: str
    tracking_no: str
    occurred_at: datetime
    parcel_no: str = ""
    lines: tuple[ParcelLine, ...] = ()


class Delivered(Struct, frozen=True, tag="delivered"):
    """The buyer has the goods.

    With a ``tracking_no``: that parcel. A courier names no order: ``order_no`` is empty then, and
    the one order in the account's channels that was shipped under ``tracking_no`` is meant.
    Without: the whole order, however it was delivered (services, downloads, pick-up).
    """

    order_no: str
    occurred_at: datetime
    tracking_no: str = ""


class Accepted(Struct, frozen=True, tag="accepted"):
    """A warehouse, or whoever else an order is handed on to, says that it has the order.

    ``target`` says who; ``reference`` is its own number for it, or empty. Each target accepts an
    order once: its earliest word counts.
    """

    order_no: str
    target: str
    reference: str
    occurred_at: datetime


class PaysOnDelivery(Struct, frozen=True, tag="pays_on_delivery"):
    """The buyer pays the courier: the order may be shipped and delivered before it is paid."""

    order_no: str
    occurred_at: datetime


class Amended(Struct, frozen=True, tag="amended"):
    """The shop tells an order anew, and not as it is stored.

    ``amounts`` and ``items`` are all of it; ``payload_digest`` is that of the whole order as told
    now (hex); empty where a person amends it, and the order's own stays. An order that is not paid
    takes the new amounts. A change of anything else, and a change of amounts after the payment, is
    parked, once for each digest.
    """

    order_no: str
    currency: str
    amounts: Amounts
    items: tuple[Item, ...]
    payload_digest: str
    occurred_at: datetime


class HeldByPerson(Struct, frozen=True, tag="held"):
    """A person holds the order: it is neither handed off nor shipped until a person releases it."""

    order_no: str
    reason: str
    occurred_at: datetime


class Released(Struct, frozen=True, tag="released"):
    """A person looked at the order and ended the hold it was placed with, or a person's."""

    order_no: str
    reason: str
    occurred_at: datetime


class Reopened(Struct, frozen=True, tag="reopened"):
    """A person takes back that the order was closed. What closed it before counts no more."""

    order_no: str
    reason: str
    occurred_at: datetime


class ParcelCancelled(Struct, frozen=True, tag="parcel_cancelled"):
    """A parcel that was told as shipped did not leave, or came back before it arrived.

    One that is told as shipped again, at a later time, counts again.
    """

    order_no: str
    tracking_no: str
    reason: str
    occurred_at: datetime


class AddressChanged(Struct, frozen=True, tag="address_changed"):
    """A person changed where the order goes. ``fields``: which parts of the recipient.

    The new ones are private: they are in the message, and not here.
    """

    order_no: str
    fields: tuple[str, ...]
    occurred_at: datetime


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


Event = (
    PaymentSucceeded
    | RefundSucceeded
    | RefundFailed
    | Dispute
    | Closed
    | Shipped
    | Delivered
    | Accepted
    | PaysOnDelivery
    | Amended
    | HeldByPerson
    | Released
    | Reopened
    | ParcelCancelled
    | AddressChanged
    | Noted
    | Unmapped
)

#: Events about a payment: they have a ``transaction_id``.
OF_A_PAYMENT = (PaymentSucceeded, RefundSucceeded, RefundFailed, Dispute)
#: Those of money on its way back: the order is the one that the transaction paid.
MONEY_BACK = (RefundSucceeded, RefundFailed, Dispute)


def order_no(event: Event) -> str:
    """Return the order number that the event names, or ``""``."""
    return "" if isinstance(event, Noted) else event.order_no


def transaction_id(event: Event) -> str:
    """Return the provider's transaction number that the event names, or ``""``."""
    return event.transaction_id if isinstance(event, OF_A_PAYMENT) else ""


def names(event: Event) -> tuple[str, ...]:
    """Return every number that the event has for its transaction, the provider's own first."""
    if isinstance(event, PaymentSucceeded):
        return (event.transaction_id, *event.names)
    return (event.transaction_id,) if isinstance(event, MONEY_BACK) else ()


def tracking_no(event: Event) -> str:
    """Return the tracking number that identifies the order where none is named, or ``""``."""
    return event.tracking_no if isinstance(event, Delivered) and not event.order_no else ""


def refund_key(origin: str, event: Event) -> tuple[str, str] | None:
    """Return what identifies a single refund in any report of it: (source, key) in the history.

    ``origin`` is the account that reported the payment; revisions before 0009 wrote the provider.
    A callback and a poll may both report it, each under a key of its own; added up twice, it
    would be money that was never refunded. Totals need no name: they are compared, not added.
    """
    if not isinstance(event, RefundSucceeded) or event.is_apart:
        return None
    if not event.cumulative and event.refund_no:
        return f"refund:{origin}", f"{event.transaction_id} {event.refund_no}"
    return None


def action(event: Event) -> str:
    """Return the word for the history: ``payment_succeeded``, ``timed_out``, ..."""
    match event:
        case Closed():
            return event.cause
        case Dispute():
            return f"dispute_{event.state}"
        case Noted() | Unmapped():
            return event.kind
        case _:
            return str(event.__struct_config__.tag)
