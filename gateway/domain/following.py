"""Follow-ups: events after the placement, the state they act on, and what became of them."""

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from msgspec import Struct

from gateway.domain.events import Event
from gateway.domain.orders import Hold, Status

#: What became of an event.
#: ``waiting``: kept until its order or its payment comes; ``noted``: recorded, no effect;
#: ``journaled``: kept until Postgres can take it.
Outcome = Literal["applied", "repeat", "waiting", "parked", "noted", "journaled"]

#: Why something was set aside for a person.
ParkReason = Literal[
    "amount_mismatch",
    "paid_after_close",
    "duplicate_payment",
    "refund_exceeds_payment",
    "impossible_transition",
    "unknown_order",
    "unmapped",
    "poison",
]

#: What a payment is to its order.
Standing = Literal["waiting", "applied", "mismatch", "after_close", "duplicate"]


class FollowUp(Struct, frozen=True):
    """An event on its way in. ``(source, source_key)`` is what makes it one and the same.

    ``source`` is ``<provider>:<account>``; ``source_key`` the key that the provider really
    guarantees; ``channels`` those whose orders the account pays for; ``trigger`` who says so.
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


class Settle(Struct, frozen=True):
    """Ask that whatever waits for this order be applied to it."""

    order_id: UUID


class OrderState(Struct):
    """The part of an order that events change."""

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
    carrier: str | None = None
    tracking_no: str | None = None
    #: What the order was held for when it was placed.
    placed_hold: Hold | None = None


class PaymentState(Struct):
    """One transaction of a provider. Unique by (provider, transaction_id)."""

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


class Step(Struct):
    """What one event did: the line of history, and what a person must be shown."""

    outcome: Outcome
    from_status: Status | None = None
    to_status: Status | None = None
    reason: ParkReason | None = None
    detail: str = ""


class Done(Struct, frozen=True):
    """The answer to a follow-up, true once it is committed or journaled."""

    outcome: Outcome
    order_id: UUID | None = None
    reason: ParkReason | None = None
    status: Status | None = None
    version: int = 0
    hold: Hold | None = None
