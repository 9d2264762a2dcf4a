"""A fake of the totals that the script keeps, without a server.

``tests/stores/test_rate_limit_totals.py`` compares both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.errors import Unavailable
from gateway.overload.rate_limit import HALF_S, RateLimits, Usage
from gateway.overload.rate_limit_sync import EXCHANGE_S, RateLimitSync
from tests.support.fakes.clock import ManualClock


@dataclass
class FakeTotal:
    ahead_s: float
    asked: float


class FakeTotals:
    """Stores what is published; ``clock`` is the server's."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.stored: dict[str, tuple[float, float, float]] = {}
        self.is_away = False
        self.calls = 0

    async def add(self, usage: Sequence[Usage], *, within_s: float) -> Sequence[FakeTotal]:
        if self.is_away:
            raise Unavailable("redis")
        self.calls += 1
        now_s = self.clock.at_s
        totals = []
        for each in usage:
            due_s, recent, since_s = self.stored.get(each.key, (0.0, 0.0, now_s))
            due_s = max(due_s, now_s - within_s) + each.admitted * each.every_s
            due_s = min(due_s, now_s + each.ahead_s_max)
            asked = each.asked + recent * 0.5 ** (max(0.0, now_s - since_s) / HALF_S)
            self.stored[each.key] = (due_s, asked, now_s)
            totals.append(FakeTotal(max(0.0, due_s - now_s), asked))
        return totals


class Cluster:
    """Processes with one rate limit and one clock, that exchange one after the other."""

    TICK_S = 0.01

    def __init__(self, count: int, *, rate: float, burst: int) -> None:
        self.clock = ManualClock()
        self.totals = FakeTotals(self.clock)
        self.rate = rate
        self.burst = burst
        self.limits: list[RateLimits] = []
        self.syncs: list[RateLimitSync] = []
        for _ in range(count):
            self.join()
        self._ticks = 0

    def join(self) -> None:
        """One more process starts."""
        limits = RateLimits(rate=self.rate, burst=self.burst)
        self.limits.append(limits)
        self.syncs.append(
            RateLimitSync(totals=self.totals, limits=[("key", limits)], clock=self.clock)
        )

    def ask(self, number: int, times: int = 1, key: str = "k") -> int:
        """Return how many of so many requests of a process are let in."""
        limits, now_s = self.limits[number], self.clock.at_s
        return sum(limits.wait_s(key, now_s) == 0.0 for _ in range(times))

    async def exchange(self) -> None:
        for sync in self.syncs:
            await sync.exchange()

    async def go(self, seconds: float, per_s: Sequence[float]) -> list[int]:
        """Ask so many times a second, evenly; return what each let in."""
        admitted = [0] * len(self.limits)
        every = round(EXCHANGE_S / self.TICK_S)
        for _ in range(round(seconds / self.TICK_S)):
            self._ticks += 1
            self.clock.at_s += self.TICK_S
            for n, rate in enumerate(per_s):
                due = int(rate * self._ticks * self.TICK_S)
                admitted[n] += self.ask(n, due - int(rate * (self._ticks - 1) * self.TICK_S))
                if (self._ticks + n * every // len(self.limits)) % every == 0:
                    await self.syncs[n].exchange()
        return admitted
