"""How many requests a second were accepted and rejected in the last two seconds."""

from collections import Counter, deque
from collections.abc import Mapping

from msgspec import Struct

from gateway.domain.features import FEATURES, TIERS, Tier

_WINDOW_S = 2.0
_TIERS: Mapping[str, Tier] = {feature.name: feature.tier for feature in FEATURES}


class _Counted(Struct, frozen=True):
    """Totals as of one moment."""

    at_s: float
    asked: int
    rejected: Mapping[Tier, int]


class RequestRates:
    """Turns counts into rates. Pure: monotonic seconds are passed in."""

    def __init__(self) -> None:
        self._rejected: Counter[Tier] = Counter()
        self._counted: deque[_Counted] = deque()

    def note(self, now_s: float, *, asked: int, rejected: Mapping[str, int]) -> None:
        """Record all requests asked until now, and those rejected since the last note.

        ``rejected`` is by the feature's name.
        """
        for feature, count in rejected.items():
            self._rejected[_TIERS[feature]] += count
        counted = self._counted
        counted.append(_Counted(now_s, asked, dict(self._rejected)))
        # One that is older than the window stays, for the window to begin at.
        while len(counted) > 2 and now_s - counted[1].at_s >= _WINDOW_S:
            counted.popleft()

    def accepted_per_s(self) -> float:
        """Return the requests accepted a second, of all tiers."""
        if len(self._counted) < 2:
            return 0.0
        asked = self._counted[-1].asked - self._counted[0].asked
        return max(0.0, asked / self._elapsed_s() - sum(self.rejected_per_s().values()))

    def rejected_per_s(self) -> dict[Tier, float]:
        """Return the requests rejected a second, for every tier."""
        if len(self._counted) < 2:
            return dict.fromkeys(TIERS, 0.0)
        first, last, elapsed_s = self._counted[0], self._counted[-1], self._elapsed_s()
        return {
            tier: (last.rejected.get(tier, 0) - first.rejected.get(tier, 0)) / elapsed_s
            for tier in TIERS
        }

    def _elapsed_s(self) -> float:
        return max(1e-3, self._counted[-1].at_s - self._counted[0].at_s)
