"""Follow-ups: events after the placement, the state they act on, and their outcome."""

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from msgspec import Struct

from gateway.domain.events import Event
from gateway.domain.orders import Hold, Status

#: The outcome of an event.
#: ``waiting``: stored until its order or its payment comes; ``noted``: recorded, no effect;
#: ``journaled``: stored until Postgres can take it.
Outcome = Literal["applied", "repeat", "waiting", "parked", "noted", "journaled"]

#: Why something was parked for an operator.
ParkReason = Literal[
    "amount_mismatch",  # another amount or currency than the order's was paid
    "paid_after_close",  # the order was closed before: someone owes a refund
    "duplicate_payment",  # the order was paid before: someone owes a refund
    "refund_exceeds_payment",  # more was refunded than paid, or in another currency
    "impossible_transition",  # the order's status does not allow what was reported
    "unknown_order",  # the order did not come in time, or no order was shipped under this number
    "unmapped",  # a genuine message that the gateway cannot book
    "poison",  # the database cannot store this one entry
]

#: The standing of a payment with its order. ``repeat``: another account, paid for the same
#: channel, had reported this transaction of this order already; it counts once.
Standing = Literal["waiting", "applied", "mismatch", "after_close", "duplicate", "repeat"]


class FollowUp(Struct, frozen=True):
    """An event on its way in. ``(source, source_key)`` is its idempotency key.

    ``source`` is ``<provider>:<account>``; ``source_key`` the key that the provider guarantees
    to be unique; ``channels`` are those whose orders the account pays for; ``trigger`` is who
    reported it; ``raw`` the message as it arrived, None where another row stores it. ``is_test``:
    the number it names is that of a test order, for no money moved; False: of a live one.
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


class Settle(Struct, frozen=True):
    """A request to apply the events that wait for this order."""

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
    #: The hold the order was placed with.
    placed_hold: Hold | None = None
    is_test: bool = False


class PaymentState(Struct):
    """One transaction as one account reported it. Unique by (source, transaction_id)."""

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
    """What one event did: its line of the history, and the reason if it was parked."""

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
