"""What an event means for the orders of the warehouse, and what it does next; pure."""

from typing import Literal

from msgspec import Struct

#: How far an order is. ``stopped``: it was cancelled or paid back before it left.
Stage = Literal["taken", "accepted", "shipped", "delivered", "stopped"]

#: What is reported to the gateway next, by stage, and the stage that follows.
NEXT: dict[Stage, tuple[str, Stage]] = {
    "taken": ("order.accepted", "accepted"),
    "accepted": ("order.shipped", "shipped"),
    "shipped": ("order.delivered", "delivered"),
}
#: Topics after which an order must not leave any more.
STOPPING = frozenset({"order.cancelling", "order.refunded", "order.closed"})
_STOPPED_AT: tuple[Stage, ...] = ("taken", "accepted")
#: Seconds until a report that was not taken is sent again: growing, up to the second.
_RETRY_FIRST_S, _RETRY_MAX_S = 1.0, 30.0


class Pace(Struct, frozen=True, kw_only=True):
    """Seconds that the warehouse takes: to accept an order, to ship it, to deliver it."""

    accepts_s: float = 1.0
    ships_s: float = 4.0
    delivers_s: float = 5.0

    def of(self, stage: Stage) -> float:
        """Return the seconds from reaching a stage to the report of the next one."""
        return {"taken": self.accepts_s, "accepted": self.ships_s}.get(stage, self.delivers_s)


def stage_after(topic: str, stage: Stage | None) -> Stage | None:
    """Return the stage of an order after an event; None: it is none of the warehouse's.

    ``stage`` is that before; None where the warehouse does not have the order.
    """
    if topic == "order.paid" and stage in (None, "stopped"):
        return "taken"
    if topic in STOPPING and stage in _STOPPED_AT:
        return "stopped"
    return stage


def retry_s(failures: int) -> float:
    """Return the seconds until the next try, after so many that failed in a row."""
    return min(_RETRY_FIRST_S * 2.0 ** min(failures - 1, 10), _RETRY_MAX_S)
