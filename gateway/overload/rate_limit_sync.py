"""Quotas hold for the whole gateway: each process tells what it let in, and hears how all stand.

As with ``peers`` nobody waits for it. What can not be told is lost and not told later: it would
count at once what was let in over a while. A process that hears nothing goes by what it sees.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

import msgspec

from gateway.domain.errors import Unavailable
from gateway.overload.rate_limit import RateLimits, Used
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock

_log = logging.getLogger(__name__)

#: Seconds between two times that a process tells what it let in.
TELL_S = 0.5


class Total(Protocol):
    """How all processes together stand with a quota."""

    @property
    def ahead_s(self) -> float:
        """Seconds that they are ahead of its rate."""
        ...

    @property
    def asked(self) -> float:
        """What was asked of them lately, half forgotten after ``quotas.HALF_S``."""
        ...


class Totals(Protocol):
    """Where it is told."""

    async def add(self, used: Sequence[Used], *, within_s: float) -> Sequence[Total]:
        """Add what was let in; return the total of each. Raises ``Unavailable``."""
        ...


class RateLimitSync:
    """Tells the others what this process let in, and counts here what they did."""

    def __init__(
        self, *, totals: Totals, quotas: Sequence[tuple[str, RateLimits]], clock: Clock
    ) -> None:
        """``quotas``: each with what its keys are of, as no two may be told by one name."""
        self._totals = totals
        self._quotas = quotas
        self._clock = clock
        self._told_s = clock.monotonic_s()
        self._is_away = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell and hear again and again until told to stop."""
        while not stopping.is_set():
            await self.exchange()
            await lifecycle.pause(stopping, TELL_S)

    async def exchange(self) -> None:
        """Tell and hear once, if there is anything to tell. Never raises for what is away."""
        now_s = self._clock.monotonic_s()
        within_s, self._told_s = now_s - self._told_s, now_s
        used = [
            (name, quotas, each) for name, quotas in self._quotas for each in quotas.take(now_s)
        ]
        if not used:
            return
        named = [msgspec.structs.replace(each, key=f"{name}:{each.key}") for name, _, each in used]
        try:
            totals = await self._totals.add(named, within_s=within_s)
        except Unavailable as exc:
            self._say(exc)
            return
        self._say(None)
        heard_s = self._clock.monotonic_s()
        for (_, quotas, each), total in zip(used, totals, strict=True):
            quotas.hear(
                each.key,
                ahead_s=total.ahead_s,
                asked=total.asked,
                told_s=now_s,
                now_s=heard_s,
            )

    def _say(self, exc: Unavailable | None) -> None:
        if exc is not None and not self._is_away:
            _log.warning(
                "quotas can not be told; each process counts by itself",
                extra={"kind": type(exc.__cause__ or exc).__name__},
            )
        elif exc is None and self._is_away:
            _log.warning("quotas are counted over all processes again")
        self._is_away = exc is not None
