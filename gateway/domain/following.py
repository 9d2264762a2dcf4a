"""Follow-ups: events after the placement, the state they act on, and their outcome."""

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from msgspec import Struct

from gateway.domain.asking import Asked, Refusal
from gateway.domain.events import Event, ParcelLine
from gateway.domain.orders import Hold, Status

#: The outcome of an event.
#: ``waiting``: stored until its order or its payment comes; ``noted``: recorded, no effect;
#: ``journaled``: stored until Postgres can take it; ``refused``: an action that left no trace.
Outcome = Literal["applied", "repeat", "waiting", "parked", "noted", "journaled", "refused"]

#: Why something was parked for an operator.
ParkReason = Literal[
    "amount_mismatch",  # another currency than the order's was paid, or another amount than
    # the whole where the channel takes no parts
    "paid_after_close",  # the order was closed before: someone owes a refund
    "duplicate_payment",  # the order was paid before: someone owes a refund
    "overpaid",  # the last part was more than what was still due: someone owes the surplus
    "refund_exceeds_payment",  # more went back than was paid, or in another currency
    "refund_failed",  # a refund did not reach the buyer: it must go another way
    "impossible_transition",  # the order's status does not allow what was reported
    "unknown_order",  # the order did not come in time, or no order was shipped under this number
    "held",  # the order's hold stops what was reported, and did not end in time
    "action_refused",  # a person's action was journaled, and not allowed when its turn came
    "unmapped",  # a genuine message that the gateway cannot book
    "poison",  # the database cannot store this one entry
]

#: The standing of a payment with its order. ``applied``, ``after_close`` and ``duplicate`` count
#: as money of the order; ``mismatch`` does not. ``repeat``: the same payment is booked already, as
#: another account reported it that is paid for the same channel, or under another number.
Standing = Literal["waiting", "applied", "mismatch", "after_close", "duplicate", "repeat"]


class FollowUp(Struct, frozen=True):
    """An event on its way in. ``(source, source_key)`` is its idempotency key.

    ``source`` is ``<provider>:<account>``; ``source_key`` the key that the provider guarantees
    to be unique; ``channels`` are those whose orders the account pays for; ``trigger`` is who
    reported it; ``raw`` the message as it arrived, None where another row stores it. ``is_test``:
    the number it names is that of a test order, for no money moved; False: of a live one.
    ``asked``: a person asked for it.
    """

    id: UUID
    source: str
    source_key: str
    provider: str
    channels: tuple[str, ...]
    event: Event
    trigger: str
    received_at: datetime
    raw: bytes | None = None
    is_test: bool = False
    asked: Asked | None = None


class Settle(Struct, frozen=True):
    """A request to apply the events that wait for this order."""

    order_id: UUID


class Replay(Struct, frozen=True):
    """A parked event, decoded anew by ``actor``'s order, to be judged again.

    ``parked_id``: its row of ``parked``. ``transaction_no``: the number that it named when it was
    parked, or ``""``. ``waiting_id``: the event that the row is a note about, if it is one.
    """

    parked_id: UUID
    entry: FollowUp
    actor: str
    transaction_no: str = ""
    waiting_id: UUID | None = None


#: What the lane of follow-ups takes.
Entry = FollowUp | Settle | Replay


class Parcel(Struct, frozen=True):
    """A parcel of an order: a row of ``parcels``.

    ``delivered_at`` None: not yet. ``lines``: what is in it, where the sender told.
    """

    id: UUID
    order_id: UUID
    carrier: str
    tracking_no: str
    parcel_no: str
    lines: tuple[ParcelLine, ...]
    shipped_at: datetime
    delivered_at: datetime | None = None
    cancelled_at: datetime | None = None

    def is_live(self) -> bool:
        """Return whether it left, as far as is known: what arrived was not cancelled."""
        return self.cancelled_at is None or self.delivered_at is not None


class Acceptance(Struct, frozen=True):
    """A target's word that it has the order. ``reference``: its own number for it, or empty."""

    target: str
    reference: str
    accepted_at: datetime


class OrderState(Struct):
    """The part of an order that events change. ``paid`` and ``refunded`` are all its money."""

    id: UUID
    channel: str
    order_no: str
    status: Status
    version: int
    hold: Hold | None
    currency: str
    payable: Decimal
    paid: Decimal
    refunded: Decimal
    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    completed_at: datetime | None = None
    closed_at: datetime | None = None
    #: The first parcel's.
    carrier: str | None = None
    tracking_no: str | None = None
    #: The hold the order was placed with.
    placed_hold: Hold | None = None
    is_test: bool = False
    #: When a person last ended a hold: the one it was placed with, or a person's.
    released_at: datetime | None = None
    closed_cause: str | None = None
    pays_on_delivery: bool = False
    #: The whole order was delivered, whatever is known of its parcels.
    is_delivered: bool = False
    #: When a person last held it.
    held_at: datetime | None = None
    #: When a person last took back that it was closed.
    reopened_at: datetime | None = None
    parcels: tuple[Parcel, ...] = ()
    #: Its other numbers, of look-alikes that were answered with it.
    aliases: tuple[str, ...] = ()
    #: Who said that it has the order, the earliest first; one row a target.
    acceptances: tuple[Acceptance, ...] = ()
    #: When the first of them did.
    accepted_at: datetime | None = None

    def has_number(self, order_no: str) -> bool:
        """Return whether this is a number of the order."""
        return order_no == self.order_no or order_no in self.aliases


class RefundReport(Struct, frozen=True):
    """What was told of the refunds of a payment: a row of ``refunds``.

    ``is_total``: ``amount`` is all that had been refunded by then; of a failed one, what comes off
    that total. Otherwise it is the refund ``refund_no`` alone.
    """

    id: UUID
    payment_id: UUID
    refund_no: str
    amount: Decimal
    is_total: bool
    is_failed: bool
    occurred_at: datetime
    #: The money went back another way: no total has it.
    is_apart: bool = False


class DisputeState(Struct, frozen=True):
    """A dispute of a payment as it stands at ``changed_at``: a row of ``disputes``."""

    id: UUID
    payment_id: UUID
    dispute_no: str
    amount: Decimal
    state: Literal["opened", "won", "lost"]
    reason: str
    opened_at: datetime
    changed_at: datetime
    due_at: datetime | None = None


class PaymentState(Struct):
    """One transaction as one account reported it. Unique by (source, transaction_id).

    ``refunded`` is all that went back of it: refunds that did not fail, and lost disputes.
    """

    id: UUID
    provider: str
    source: str
    transaction_id: str
    order_id: UUID | None
    order_no: str
    currency: str
    amount: Decimal
    refunded: Decimal
    standing: Standing
    paid_at: datetime
    is_provisional: bool = False
    #: Other numbers of the same payment.
    names: tuple[str, ...] = ()
    refunds: tuple[RefundReport, ...] = ()
    disputes: tuple[DisputeState, ...] = ()


class Step(Struct):
    """What one event did: its line of the history, and the reason if it was parked.

    ``is_change``: the order, or a payment of it, is not as it was. What was applied always is one.
    """

    outcome: Outcome
    from_status: Status | None = None
    to_status: Status | None = None
    reason: ParkReason | None = None
    detail: str = ""
    is_change: bool = False


class Parked(Struct, frozen=True):
    """What was parked, by the numbers with which a person finds it; empty where none was told."""

    reason: ParkReason
    provider: str
    order_no: str
    transaction_id: str


class Done(Struct, frozen=True):
    """The answer to a follow-up, true once it is committed or journaled.

    ``is_new``: it is recorded by this very call, and its raw message with it. ``refusal``: why an
    action was refused. ``detail``: of a replay, what it came to, in words. ``parked``: what this
    call parked, be it something that had waited.
    """

    outcome: Outcome
    order_id: UUID | None = None
    reason: ParkReason | None = None
    status: Status | None = None
    version: int = 0
    hold: Hold | None = None
    is_new: bool = False
    refusal: Refusal | None = None
    detail: str = ""
    parked: tuple[Parked, ...] = ()
