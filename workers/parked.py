"""What waits for a person, as a metric.

A counter of what was parked begins at zero with each process; what is open is in the database.
"""

import asyncio

from gateway.stores.postgres.maintenance import Maintenance
from workers import metrics
from workers.rounds import Rounds

_ROUND_S = 15.0


class ParkedRows:
    """Publishes the open rows of ``parked`` by reason. Every worker publishes the same."""

    def __init__(self, *, maintenance: Maintenance, rounds: Rounds) -> None:
        self._maintenance = maintenance
        self._rounds = rounds
        self._reasons: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until ``stopping`` is set."""
        await self._rounds.run(stopping, self.round, pause_s=_ROUND_S)

    async def round(self) -> bool:
        """Publish once; nothing is left then. Raises ``Unavailable``."""
        found = await self._maintenance.parked()
        counts = dict.fromkeys(self._reasons, 0) | {each.reason: each.rows for each in found}
        self._reasons = set(counts)
        for reason, rows in counts.items():
            metrics.PARKED_OPEN.labels(reason).set(rows)
        metrics.PARKED_OLDEST_S.set(max((each.oldest_s for each in found), default=0.0))
        return False
