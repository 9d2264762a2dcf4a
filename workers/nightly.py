"""The tasks of the night: done once for each business day, by one worker of many."""

import asyncio
import logging
from datetime import time, tzinfo

from gateway.domain import business_days, scanning
from gateway.runtime.clock import Clock
from gateway.stores.postgres.daily_runs import DailyRuns
from workers import metrics
from workers.nightly_scan import NightlyScan
from workers.rounds import Rounds

_log = logging.getLogger(__name__)

_ROUND_S = 30.0


class Nightly:
    """Looks twice a minute whether the scan of a business day is due, and does it.

    A night in which no worker ran is made up for. Other workers meanwhile do something else.
    """

    def __init__(
        self,
        *,
        scan: NightlyScan,
        runs: DailyRuns,
        at: time,
        zone: tzinfo,
        clock: Clock,
        rounds: Rounds,
    ) -> None:
        """``at``: the time of the clock in ``zone`` from which the day before is scanned."""
        self._scan = scan
        self._runs = runs
        self._at = at
        self._zone = zone
        self._clock = clock
        self._rounds = rounds
        for kind in scanning.KINDS:
            metrics.SCAN_FINDINGS.labels(kind)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set. What fails is tried again by the next round."""

        async def do() -> bool:
            return await self.round(stopping)

        await self._rounds.run(stopping, do, pause_s=_ROUND_S)

    async def round(self, stopping: asyncio.Event) -> bool:
        """Scan what is due; nothing is left then. Raises ``Unavailable`` and ``Interrupted``."""
        done = await self._runs.done()
        for day in business_days.due(self._clock.now(), self._at, self._zone, done):
            report = await self._scan.run(day, stopping=stopping)
            if report is None:
                continue
            for kind, count in report.new.items():
                metrics.SCAN_FINDINGS.labels(kind).inc(count)
            if report.new:
                _log.warning("the nightly scan found what a person must see",
                             extra={"day": str(day), **report.new})  # fmt: skip
        return False
