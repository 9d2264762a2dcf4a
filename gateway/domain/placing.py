"""Placements: an order on its way in, and the verdict on a submission that matches stored orders.

``judge`` is the table "What counts as the same" of ``ops/guides/concepts.md`` as one function. It
decides by the matches that the ledger found; the ledger only reads and writes.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain.channels import ChannelPolicy
from gateway.domain.orders import Hold, Status, Submission

LOOKALIKE_WINDOW_S = 600

#: The stock check of an order: all in stock, not checked, or something out of stock. None: the
#: stock is never checked. An order out of stock is not stored, and a repeat of a stored one is
#: answered all the same.
Stock = Literal["checked", "unchecked", "missing"]


class Placement(Struct, frozen=True):
    """A checked submission with everything the ledger needs to store it.

    The digests are those of ``domain.fingerprint``; ``phone`` is what its number is found by;
    ``policy`` is its channel's when it arrived. ``is_from_shop``: a shop took the order and
    reported it; ``raw`` is then its message and not the submission. It has no request id: those
    are a storefront's.
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
    policy: ChannelPolicy
    trigger: str
    received_at: datetime
    is_from_shop: bool = False
    stock: Stock | None = None

    @property
    def may_be_double_click(self) -> bool:
        """Whether nothing but its number says that it is an order of its own."""
        return self.request_id is None and not self.is_taken

    @property
    def is_taken(self) -> bool:
        """Whether a shop or a platform has it already, or even the money: it is an order."""
        return self.is_from_shop or bool(self.submission.payment)


class ExistingOrder(Struct, frozen=True):
    """A stored order that a submission matches. ``placed_hold`` is the hold it was placed with.

    Matched by an alias, it has the payload and the request id of the submission that made it one.
    """

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
    #: None: not known, in the journal's claims of earlier versions and where it does not matter.
    placed_at: datetime | None = None


class Matches(Struct, frozen=True):
    """The stored orders that a submission matches, by each key that may match.

    The keys are the request id, (channel, order_no) and the live look-alike fingerprint.
    ``apart_s``: seconds between the submission and the order that it looks like, in their arrival
    or in their ``placed_at``, whichever is more: a backlog that is handed over in a moment holds no
    double clicks. ``amendments``: how often the order of this number was told anew.
    """

    by_request_id: ExistingOrder | None = None
    by_order_no: ExistingOrder | None = None
    by_lookalike: ExistingOrder | None = None
    apart_s: float = 0.0
    amendments: int = 0


Answer = Literal["placed", "replayed", "key_reused", "conflict", "out_of_stock"]


class Placed(Struct, frozen=True):
    """The answer to a placement, true once it is committed or journaled.

    For ``replayed`` it is the original result: the order as it was placed. For ``key_reused``
    and ``conflict`` it is the stored order that the submission contradicts. For
    ``out_of_stock`` nothing was stored, and no order has ``id``. ``has_waiting``: events that
    came before the order wait to be applied.
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
    #: Durable in the journal, and not yet in the ledger.
    is_journaled: bool = False


class Conflict(Placed, frozen=True):
    """The answer ``conflict``. ``amendments``: how often the stored order was told anew.

    ``differs``: the names of what differs, of an order of a shop; None: not compared.
    """

    amendments: int = 0
    differs: tuple[str, ...] | None = None


class Insert(Struct, frozen=True):
    """The verdict that the order is new; ``hold``: the reason to hold it for review, or None.

    ``resembles`` is the number of the order that it looks like, where it is held for that.
    """

    hold: Hold | None
    resembles: str = ""


class Alias(Struct, frozen=True):
    """The verdict that the order is ``existing`` under another number, which becomes an alias."""

    existing: ExistingOrder


def source(order: Submission) -> str:
    """Return under which source the history has that an order was placed; its number is the key.

    Numbers are unique within a source: a test order never takes that of a live one.
    """
    return f"{'placed-test' if order.is_test else 'placed'}:{order.channel}"


def first_state(order: Submission) -> tuple[Status, int]:
    """Return status and version of an order as it is placed: of 0.00 nothing is due, it is paid."""
    return ("pending_payment", 1) if order.amounts.payable else ("paid", 2)


def judge(placement: Placement, matches: Matches) -> Placed | Insert | Alias:
    """Decide what a submission is, given the stored orders that it matches.

    Precedence: request id, then order number, then look-alike. A repeat stays one whatever the
    stock is now. An order that a shop took is one, whatever it looks like.
    """
    if placement.request_id is not None and (existing := matches.by_request_id):
        same = existing.payload_digest == placement.payload_digest
        return _answer("replayed" if same else "key_reused", existing, placement)
    if existing := matches.by_order_no:
        if existing.payload_digest == placement.payload_digest:
            return _answer("replayed", existing, placement)
        contradicted = msgspec.structs.asdict(_answer("conflict", existing, placement))
        return Conflict(**contradicted | {"amendments": matches.amendments})
    if existing := matches.by_lookalike:
        policy = placement.policy
        if placement.may_be_double_click and matches.apart_s < policy.lookalike_window_s:
            return Alias(existing)
        if policy.lookalike == "replay" and not placement.is_taken:
            return Alias(existing)
        if policy.lookalike != "off":
            return Insert("lookalike", existing.order_no)
    return Insert(None)


def aliased(existing: ExistingOrder, placement: Placement, *, has_waiting: bool = False) -> Placed:
    """Return the answer to a submission whose number became an alias of ``existing``."""
    placed = _answer("replayed", existing, placement)
    return msgspec.structs.replace(placed, has_waiting=has_waiting)


def out_of_stock(placement: Placement) -> Placed:
    """Return the answer to an order that is new and out of stock."""
    order = placement.submission
    return Placed("out_of_stock", placement.id, order.channel, order.order_no, None)


def _answer(answer: Answer, existing: ExistingOrder, placement: Placement) -> Placed:
    if answer == "replayed":
        # The same payload, or one that looks like it: what is due of both is the same.
        return Placed(
            answer, existing.id, existing.channel, existing.order_no, existing.placed_hold,
            *first_state(placement.submission),
        )  # fmt: skip
    return Placed(
        answer, existing.id, existing.channel, existing.order_no, existing.placed_hold,
        existing.status, existing.version, existing.payload_digest,
    )  # fmt: skip
