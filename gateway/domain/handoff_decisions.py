"""What is decided about deliveries: whom an event is for, whether it still holds, when to retry.

Pure: the caller passes in the time and the random share.
"""

from typing import Literal

from msgspec import Struct

from gateway.domain import holds
from gateway.domain.orders import Hold, Status

#: Statuses of an order that may be with the warehouse.
_WITH_WAREHOUSE: frozenset[Status] = frozenset({"paid", "shipped", "completed"})
#: Twice as long each time would overflow long before it mattered.
_DOUBLINGS_MAX = 40


class Staged(Struct, frozen=True):
    """An event as it was staged, with what is asked of its order."""

    topic: str
    channel: str
    country: str
    province: str
    city: str
    is_test: bool


class Subscription(Struct, frozen=True):
    """What a target wants to be told of. Empty topics, channels or regions narrow nothing.

    A region is a country, a province or a city: ``("CN",)``, ``("CN", "广东省")``.
    """

    topics: frozenset[str]
    channels: frozenset[str]
    regions: frozenset[tuple[str, ...]]
    is_test: bool

    def wants(self, event: Staged) -> bool:
        """Return whether the event is for this target."""
        if event.is_test is not self.is_test:
            return False
        if self.topics and event.topic not in self.topics:
            return False
        if self.channels and event.channel not in self.channels:
            return False
        if not self.regions:
            return True
        place = (event.country, event.province, event.city)
        return any(place[:parts] in self.regions for parts in (1, 2, 3))


def withdrawal(topic: str, status: Status, hold: Hold | None) -> str:
    """Return why an event must not be told any more; empty where it must.

    Only ``order.paid`` asks for something: goods to be sent. Once the order may be handed on again,
    another ``order.paid`` is staged.
    """
    if topic != "order.paid":
        return ""
    if status not in _WITH_WAREHOUSE:
        return f"the order is {status}"
    if status == "paid" and holds.stops(hold, "hand_off"):
        return f"the order is held: {hold}"
    return ""


class RetryRule(Struct, frozen=True):
    """How often and how soon a target is tried again."""

    attempts_max: int
    first_s: float
    max_s: float


class Retry(Struct, frozen=True):
    """What follows a failed attempt: another one after so many seconds, or none."""

    after_s: float
    is_dead: bool


def retry(rule: RetryRule, attempts: int, *, asked_s: float | None, share: float) -> Retry:
    """Return what follows the ``attempts``-th failed attempt.

    ``asked_s``: what the other side asked to wait, taken up to ``max_s``. ``share``, from 0 to 1:
    of the interval, which doubles each time; all of it is left to chance, so that what failed
    together does not come back together.
    """
    if attempts >= rule.attempts_max:
        return Retry(0.0, is_dead=True)
    longest_s = min(rule.max_s, rule.first_s * 2 ** min(attempts - 1, _DOUBLINGS_MAX))
    after_s = longest_s * share
    if asked_s is not None:
        after_s = min(max(after_s, asked_s), rule.max_s)
    return Retry(after_s, is_dead=False)


#: What an attempt says about the target as a whole.
Health = Literal["well", "unwell"]


def health(status_code: int | None) -> Health:
    """Return what a failed attempt says about the target.

    One that answers is well, whatever it thinks of this message: but for what says that it cannot
    answer now.
    """
    if status_code is None or status_code >= 500 or status_code in (408, 425, 429):
        return "unwell"
    return "well"
