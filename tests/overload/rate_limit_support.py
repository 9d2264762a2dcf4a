"""Processes that share their rate limits, over a fake of the totals."""

from collections.abc import Sequence

from gateway.overload.rate_limit import RateLimits
from gateway.overload.rate_limit_sync import EXCHANGE_S, RateLimitSync
from tests.support.fakes.clock import ManualClock
from tests.support.fakes.rate_limit_totals import FakeRateLimitTotals


class Cluster:
    """Processes with one rate limit and one clock, that exchange one after the other."""

    TICK_S = 0.01

    def __init__(self, count: int, *, rate: float, burst: int) -> None:
        self.clock = ManualClock()
        self.totals = FakeRateLimitTotals(self.clock)
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
            RateLimitSync(totals=self.totals, limits=lambda: [("key", limits)], clock=self.clock)
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
