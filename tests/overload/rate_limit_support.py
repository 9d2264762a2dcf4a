"""Totals as the script keeps them, without a server.

``tests/stores/test_rate_limit_totals.py`` compares both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.errors import Unavailable
from gateway.overload.rate_limit import HALF_S, RateLimits, Used
from gateway.overload.rate_limit_sync import TELL_S, RateLimitSync
from tests.intake.support import StoppedClock


@dataclass
class ToldTotal:
    ahead_s: float
    asked: float


class ToldTotals:
    """Keeps what is told; ``clock`` is the server's."""

    def __init__(self, clock: StoppedClock) -> None:
        self.clock = clock
        self.kept: dict[str, tuple[float, float, float]] = {}
        self.is_away = False
        self.calls = 0

    async def add(self, used: Sequence[Used], *, within_s: float) -> Sequence[ToldTotal]:
        if self.is_away:
            raise Unavailable("redis")
        self.calls += 1
        now_s = self.clock.at_s
        totals = []
        for each in used:
            due_s, lately, since_s = self.kept.get(each.key, (0.0, 0.0, now_s))
            due_s = max(due_s, now_s - within_s) + each.let_in * each.every_s
            due_s = min(due_s, now_s + each.most_s)
            asked = each.asked + lately * 0.5 ** (max(0.0, now_s - since_s) / HALF_S)
            self.kept[each.key] = (due_s, asked, now_s)
            totals.append(ToldTotal(max(0.0, due_s - now_s), asked))
        return totals


class Fleet:
    """Processes with one quota and one clock, that tell one after the other within ``TELL_S``."""

    TICK_S = 0.01

    def __init__(self, count: int, *, rate: float, burst: int) -> None:
        self.clock = StoppedClock()
        self.totals = ToldTotals(self.clock)
        self.rate = rate
        self.burst = burst
        self.quotas: list[RateLimits] = []
        self.telling: list[RateLimitSync] = []
        for _ in range(count):
            self.join()
        self._ticks = 0

    def join(self) -> None:
        """One more process starts."""
        quotas = RateLimits(rate=self.rate, burst=self.burst)
        self.quotas.append(quotas)
        self.telling.append(
            RateLimitSync(totals=self.totals, quotas=[("key", quotas)], clock=self.clock)
        )

    def ask(self, number: int, times: int = 1, key: str = "k") -> int:
        """Return how many of so many requests of a process are let in."""
        quotas, now_s = self.quotas[number], self.clock.at_s
        return sum(quotas.wait_s(key, now_s) == 0.0 for _ in range(times))

    async def tell(self) -> None:
        for telling in self.telling:
            await telling.exchange()

    async def go(self, seconds: float, per_s: Sequence[float]) -> list[int]:
        """Ask so many times a second, evenly; return what each let in."""
        let_in = [0] * len(self.quotas)
        every = round(TELL_S / self.TICK_S)
        for _ in range(round(seconds / self.TICK_S)):
            self._ticks += 1
            self.clock.at_s += self.TICK_S
            for n, rate in enumerate(per_s):
                due = int(rate * self._ticks * self.TICK_S)
                let_in[n] += self.ask(n, due - int(rate * (self._ticks - 1) * self.TICK_S))
                if (self._ticks + n * every // len(self.quotas)) % every == 0:
                    await self.telling[n].exchange()
        return let_in
