"""The re-check: some seconds after a payment or an order, whether what belongs together has met.

The sweeper pairs what it sees has missed each other. This looks once more, without trusting that
anything was tried: at events that still wait, under every number that they have; and at orders that
changed, as the change feed tells: whether their sums are those of their payments, and whether they
were told as paid. It mends what can be mended without a person, and shows the rest.
"""

import asyncio
import logging
from datetime import UTC, datetime, tzinfo

from gateway.intake.accept import Intake
from gateway.runtime.clock import Clock
from gateway.stores.postgres.recheck import RecheckStore
from gateway.stores.postgres.scan import ScanStore
from workers import metrics
from workers.rounds import Rounds

_log = logging.getLogger(__name__)

_EVENTS_MAX = 500
_CHANGES_MAX = 1000
_ROUND_S = 1.0
#: What is owed is no matter of seconds: the nightly scan looks at that.
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
#: Changes after which there is nothing to compare yet.
_TRIVIAL = frozenset({"order.placed", "order.accepted"})


class Recheck:
    """Re-checks ``recheck_s`` seconds later. Every step may be repeated; workers take turns."""

    def __init__(
        self,
        *,
        store: RecheckStore,
        scan: ScanStore,
        intake: Intake,
        zone: tzinfo,
        recheck_s: float,
        clock: Clock,
        rounds: Rounds,
    ) -> None:
        """``zone``: that of the business day under which a finding is noted."""
        self._store = store
        self._scan = scan
        self._intake = intake
        self._zone = zone
        self._recheck_s = recheck_s
        self._clock = clock
        self._rounds = rounds
        # They exist from the start: that nothing had to be mended is a 0, not a gap.
        for what in ("events", "orders", "restaged"):
            metrics.RECHECKED.labels(what)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set. What fails is tried again by the next round."""
        await self._rounds.run(stopping, self.round, pause_s=_ROUND_S)

    async def round(self) -> bool:
        """Do both once; return whether there is more. Raises ``Unavailable``."""
        is_more = await self._recheck_events()
        return await self._recheck_orders() or is_more

    async def _recheck_events(self) -> bool:
        awaited = await self._store.awaited(self._recheck_s, _EVENTS_MAX)
        orders = {each.order_id for each in awaited if each.order_id is not None}
        await asyncio.gather(*[self._intake.settle(order_id) for order_id in orders])
        events = {each.event_id for each in awaited}
        # After they were settled: a worker that dies before this settles them once more.
        await self._store.mark(list(events))
        metrics.RECHECKED.labels("events").inc(len(events))
        return len(events) >= _EVENTS_MAX

    async def _recheck_orders(self) -> bool:
        async with self._store.following() as feed:
            if feed is None:
                return False
            changes = await feed.changes(self._recheck_s, _CHANGES_MAX)
            if not changes:
                return False
            orders = sorted({each.order_id for each in changes if each.topic not in _TRIVIAL})
            found = await self._scan.check_orders(orders, _NEVER) if orders else []
            untold = [each.subject for each in found if each.kind == "not_handed_on"]
            if untold and (told := await self._store.restage_paid(untold)):
                metrics.RECHECKED.labels("restaged").inc(len(told))
                _log.error(
                    "orders were paid and not told so: staged now", extra={"orders": len(told)}
                )
            wrong = [each for each in found if each.kind == "sum_differs"]
            today = self._clock.now().astimezone(self._zone).date()
            for kind in await self._scan.write(wrong, today):
                metrics.SCAN_FINDINGS.labels(kind).inc()
            metrics.RECHECKED.labels("orders").inc(len(orders))
            await feed.move(changes[-1].position)
        return len(changes) >= _CHANGES_MAX
