"""The sweeper: pairs events with orders that missed each other by milliseconds.

A payment and its order may be committed at the same time, neither seeing the other. Within
seconds the sweeper applies the event to its order, through the same intake as everything.
"""

import asyncio
import logging

from gateway.intake import parked
from gateway.intake.accept import Intake
from gateway.stores.postgres.maintenance import Maintenance
from workers import metrics
from workers.rounds import Rounds

_log = logging.getLogger(__name__)

#: Orders settled at a time; more is found by the next round at once.
_ORDERS_MAX = 500


class Sweeper:
    """Settles orders every ``sweep_s`` seconds, and parks a note of events that wait too long."""

    def __init__(
        self,
        *,
        maintenance: Maintenance,
        intake: Intake,
        rounds: Rounds,
        sweep_s: float,
        unknown_order_s: float,
    ) -> None:
        self._maintenance = maintenance
        self._intake = intake
        self._rounds = rounds
        self._sweep_s = sweep_s
        self._unknown_order_s = unknown_order_s

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep until ``stopping`` is set. What fails is tried again by the next round."""
        await self._rounds.run(stopping, self._round, pause_s=self._sweep_s)

    async def _round(self) -> bool:
        return await self.sweep() == _ORDERS_MAX

    async def sweep(self) -> int:
        """Settle orders that something waits for; return how many. Raises ``Unavailable``."""
        pairs = await self._maintenance.orders_to_settle(_ORDERS_MAX)
        if pairs:
            await asyncio.gather(*[self._intake.settle(order_id) for order_id in pairs])
            metrics.SETTLED.inc(len(pairs))
            _log.info("paired", extra={"orders": len(pairs)})
        for late in await self._maintenance.park_overdue_events(self._unknown_order_s, _ORDERS_MAX):
            metrics.OVERDUE.inc()
            parked.report(late, "parked: an event waits for what has not come")
        return len(pairs)
