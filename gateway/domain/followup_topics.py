"""What the outbox tells of a change of an order."""

from gateway.domain import holds
from gateway.domain.events import Accepted, Event
from gateway.domain.following import OrderState
from gateway.domain.orders import Hold, Status

#: (topic, priority) of the outbox row when an order reaches a status; a low number goes first.
_TOPICS = {
    "paid": ("order.paid", 1),
    "shipped": ("order.shipped", 1),
    "cancelling": ("order.cancelling", 2),
    "refunded": ("order.refunded", 2),
    "closed": ("order.closed", 3),
    "completed": ("order.completed", 5),
}
_CHANGED = ("order.changed", 5)
_ACCEPTED = ("order.accepted", 5)


def topic_of(event: Event, order: OrderState, status: Status, hold: Hold | None) -> tuple[str, int]:
    """Return topic and priority of the row for a change; ``status`` and ``hold`` are before it.

    ``order.paid`` is told once the order is paid and no hold stops its hand-off.
    """
    if isinstance(event, Accepted):
        # It moves no order and ends no hold.
        return _ACCEPTED
    if _is_for_hand_off(order.status, order.hold):
        return _CHANGED if _is_for_hand_off(status, hold) else _TOPICS["paid"]
    if order.status not in (status, "paid"):
        return _TOPICS.get(order.status, _CHANGED)
    return _CHANGED


def _is_for_hand_off(status: Status, hold: Hold | None) -> bool:
    return status == "paid" and not holds.stops(hold, "hand_off")
