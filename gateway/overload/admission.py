"""Admission: whether a request may enter now, decided on its first bytes and before it is parsed.

``decide`` is the decision alone. ``Admission`` is what requests ask: it counts, gives slots and
rejections, and keeps what the decision reads. The monitor moves that, 20 times a second.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from gateway.domain.features import TIERS, Feature, Tier
from gateway.domain.overrides import Action
from gateway.overload.concurrency import ConcurrencyLimit, InFlightLimit, Slot
from gateway.overload.load import IDLE, Load
from gateway.overload.rejections import Reason, Rejection, Rejections
from gateway.overload.request_rates import RequestRates
from gateway.overload.tier_breaker import RULES, TierBreaker
from gateway.runtime.clock import Clock
from gateway.runtime.recent import Look
from gateway.runtime.watchdog import Watchdog

_SOJOURNS_MAX = 64
#: By what factor a rejected client should stay away longer than a second or two: an operator's
#: override lasts for minutes; without one it depends on the state of the tier's breaker.
_OPERATOR_FACTOR = 5
_FACTORS = {"admitting": 1, "recovering": 1, "shedding_some": 1, "shedding_all": 2}


class Stalling(Protocol):
    """What knows whether the event loop is stalled."""

    is_stalled: bool


class Waiting(Protocol):
    """What knows how many events wait for their commit."""

    @property
    def waiting(self) -> int:
        """Events taken and not yet answered."""
        ...


class Overrides(Protocol):
    """Operators' overrides that are active now."""

    @property
    def actions(self) -> Mapping[str, Action]:
        """``shed`` or ``admit`` by the feature's name; a feature without an override is missing."""
        ...


class Conditions(Struct):
    """What a decision reads, as it is at this moment."""

    loop: Stalling
    committer: Waiting
    in_flight: InFlightLimit
    concurrency: ConcurrencyLimit
    #: As of the last tick.
    load: Load


def decide(tier: Tier, action: Action | None, is_shed: bool, now: Conditions) -> Reason | None:
    """Decide by precedence: operator > breaker > stall > in flight > concurrency.

    Returns why a request of ``tier`` is rejected, or None: it may enter. ``action`` is the override
    of its feature; ``is_shed`` says that the tier's circuit breaker sheds this one, and is False
    under an override. ``admit`` overrides the load, but not what would end the process: a stalled
    loop, or memory, descriptors and waiting bytes at their limits. Pure: it changes nothing.
    """
    if action == "shed":
        return "operator"
    if is_shed:
        return "shed"
    if tier > 1 and now.loop.is_stalled:
        return "stall"
    if action is not None and tier > 0 and now.load.hard >= 1.0:
        return "shed"
    in_use = now.concurrency.in_use
    limits = now.in_flight.limits
    if limits is not None and now.committer.waiting + in_use >= limits[tier]:
        return "inflight"
    if in_use >= now.concurrency.limits[tier]:
        return "slots"
    return None


class Admission:
    """Decides about every request, once, and counts what it decided.

    Invariants: a request is counted in ``asked`` once, also if it left its slot and came back; what
    is rejected holds no slot. Where overload is only watched (``is_acting`` False), operators alone
    reject; everything else is admitted and counted with the reason it would have been rejected for.
    """

    def __init__(
        self,
        *,
        committer: Waiting,
        overrides: Overrides,
        watchdog: Watchdog,
        clock: Clock,
        is_acting: bool,
    ) -> None:
        self._committer = committer
        self._overrides = overrides
        self._watchdog = watchdog
        self.now_s = clock.monotonic_s
        self.is_acting = is_acting
        self.concurrency = ConcurrencyLimit()
        self.in_flight = InFlightLimit()
        self.conditions = Conditions(
            watchdog, committer, self.in_flight, self.concurrency, load=IDLE
        )
        self.breakers: dict[Tier, TierBreaker] = {tier: TierBreaker(RULES[tier]) for tier in RULES}
        self._breaker_of = [self.breakers.get(tier) for tier in TIERS]
        #: Seconds from the decision until the handler started, since the monitor looked last.
        self.sojourns_s = Look(samples_max=_SOJOURNS_MAX)
        #: Requests decided about so far.
        self.asked = 0
        #: Parts of admitted requests that were left out: counted as rejections, not as requests.
        self.skipped = 0
        # Plain numbers on the hot path; the monitor publishes them as metrics now and then.
        self._skips: Counter[tuple[str, Reason]] = Counter()
        self.rejections = Rejections(is_acting=is_acting)
        self._kinds = self.rejections.kinds
        #: Accepted and rejected requests a second, as the monitor measured them last.
        self.rates = RequestRates()

    @property
    def load(self) -> Load:
        """The load as of the last tick."""
        return self.conditions.load

    @property
    def actions(self) -> Mapping[str, Action]:
        """``shed`` or ``admit`` by the name of each feature that an operator overrides now."""
        return self._overrides.actions

    @property
    def waiting(self) -> int:
        """Events taken and not yet answered."""
        return self._committer.waiting

    def admit(self, feature: Feature) -> Slot | Rejection:
        """Decide about one request; an admitted one holds its slot on return."""
        self.asked += 1
        tier = feature.tier
        breaker = self._breaker_of[tier]
        actions = self._overrides.actions
        action = actions.get(feature.name) if actions else None
        is_shed = (
            action is None
            and breaker is not None
            and breaker.share > 0.0
            and (breaker.share >= 1.0 or breaker.sheds_next())
        )
        conditions = self.conditions
        reason = decide(tier, action, is_shed, conditions)
        if reason is None:
            self.concurrency.take()
            return Slot(self, feature, self.now_s())
        factor = 1
        if reason == "shed":
            factor = _FACTORS[breaker.state] if is_shed and breaker is not None else 2
        elif reason == "operator":
            factor = _OPERATOR_FACTOR
        # Not a call of its own: a flood asks for little else.
        kind = (feature.name, reason, conditions.load.signal, factor)
        rejection = self._kinds.get(kind) or self.rejections.add(feature, kind)
        rejection.count += 1
        if self.is_acting or reason == "operator":
            return rejection
        self.concurrency.force(tier)
        return Slot(self, feature, self.now_s())

    def admit_again(self, feature: Feature) -> Slot | Rejection:
        """Decide about a request that had left its slot: it is counted once."""
        self.asked -= 1
        return self.admit(feature)

    def reject_again(self, rejection: Rejection) -> None:
        """Count another request that is rejected for what one was rejected for a moment ago."""
        self.asked += 1
        rejection.count += 1

    def withdraw(self, rejection: Rejection) -> None:
        """Uncount a rejection: the request is decided about again."""
        rejection.count -= 1
        self.asked -= 1

    def skips(self, feature: Feature) -> bool:
        """Return whether a part of a request is left out now; if so, it counts as a rejection."""
        breaker = self._breaker_of[feature.tier]
        action = self._overrides.actions.get(feature.name)
        reason: Reason
        if action == "shed":
            reason = "operator"
        elif self._watchdog.is_stalled:
            reason = "stall"
        elif self.load.hard >= 1.0 if action else breaker is not None and breaker.sheds_next():
            reason = "shed"
        else:
            return False
        self._skips[feature.name, reason] += 1
        is_skipped = action == "shed" or self.is_acting
        self.skipped += is_skipped
        return is_skipped

    def is_short(self) -> bool:
        """Return whether the CPU is the bottleneck and load is acted on."""
        return self.is_acting and self.in_flight.limit is not None

    def rejected_share(self, feature: Feature) -> float:
        """Return the share of a feature's requests rejected for load or by operators, 0 to 1."""
        if action := self._overrides.actions.get(feature.name):
            return 1.0 if action == "shed" else 0.0
        return self.tier_rejected_share(feature.tier)

    def tier_rejected_share(self, tier: Tier) -> float:
        """Return the share of a tier's requests that is rejected for load now, 0 to 1."""
        breaker = self._breaker_of[tier]
        return breaker.share if breaker is not None and self.is_acting else 0.0

    def note_start(self, given_s: float) -> None:
        """Record how long a request waited for its handler, from its slot's ``given_s``."""
        self.sojourns_s.add(self.now_s() - given_s)

    def take_counts(self) -> Counter[tuple[str, Reason]]:
        """Return rejections since the last call by feature and reason, parts left out included."""
        counts = self.rejections.take() + self._skips
        self._skips.clear()
        return counts
