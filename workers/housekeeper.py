"""The housekeeper: makes months ahead, drops months past their time, purges what is over."""

import asyncio
import logging
from datetime import timedelta

from gateway.domain.errors import TidegateError
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock
from gateway.stores.postgres.maintenance import Maintenance

_log = logging.getLogger(__name__)

_ROUND_S = 60.0


class Housekeeper:
    """Keeps the ledger's bounds, once a minute. Every step may be repeated."""

    def __init__(
        self,
        *,
        maintenance: Maintenance,
        clock: Clock,
        raw_months: int,
        rejected_retention_h: int,
        rejected_rows_max: int,
    ) -> None:
        self._maintenance = maintenance
        self._clock = clock
        self._raw_months = raw_months
        self._rejected_retention = timedelta(hours=rejected_retention_h)
        self._rejected_rows_max = rejected_rows_max

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop. What fails is tried again by the next round."""
        while not stopping.is_set():
            try:
                await self.round()
            except TidegateError as exc:
                _log.warning("maintenance postponed", extra={"reason": str(exc)})
            await lifecycle.pause(stopping, _ROUND_S)

    async def round(self) -> None:
        """Do all of it once. Raises ``Unavailable``."""
        now = self._clock.now()
        await self._maintenance.create_months(now)
        for name in await self._maintenance.drop_months(now, self._raw_months):
            _log.info("dropped a month of raw messages", extra={"partition": name})
        await self._maintenance.delete_expired_windows()
        await self._maintenance.delete_rejected_callbacks(
            now - self._rejected_retention, self._rejected_rows_max
        )
