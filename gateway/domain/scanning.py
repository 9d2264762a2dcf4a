"""What the nightly scan looks for: money and orders that do not agree. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, get_args
from uuid import UUID

from msgspec import Struct

from gateway.domain import money

FindingKind = Literal[
    "payment_without_order",  # money came, and the order that it names did not
    "sum_differs",  # what the order counts as paid or refunded is not what its payments come to
    "double_payment",  # an order was paid twice, and one of both is still here
    "refund_overdue",  # money has been owed to the buyer for too long
    "not_handed_on",  # paid, and the change feed never told so
    "waiting_too_long",  # an event waits for what must come before it
]
KINDS: tuple[FindingKind, ...] = get_args(FindingKind)

#: Findings that a report names; it counts all.
EXAMPLES_MAX = 50
_UUID7_TIME_SHIFT = 80


class Finding(Struct, frozen=True):
    """What does not agree. (``kind``, ``subject``) is the same as long as it does not.

    ``subject`` is the id of the order, the payment or the event that waits.
    """

    kind: FindingKind
    subject: UUID
    order_id: UUID | None
    channel: str
    order_no: str
    detail: str


class Totals(Struct):
    """What a scan looked at."""

    payments: int = 0
    orders: int = 0
    held: int = 0
    waiting: int = 0


class ScanReport(Struct):
    """What a scan came to. ``found``: by kind; ``new``: those that the night before had not."""

    business_day: date
    from_at: datetime
    until_at: datetime
    totals: Totals
    found: dict[str, int]
    new: dict[str, int]
    ended: int
    examples: list[Finding]


class Window(Struct, frozen=True):
    """What is looked at: what arrived from ``from_at`` on, and before ``until_at``."""

    from_at: datetime
    until_at: datetime


def window(bounds: tuple[datetime, datetime], back: timedelta) -> Window:
    """Return a business day with some time before it: what came late is looked at again."""
    return Window(bounds[0] - back, bounds[1])


def first_id(at: datetime) -> UUID:
    """Return the lowest id (UUIDv7) that is made at this time: rows are read by their ids."""
    return UUID(int=int(at.timestamp() * 1000) << _UUID7_TIME_SHIFT)


def sums_detail(currency: str, counted: Sequence[Decimal], told: Sequence[Decimal]) -> str:
    """Say how (paid, refunded) of an order differs from what its payments come to."""
    words = ("paid", "refunded")
    return "; ".join(
        f"{word} {money.named(mine, currency)}, by its payments {money.named(theirs, currency)}"
        for word, mine, theirs in zip(words, counted, told, strict=True)
        if mine != theirs
    )


def owed_detail(owed: Decimal, currency: str) -> str:
    """Say what is owed."""
    return f"{money.named(owed, currency)} is owed to the buyer"


def double_detail(paid: Decimal, owed: Decimal, currency: str) -> str:
    """Say what was paid twice."""
    return f"paid {money.named(paid, currency)}, of which {money.named(owed, currency)} is owed"


def payment_detail(
    provider: str, transaction_id: str, amount: Decimal, currency: str, elsewhere: Sequence[str]
) -> str:
    """Say which payment has no order, and in which channels there is an order of its number."""
    text = f"{money.named(amount, currency)} by {provider}, transaction {transaction_id}"
    if elsewhere:
        text += f"; an order of this number is in {', '.join(elsewhere)}"
    return text


def merged(before: Mapping[str, int], kinds: Sequence[str]) -> dict[str, int]:
    """Return counts by kind with these added."""
    counts = dict(before)
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
    return counts
