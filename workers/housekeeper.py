"""The housekeeper: creates monthly partitions ahead, drops old ones, deletes what has expired."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta

from gateway.runtime.clock import Clock
from gateway.stores.postgres.maintenance import Maintenance, MonthlyTable
from workers import metrics
from workers.rounds import Rounds

_log = logging.getLogger(__name__)

_ROUND_S = 60.0


class Housekeeper:
    """Keeps the ledger within its bounds, once a minute. Every step may be repeated.

    Raw messages, attempts of deliveries and the change feed are kept so many months beside the
    present one, rejected callbacks ``rejected_retention_h`` hours and ``rejected_rows_max`` rows.
    """

    def __init__(
        self,
        *,
        maintenance: Maintenance,
        clock: Clock,
        rounds: Rounds,
        months: Mapping[MonthlyTable, int],
        rejected_retention_h: int,
        rejected_rows_max: int,
    ) -> None:
        self._maintenance = maintenance
        self._clock = clock
        self._rounds = rounds
        self._months = months
        self._rejected_retention = timedelta(hours=rejected_retention_h)
        self._rejected_rows_max = rejected_rows_max

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set. What fails is tried again by the next round."""
        await self._rounds.run(stopping, self.round, pause_s=_ROUND_S)

    async def round(self) -> bool:
        """Do all steps once; nothing is left then. Raises ``Unavailable``."""
        now = self._clock.now()
        await self._maintenance.create_months(now)
        for table, keep in self._months.items():
            for name in await self._maintenance.drop_months(now, keep, table):
                metrics.DELETED.labels("partitions").inc()
                _log.info("dropped a month", extra={"partition": name})
        windows = await self._maintenance.delete_expired_windows()
        metrics.DELETED.labels("windows").inc(windows)
        callbacks = await self._maintenance.delete_rejected_callbacks(
            now - self._rejected_retention, self._rejected_rows_max
        )
        metrics.DELETED.labels("rejected_callbacks").inc(callbacks)
        return False
