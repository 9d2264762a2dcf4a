"""Placements: an order on its way in, and the verdict on a submission that met its like.

``judge`` is the table of ``Idempotency`` in the README as one function. It sees what the
ledger found and decides; the ledger only looks up and writes.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from gateway.domain.orders import Hold, Status, Submission

LOOKALIKE_WINDOW_S = 600

#: What a channel does with a look-alike that carries a request id of its own.
LookalikePolicy = Literal["hold", "replay", "off"]


#: What the stock said of an order: all is there, nobody could be asked, or something is missing.
#: None: it is never asked. What is missing is stored by nobody, and answered if it is a repeat.
Stock = Literal["checked", "unchecked", "missing"]


class Placement(Struct, frozen=True):
    """A checked submission with everything the ledger needs to store it.

    The digests are those of ``domain.fingerprint``; ``phone`` is normalised. ``is_from_shop``:
    a shop took the order and reported it; ``raw`` is then its message and not the submission.
    """

    id: UUID
    submission: Submission
    raw: bytes
    phone: str
    request_id: str | None
    payload_digest: bytes
    exact: bytes
    lookalike: bytes
    same_goods: bytes
    policy: LookalikePolicy
    trigger: str
    received_at: datetime
    is_from_shop: bool = False
    stock: Stock | None = None


class ExistingOrder(Struct, frozen=True):
    """What the ledger knows of an order that was there before. ``placed_hold`` is its first."""

    id: UUID
    channel: str
    order_no: str
    payload_digest: bytes
    status: Status
    version: int
    placed_hold: Hold | None
    lookalike: bytes
    request_id: str | None
    received_at: datetime


class Matches(Struct, frozen=True):
    """What a submission met: by request id, by (channel, order_no), by live fingerprint."""

    by_request_id: ExistingOrder | None = None
    by_order_no: ExistingOrder | None = None
    by_lookalike: ExistingOrder | None = None


Answer = Literal["placed", "replayed", "key_reused", "conflict", "out_of_stock"]


class Placed(Struct, frozen=True):
    """The answer to a placement, true once it is committed or journaled.

    For ``replayed`` it is the original result: how the order stood when it was placed.
    For ``key_reused`` and ``conflict`` it names the order that stands in the way. For
    ``out_of_stock`` nothing was stored, and ``id`` is nobody's.
    """

    answer: Answer
    id: UUID
    channel: str
    order_no: str
    hold: Hold | None
    status: Status = "pending_payment"
    version: int = 1
    payload_digest: bytes = b""
    has_waiting: bool = False
    #: Durable in the journal; the ledger has yet to hear of it.
    is_journaled: bool = False


class Insert(Struct, frozen=True):
    """The verdict that the order is new; ``hold`` if a person must look first."""

    hold: Hold | None


def judge(placement: Placement, matches: Matches) -> Placed | Insert:
    """Decide what a submission is that met orders already stored.

    A repeat is one whatever became of the stock since.
    """
    if placement.request_id is not None and (existing := matches.by_request_id):
        same = existing.payload_digest == placement.payload_digest
        return _answer("replayed" if same else "key_reused", existing)
    if existing := matches.by_order_no:
        same = existing.payload_digest == placement.payload_digest
        return _answer("replayed" if same else "conflict", existing)
    if existing := matches.by_lookalike:
        if placement.request_id is None or placement.policy == "replay":
            return _answer("replayed", existing)
        if placement.policy == "hold":
            return Insert("lookalike")
    return Insert(None)


def out_of_stock(placement: Placement) -> Placed:
    """Return the answer to an order that is new and can not be had."""
    order = placement.submission
    return Placed("out_of_stock", placement.id, order.channel, order.order_no, None)


def _answer(answer: Answer, existing: ExistingOrder) -> Placed:
    if answer == "replayed":
        return Placed(
            answer, existing.id, existing.channel, existing.order_no, existing.placed_hold
        )
    return Placed(
        answer, existing.id, existing.channel, existing.order_no, existing.placed_hold,
        existing.status, existing.version, existing.payload_digest,
    )  # fmt: skip
