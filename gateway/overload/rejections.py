"""Rejections: one object for each kind, which counts how often it was given.

In a flood tens of thousands a second are rejected: to make an object and to find a metric for each
would cost as much as the decision. The monitor takes the counts now and then.
"""

from collections import Counter
from typing import Literal

from msgspec import Struct

from gateway.domain.features import Feature
from gateway.overload.load import Signal

Reason = Literal["shed", "slots", "inflight", "stall", "operator"]
#: Reasons for which a feature is shed, rather than the process at its limit.
SHED: frozenset[Reason] = frozenset({"shed", "operator"})
#: Reasons that hold until something is answered: the next request is rejected for them too.
FULL: frozenset[Reason] = frozenset({"slots", "inflight"})


#: The feature's name, the reason, the signal that decided the load, and the factor.
Kind = tuple[str, Reason, Signal, int]


class Rejection(Struct, eq=False):
    """Why a request does not enter now, and by which factor its client should wait longer.

    Every rejection of a kind is the same object; ``count`` is how often it was given. ``signal``
    decided the load at that time; ``factor`` multiplies 1 to 3 seconds of ``Retry-After``.
    """

    feature: Feature
    reason: Reason
    signal: Signal
    factor: int
    count: int = 0


class Rejections:
    """All rejections by kind, and how often they were given."""

    def __init__(self, *, is_acting: bool) -> None:
        """``is_acting``: whether load rejects; else ``total`` counts operators' rejections only."""
        self._is_acting = is_acting
        #: Bounded: features x reasons x signals x factors.
        self.kinds: dict[Kind, Rejection] = {}
        self._taken: Counter[tuple[str, Reason]] = Counter()

    def add(self, feature: Feature, kind: Kind) -> Rejection:
        """Add a kind that was not given before; its count is 0."""
        _, reason, signal, factor = kind
        rejection = self.kinds[kind] = Rejection(feature, reason, signal, factor)
        return rejection

    def take(self) -> Counter[tuple[str, Reason]]:
        """Return the rejections since the last call, by the feature's name and the reason."""
        counts = Counter[tuple[str, Reason]]()
        for rejection in self.kinds.values():
            counts[rejection.feature.name, rejection.reason] += rejection.count
        since = Counter({kind: counts[kind] - self._taken[kind] for kind in counts})
        self._taken = counts
        return since

    @property
    def total(self) -> int:
        """Requests that were really rejected so far."""
        return sum(
            rejection.count
            for rejection in self.kinds.values()
            if self._is_acting or rejection.reason == "operator"
        )
