"""Refusals: one object for each kind, which counts how often it was given.

In a flood tens of thousands a second are refused: to make an object and to find a counter for
each would cost as much as to decide. Metrics and the load are told of the counts now and then.
"""

from collections import Counter
from typing import Literal

from msgspec import Struct

from gateway.domain.features import Feature
from gateway.overload.load import Signal

Reason = Literal["shed", "slots", "inflight", "stall", "operator"]
#: Reasons for which a feature is dark, rather than the process at its end.
DARK: frozenset[Reason] = frozenset({"shed", "operator"})
#: Reasons that hold until something is answered: what is refused for them would be again.
FULL: frozenset[Reason] = frozenset({"slots", "inflight"})


class Rejection(Struct, eq=False):
    """Why a request is not taken now, and after how many seconds about it may come again.

    Every one of a kind is the same object; ``count`` is how often it was given.
    """

    feature: Feature
    reason: Reason
    signal: Signal
    factor: int
    count: int = 0


class Rejections:
    """Gives refusals, and tells how many of them. What is told is told once."""

    def __init__(self, *, is_acting: bool) -> None:
        """``is_acting``: whether load refuses; else ``total`` is of what operators refuse alone."""
        self._is_acting = is_acting
        # Bounded: features x reasons x signals x factors.
        self._kinds: dict[tuple[str, Reason, Signal, int], Rejection] = {}
        self._told: Counter[tuple[str, Reason]] = Counter()

    def give(self, feature: Feature, reason: Reason, signal: Signal, factor: int) -> Rejection:
        """Refuse one request; it is counted."""
        kind = (feature.name, reason, signal, factor)
        refusal = self._kinds.get(kind)
        if refusal is None:
            refusal = self._kinds[kind] = Rejection(feature, reason, signal, factor)
        refusal.count += 1
        return refusal

    def tell(self) -> Counter[tuple[str, Reason]]:
        """Return how many were given since this was last asked, by feature and reason."""
        told = Counter[tuple[str, Reason]]()
        for refusal in self._kinds.values():
            told[refusal.feature.name, refusal.reason] += refusal.count
        since = Counter({kind: told[kind] - self._told[kind] for kind in told})
        self._told = told
        return since

    @property
    def total(self) -> int:
        """How many requests were really refused."""
        return sum(
            refusal.count
            for refusal in self._kinds.values()
            if self._is_acting or refusal.reason == "operator"
        )
