"""Missed orders, as a metric; and what needs no target's word any more is forgotten."""

import asyncio
from collections.abc import Callable, Sequence

from gateway.domain.missed import AcceptingTarget
from gateway.runtime.clock import Clock
from gateway.stores.postgres.missed_orders import MissedOrders
from workers import metrics
from workers.rounds import Rounds

_ROUND_S = 15.0
#: Rows forgotten at a time; more is found by the next round at once.
_ROWS_MAX = 5000


class Missed:
    """Counts missed orders by target. Every worker publishes the same."""

    def __init__(
        self,
        *,
        missed_orders: MissedOrders,
        targets: Callable[[], Sequence[AcceptingTarget]],
        clock: Clock,
        rounds: Rounds,
    ) -> None:
        """``targets``: those that accept orders, as the settings are now."""
        self._missed_orders = missed_orders
        self._targets = targets
        self._clock = clock
        self._rounds = rounds
        self._names: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set."""
        await self._rounds.run(stopping, self.round, pause_s=_ROUND_S)

    async def round(self) -> bool:
        """Forget and count once; return whether there is more to forget. Raises ``Unavailable``."""
        targets, now = self._targets(), self._clock.now()
        forgotten = await self._missed_orders.forget_settled(targets, now, _ROWS_MAX)
        counts = {each.target: each for each in await self._missed_orders.counts(targets, now)}
        names = {target.name for target in targets}
        for name in names | self._names:
            found = counts.get(name)
            metrics.MISSED_ORDERS.labels(name).set(found.orders if found else 0)
            metrics.MISSED_OLDEST_S.labels(name).set(found.oldest_s if found else 0.0)
        self._names = names
        return forgotten == _ROWS_MAX
