"""The monitor: every 50 ms it measures, moves the circuit breakers and limits, and publishes.

Each process decides by what it measures itself; of others it knows the back load alone. What it
moves is what ``Admission`` reads for each request.
"""

import asyncio
import logging
import time
from collections import Counter
from typing import Protocol

from gateway.domain.features import FEATURES, TIERS, Tier
from gateway.domain.overrides import EARLY_MARGIN
from gateway.overload import metrics
from gateway.overload.admission import Admission
from gateway.overload.load import LoadFigure
from gateway.overload.signals import TICK_S, TICKS, TICKS_PER_S, Signals
from gateway.overload.tier_breaker import State, TierBreaker
from gateway.runtime import metrics as runtime_metrics
from gateway.runtime.clock import Clock
from gateway.runtime.watchdog import Watchdog

_log = logging.getLogger(__name__)

#: What the log says of a tier in each state.
_DOES: dict[State, str] = {
    "admitting": "admitting all requests",
    "shedding_some": "shedding some requests",
    "shedding_all": "shedding all requests",
    "recovering": "recovering",
}


class Overrides(Protocol):
    """Operators' overrides, as far as they concern tiers and time."""

    @property
    def early_tiers(self) -> frozenset[Tier]:
        """The tiers that shed at a lower load."""
        ...

    def tick(self, now_s: float) -> None:
        """Expire overrides that have ended, and activate those planned for now."""
        ...


class Monitor:
    """The long-lived task of overload control in one process. It decides about no request."""

    def __init__(
        self,
        *,
        admission: Admission,
        signals: Signals,
        overrides: Overrides,
        watchdog: Watchdog,
        clock: Clock,
    ) -> None:
        self._admission = admission
        self._signals = signals
        self._overrides = overrides
        self._watchdog = watchdog
        self._now_s = clock.monotonic_s
        self._figure = LoadFigure()
        self._ticks = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Tick until ``stopping`` is set."""
        self._watchdog.start()
        try:
            while not stopping.is_set():
                due_s = self._now_s() + TICK_S
                await asyncio.sleep(TICK_S)
                now_s = self._now_s()
                self.tick(now_s - due_s, time.thread_time(), now_s)
        finally:
            self._watchdog.stop()

    def tick(self, late_s: float, cpu_s: float, now_s: float) -> None:
        """Tick once. ``late_s``: of this tick; ``cpu_s``: of this thread until now."""
        admission, signals = self._admission, self._signals
        self._ticks += 1
        self._watchdog.beat()
        self._overrides.tick(now_s)
        signals.sample(late_s, cpu_s, now_s)
        admission.in_flight.update(rejected=signals.rejected_share(), cpu=signals.cpu_now())
        if self._ticks % TICKS_PER_S == 1:
            signals.sample_machine()
        if self._ticks % (2 * TICKS) == 1:
            signals.sample_stores(now_s)
        admission.conditions.load = self._figure.take(
            signals.measured(now_s), now_s, unproven=signals.unproven()
        )
        self._move_breakers(now_s)
        if self._ticks % (2 * TICKS) == 0:
            admission.concurrency.adapt(rejecting=signals.rejecting_share())
        if self._ticks % TICKS == 0:
            admission.in_flight.adapt(
                answered_per_s=signals.answered_per_s(),
                cpu=signals.cpu(),
                commit_s=signals.commit_s(now_s),
            )
            self._publish(now_s)

    def _move_breakers(self, now_s: float) -> None:
        load, early_tiers = self._admission.load, self._overrides.early_tiers
        for tier, breaker in self._admission.breakers.items():
            margin = EARLY_MARGIN if tier in early_tiers else 0.0
            figure, look = (load.hard, load.hard) if tier <= 1 else (load.figure, load.look)
            if breaker.take(figure, now_s, look=look, margin=margin):
                self._log_change(tier, breaker)

    def _log_change(self, tier: Tier, breaker: TierBreaker) -> None:
        load = self._admission.load
        _log.warning(
            "tier %d is %s" if self._admission.is_acting else "tier %d would be %s",
            tier,
            _DOES[breaker.state],
            extra={
                "features": [each.name for each in FEATURES if each.tier == tier],
                "load": round(load.figure, 3),
                "signal": load.signal,
            },
        )

    def _publish(self, now_s: float) -> None:
        """Publish the load, the limits and what was rejected since the last time as metrics."""
        admission, load = self._admission, self._admission.load
        metrics.LOAD.labels("front").set(load.front)
        metrics.LOAD.labels("back").set(load.back)
        for signal, share in load.shares.items():
            metrics.LOAD_SIGNAL.labels(signal).set(share)
        metrics.SLOTS.labels("limit").set(admission.concurrency.limit)
        metrics.SLOTS.labels("in_flight_limit").set(admission.in_flight.limit or 0)
        metrics.SLOTS.labels("in_use").set(admission.concurrency.in_use)
        for tier in TIERS:
            breaker = admission.breakers.get(tier)
            metrics.SHED_SHARE.labels(str(tier)).set(breaker.share if breaker else 0.0)
        mode = "act" if admission.is_acting else "watch"
        rejected: Counter[str] = Counter()
        for (feature, reason), count in admission.take_counts().items():
            metrics.SHED.labels(feature, reason, mode).inc(count)
            if admission.is_acting or reason == "operator":
                rejected[feature] += count
        runtime_metrics.publish()
        asked = admission.asked + admission.skipped
        admission.rates.note(now_s, asked=asked, rejected=rejected)
