"""One order from both sides, and what its rows must agree on whatever was sent about it."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from loadtest.history import CallbackSent, Kind, OrderSent, standing
from loadtest.ledger_contents import Dispute, Event, Order, Parcel, Parked, Payment

#: Reasons to park an event that change its order all the same.
_CHANGING = (
    "amount_mismatch", "paid_after_close", "duplicate_payment", "overpaid", "refund_failed",
)  # fmt: skip


class Compared(msgspec.Struct):
    """The messages that were sent about an order, and its rows in every table."""

    sent: OrderSent
    callbacks: list[CallbackSent] = msgspec.field(default_factory=list)
    rows: list[Order] = msgspec.field(default_factory=list)
    payments: list[Payment] = msgspec.field(default_factory=list)
    disputes: list[Dispute] = msgspec.field(default_factory=list)
    parcels: list[Parcel] = msgspec.field(default_factory=list)
    events: list[Event] = msgspec.field(default_factory=list)
    parked: list[Parked] = msgspec.field(default_factory=list)

    def of(self, *kinds: Kind) -> list[CallbackSent]:
        """Return the genuine callbacks of these kinds."""
        return [sent for sent in self.callbacks if sent.kind in kinds]

    def acknowledged(self, *kinds: Kind) -> list[CallbackSent]:
        """Return those that were promised to be kept."""
        return [sent for sent in self.of(*kinds) if is_acknowledged(sent)]

    def possible(self, *kinds: Kind) -> list[CallbackSent]:
        """Return those that may be stored: not refused."""
        return [sent for sent in self.of(*kinds) if standing(sent.answers) != "refused"]


def is_acknowledged(sent: OrderSent | CallbackSent) -> bool:
    """Return whether the message was promised to be kept."""
    return standing(sent.answers) == "acknowledged"


def parcel_fault(order: Compared) -> str:
    """Return what is wrong with the parcels of an order; else ""."""
    number = order.sent.order_no
    certain, possible = len(order.acknowledged("shipped")), len(order.possible("shipped"))
    tracked = {parcel.tracking_no for parcel in order.parcels}
    if len(tracked) != len(order.parcels) or not certain <= len(tracked) <= possible:
        return f"{number}: {len(order.parcels)} parcels stored, {certain} promised"
    for row in order.rows:
        has_arrived = all(parcel.is_delivered for parcel in order.parcels)
        if row.status not in ("refunded", "completed" if has_arrived else "shipped"):
            arrived = sum(parcel.is_delivered for parcel in order.parcels)
            return f"{number}: {row.status}, {arrived} of {len(tracked)} parcels arrived"
    if len(order.acknowledged("delivered")) > sum(each.is_delivered for each in order.parcels):
        return f"{number}: a delivery is missing"
    return "" if order.rows else f"{number}: not stored"


def status_fault(row: Order, events: Sequence[Event]) -> str:
    """Return what is wrong when the status does not follow from the history; else ""."""
    placed = [event for event in events if event.action == "placed"]
    if len(placed) != 1:
        return f"{row.order_no}: placed {len(placed)} times in its history"
    steps = [
        event
        for event in events
        if event is not placed[0] and (event.outcome == "applied" or event.reason in _CHANGING)
    ]
    # The moves make one way from the first status to the present one, whatever their order: each
    # status between is left as often as it is reached.
    balance: Counter[str | None] = Counter()
    for step in steps:
        balance[step.from_status] -= 1
        balance[step.to_status] += 1
    balance[placed[0].to_status] += 1
    balance[row.status] -= 1
    if any(balance.values()):
        moves = sorted(f"{step.from_status}-{step.to_status}" for step in steps)
        return f"{row.order_no}: {row.status}, but its history has {moves}"
    if row.version != 1 + len(steps):
        return f"{row.order_no}: version {row.version} after {len(steps)} changes"
    return ""
