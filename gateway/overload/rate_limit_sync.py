"""Rate limits hold for the whole gateway: each process publishes its usage and receives the totals.

As with ``peers`` no request waits for it. What cannot be published is lost, not published later: it
would count at once what was admitted over a while. A process that receives nothing decides alone.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from gateway.domain.errors import Unavailable
from gateway.overload.rate_limit import RateLimits, Usage
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock

_log = logging.getLogger(__name__)

#: Seconds between two exchanges.
EXCHANGE_S = 0.5


class Total(Protocol):
    """What all processes together used of one key's rate limit."""

    @property
    def ahead_s(self) -> float:
        """Seconds that they are ahead of its rate."""
        ...

    @property
    def asked(self) -> float:
        """Requests asked of them, with a half-life of ``rate_limit.HALF_S``."""
        ...


class Totals(Protocol):
    """Where usage is published."""

    async def add(self, usage: Sequence[Usage], *, within_s: float) -> Sequence[Total]:
        """Add usage; return the total of each, in the same order. Raises ``Unavailable``."""
        ...


class RateLimitSync:
    """Publishes what this process admitted, and counts here what the others did."""

    def __init__(
        self,
        *,
        totals: Totals,
        limits: Callable[[], Iterable[tuple[str, RateLimits]]],
        clock: Clock,
    ) -> None:
        """``limits``: those that there are now, each with the namespace of its keys."""
        self._totals = totals
        self._limits = limits
        self._clock = clock
        self._published_s = clock.monotonic_s()
        self._is_away = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Exchange until ``stopping`` is set."""
        while not stopping.is_set():
            await self.exchange()
            await lifecycle.pause(stopping, EXCHANGE_S)

    async def exchange(self) -> None:
        """Publish and receive once, if there is any usage. Never raises for an absent Redis."""
        now_s = self._clock.monotonic_s()
        within_s, self._published_s = now_s - self._published_s, now_s
        usage = [
            (name, limits, each) for name, limits in self._limits() for each in limits.take(now_s)
        ]
        if not usage:
            return
        named = [
            msgspec.structs.replace(each, key=_published_name(name, each))
            for name, _, each in usage
        ]
        try:
            totals = await self._totals.add(named, within_s=within_s)
        except Unavailable as exc:
            self._log_change(exc)
            return
        self._log_change(None)
        received_s = self._clock.monotonic_s()
        for (_, limits, each), total in zip(usage, totals, strict=True):
            limits.receive(
                each,
                ahead_s=total.ahead_s,
                asked=total.asked,
                published_s=now_s,
                now_s=received_s,
            )

    def _log_change(self, exc: Unavailable | None) -> None:
        if exc is not None and not self._is_away:
            _log.warning(
                "rate limits cannot be shared; each process counts alone",
                extra={"kind": type(exc.__cause__ or exc).__name__},
            )
        elif exc is None and self._is_away:
            _log.warning("rate limits are shared by all processes again")
        self._is_away = exc is not None


def _published_name(namespace: str, usage: Usage) -> str:
    """Return the name of a key's total: another one for each rate.

    Totals are seconds of a rate. After the rate was changed, and while some processes do not have
    the new one yet, those of another rate would lock the key out, or let it through.
    """
    return f"{namespace}:{usage.every_s:.9g}:{usage.key}"
