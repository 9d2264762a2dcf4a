"""Totals of rate limits in memory, as ``gateway.stores.redis.rate_limit_totals`` counts them."""

from collections.abc import Sequence

from gateway.domain.errors import Unavailable
from gateway.overload.rate_limit import HALF_S, Usage
from gateway.stores.redis.rate_limit_totals import Total
from tests.support.fakes.clock import ManualClock

#: No stored time is longer: thirty years.
_S_MAX = 1e9


class FakeRateLimitTotals:
    """The totals by key; ``clock`` is the server's."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        #: By key: when the next request would be due, the requests asked, and when that was stored.
        self.stored: dict[str, tuple[float, float, float]] = {}
        self.is_away = False
        self.calls = 0

    async def add(self, usage: Sequence[Usage], *, within_s: float) -> list[Total]:
        if self.is_away:
            raise Unavailable("redis")
        self.calls += 1
        return [self._added(each, within_s, self.clock.at_s) for each in usage]

    def _added(self, usage: Usage, within_s: float, now_s: float) -> Total:
        due_s, asked = now_s - within_s, float(usage.asked)
        if usage.key in self.stored:
            stored_due_s, recent, since_s = self.stored[usage.key]
            due_s = max(due_s, stored_due_s)
            asked += recent * 0.5 ** (max(0.0, now_s - since_s) / HALF_S)
        due_s += usage.admitted * min(usage.every_s, _S_MAX)
        due_s = min(due_s, now_s + min(usage.ahead_s_max, _S_MAX))
        self.stored[usage.key] = (due_s, asked, now_s)
        return Total(max(0.0, due_s - now_s), asked)
