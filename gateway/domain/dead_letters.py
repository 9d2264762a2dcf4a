"""Deliveries as people see them: what waits for a target, what is dead, which of it is meant."""

import base64
import binascii
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

import msgspec
from msgspec import Struct

#: Deliveries whose last attempt failed, those that are still tried, or both.
State = Literal["dead", "pending", "all"]
STATES: tuple[State, ...] = get_args(State)


class ListedDelivery(Struct, frozen=True):
    """A delivery that is not over. ``dead_at``: since when it is a dead letter; None: it is tried.

    ``attempts``: those that failed; ``reason``: why the last one did.
    """

    target: str
    event_id: UUID
    order_id: UUID
    order_no: str
    channel: str
    topic: str
    version: int
    attempts: int
    occurred_at: datetime
    due_at: datetime
    dead_at: datetime | None
    reason: str


class Filter(Struct, frozen=True):
    """Which deliveries are meant; what is None or empty does not narrow.

    ``reason``: a part of why the last attempt failed. ``before`` and ``after``: when what is told
    happened.
    """

    state: State = "dead"
    target: str | None = None
    topic: str | None = None
    reason: str | None = None
    orders: tuple[UUID, ...] | None = None
    events: tuple[UUID, ...] | None = None
    before: datetime | None = None
    after: datetime | None = None

    def words(self) -> str:
        """Return the filter in words, for the audit log."""
        named = {
            "target": self.target,
            "topic": self.topic,
            "reason": self.reason,
            "orders": None if self.orders is None else len(self.orders),
            "events": None if self.events is None else len(self.events),
            "before": self.before,
            "after": self.after,
        }
        said = [f"{name} {value}" for name, value in named.items() if value is not None]
        return ", ".join(said) or "all"


class Place(Struct, frozen=True, array_like=True):
    """The place of a delivery in a list: what follows it is the next page."""

    occurred_at: datetime
    target: str
    event_id: UUID


class TargetState(Struct, frozen=True):
    """A target that was seen in the settings, and what waits for it.

    ``pending_oldest_at`` and ``dead_oldest_at``: when the oldest of each happened.
    """

    name: str
    first_seen_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    pending: int
    pending_oldest_at: datetime | None
    dead: int
    dead_oldest_at: datetime | None


class ReplayedDeliveries(Struct, frozen=True):
    """How many dead letters are due again, by target; of a dry run, how many would be."""

    targets: dict[str, int]
    is_dry: bool

    @property
    def deliveries(self) -> int:
        """How many in all."""
        return sum(self.targets.values())


def place_of(row: ListedDelivery) -> str:
    """Return the place of a row as a text that clients pass on as it is."""
    place = Place(row.occurred_at, row.target, row.event_id)
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_place(text: str) -> Place:
    """Return the place that ``place_of`` wrote. Raises ``ValueError``."""
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        place = msgspec.json.decode(plain, type=Place)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as exc:
        raise ValueError("is not a place in this list") from exc
    if place.occurred_at.tzinfo is None:
        raise ValueError("is not a place in this list")
    return place
