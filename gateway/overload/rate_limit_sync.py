"""Rate limits hold for the whole gateway: each process publishes its usage and receives the totals.

As with ``peers`` no request waits for it. What cannot be published is lost, not published later: it
would count at once what was admitted over a while. A process that receives nothing decides alone.
"""

import asyncio
import logging
from collections.abc import Sequence
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
        self, *, totals: Totals, limits: Sequence[tuple[str, RateLimits]], clock: Clock
    ) -> None:
        """``limits``: each with the namespace of its keys, by which they are published."""
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
            (name, limits, each) for name, limits in self._limits for each in limits.take(now_s)
        ]
        if not usage:
            return
        named = [msgspec.structs.replace(each, key=f"{name}:{each.key}") for name, _, each in usage]
        try:
            totals = await self._totals.add(named, within_s=within_s)
        except Unavailable as exc:
            self._log_change(exc)
            return
        self._log_change(None)
        received_s = self._clock.monotonic_s()
        for (_, limits, each), total in zip(usage, totals, strict=True):
            limits.receive(
                each.key,
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
