"""Missed orders: paid, and not accepted in time by a target that was told of them. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from msgspec import Struct

from gateway.domain import holds
from gateway.domain.following import Acceptance
from gateway.domain.orders import Hold, Status

#: The holds of an order that is not to be handed on: it is not missed while one of them stands.
STOPPING: tuple[Hold, ...] = tuple(hold for hold in holds.HOLDS if holds.stops(hold, "hand_off"))

#: What became of the last attempt to tell the target, or what keeps the next one.
Standing = Literal[
    "pending",  # an attempt is due, or due again
    "dead letter",  # the last attempt failed, and there will be none by itself
    "delivered",  # the target answered that it has it; its own word did not come
    "withdrawn",  # by the time that it was to be told, it was no longer so
    "not tried",  # no delivery exists, and none was attempted
]


class AcceptingTarget(Struct, frozen=True):
    """A target that accepts orders, and how long it may take over each."""

    name: str
    missed_after: timedelta


class MissedOrder(Struct, frozen=True):
    """An order that a target should have accepted by now, and what is known of telling it.

    ``since``: when the target was to be told that the order is paid; ``event_id`` is that event.
    ``attempts`` counts those of the delivery that is pending or a dead letter.
    """

    order_id: UUID
    target: str
    event_id: UUID
    since: datetime
    channel: str
    order_no: str
    is_test: bool
    version: int
    paid_at: datetime | None
    standing: Standing
    attempts: int
    last_attempt_at: datetime | None
    last_status_code: int | None
    last_reason: str
    #: The target is disabled: nothing is sent to it until somebody enables it.
    is_disabled: bool

    def waited_s(self, now: datetime) -> float:
        """Return for how many seconds it has been waiting for the target's word."""
        return (now - self.since).total_seconds()


class Place(Struct, frozen=True):
    """Where a page of missed orders ends; its text is for the next page."""

    since: datetime
    order_id: UUID
    target: str

    @classmethod
    def of(cls, missed: MissedOrder) -> "Place":
        """Return the place of an order in the list."""
        return cls(missed.since, missed.order_id, missed.target)

    @classmethod
    def read(cls, text: str) -> "Place":
        """Read what ``text`` wrote. Raises ``ValueError``."""
        since, order_id, target = text.split("_", 2)
        moment = datetime.fromisoformat(since)
        if moment.tzinfo is None or not target.isascii() or not target.isprintable():
            raise ValueError("is no place in the list")
        return cls(moment, UUID(order_id), target)

    def text(self) -> str:
        """Return it in characters that stand in a query as they are."""
        since = self.since.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        return f"{since}_{self.order_id}_{self.target}"


def awaits(
    *, status: Status, hold: Hold | None, acceptances: Sequence[Acceptance], target: str
) -> bool:
    """Return whether an order is one that the target still has to accept.

    What is shipped, closed or refunded is not; what is held, only once the hold has ended.
    """
    if status != "paid" or hold in STOPPING:
        return False
    return all(each.target != target for each in acceptances)
