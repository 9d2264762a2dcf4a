"""What waits for a person, and what waits for its order, as metrics.

A counter of what was parked begins at zero with each process; what is open is in the database.
"""

import asyncio
from collections.abc import Mapping

from prometheus_client import Gauge

from gateway.providers.registry import PROVIDERS
from gateway.stores.postgres.maintenance import Maintenance
from workers import metrics
from workers.rounds import Rounds

_ROUND_S = 15.0


class ParkedRows:
    """Publishes the open rows of ``parked``, and those of ``waiting``.

    Every worker publishes the same, from its first round on.
    """

    def __init__(self, *, maintenance: Maintenance, rounds: Rounds) -> None:
        self._maintenance = maintenance
        self._rounds = rounds
        self._parked: set[tuple[str, ...]] = set()
        self._waiting: set[tuple[str, ...]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until ``stopping`` is set."""
        await self._rounds.run(stopping, self.round, pause_s=_ROUND_S)

    async def round(self) -> bool:
        """Publish once; nothing is left then. Raises ``Unavailable``."""
        parked = await self._maintenance.parked(list(PROVIDERS))
        waiting = await self._maintenance.waiting()
        by_reason: dict[tuple[str, ...], int] = {
            (each.reason, each.provider): each.rows for each in parked
        }
        self._parked = _publish(metrics.PARKED_OPEN, by_reason, self._parked)
        metrics.PARKED_OLDEST_S.set(max((each.oldest_s for each in parked), default=0.0))
        by_provider: dict[tuple[str, ...], int] = {(each.provider,): each.rows for each in waiting}
        self._waiting = _publish(metrics.UNMATCHED, by_provider, self._waiting)
        metrics.UNMATCHED_OLDEST_S.set(max((each.oldest_s for each in waiting), default=0.0))
        return False


def _publish(
    gauge: Gauge, rows: Mapping[tuple[str, ...], int], before: set[tuple[str, ...]]
) -> set[tuple[str, ...]]:
    """Set the gauge by its labels, 0 where there were rows before; return the labels set."""
    counts = {**dict.fromkeys(before, 0), **rows}
    for labels, count in counts.items():
        gauge.labels(*labels).set(count)
    return set(counts)
