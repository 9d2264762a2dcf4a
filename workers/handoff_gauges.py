"""What waits to be handed on, as metrics. Every worker publishes the same."""

import asyncio

from gateway.stores.postgres.deliveries import Deliveries
from workers import handoff_metrics as metrics
from workers.rounds import Rounds

_ROUND_S = 10.0
_OF_TARGETS = (metrics.PENDING, metrics.PENDING_OLDEST_S, metrics.DEAD, metrics.DISABLED)


class HandOffGauges:
    """Publishes what waits in the outbox, and what each target must still get."""

    def __init__(self, *, deliveries: Deliveries, rounds: Rounds) -> None:
        self._deliveries = deliveries
        self._rounds = rounds
        self._names: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until ``stopping`` is set."""
        await self._rounds.run(stopping, self.round, pause_s=_ROUND_S)

    async def round(self) -> bool:
        """Publish once; nothing is left then. Raises ``Unavailable``."""
        rows, oldest_s = await self._deliveries.outbox()
        metrics.OUTBOX.set(rows)
        metrics.OUTBOX_OLDEST_S.set(oldest_s)
        counts = await self._deliveries.counts()
        for each in counts:
            metrics.PENDING.labels(each.name).set(each.pending)
            metrics.PENDING_OLDEST_S.labels(each.name).set(each.pending_oldest_s)
            metrics.DEAD.labels(each.name).set(each.dead)
            metrics.DISABLED.labels(each.name).set(each.is_disabled)
        names = {each.name for each in counts}
        for forgotten in self._names - names:
            for gauge in _OF_TARGETS:
                gauge.remove(forgotten)
        self._names = names
        return False
