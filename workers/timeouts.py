"""Timeouts: orders of which nothing was paid in time are closed.

Each channel says how long its orders may stay unpaid (``unpaid_timeout_s``); when an order is due
stands in the ledger from its placement on. It is closed through the same intake as everything, as
an event of its own: whichever worker finds it, it is closed once, and the outbox tells whoever
asked.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from gateway.domain.channels import Policies
from gateway.domain.events import Closed
from gateway.domain.following import Done, FollowUp
from gateway.intake.accept import Intake
from gateway.runtime.clock import Clock
from gateway.runtime.live import Live
from gateway.stores.postgres.maintenance import DueOrder, Maintenance
from workers import metrics
from workers.rounds import Rounds

_log = logging.getLogger(__name__)

#: Orders looked at in a round; more is found by the next one at once.
_ORDERS_MAX = 500
_ROUND_S = 5.0
#: Seconds until an order is looked at again that an event waits for: who sees to that takes longer.
_AGAIN_S = 600
#: Who closed an order, in its history.
_TRIGGER = "timeout"


class Depth(Protocol):
    """How much waits to be drained."""

    @property
    def entries(self) -> int:
        """Entries appended and not yet acknowledged by a drainer."""
        ...


class Journal(Protocol):
    """The journal, where payments may wait that came while the ledger was unavailable."""

    async def depth(self) -> Depth:
        """Return how much waits to be drained. Raises ``Unavailable``."""
        ...


class Timeouts:
    """Closes overdue orders, a round every few seconds.

    Only wholly unpaid ones: what is paid in part is a person's to decide about. None while the
    journal holds anything, for that may be its payment.
    """

    def __init__(
        self,
        *,
        maintenance: Maintenance,
        intake: Intake,
        journal: Journal | None,
        policies: Live[Policies],
        new_id: Callable[[], UUID],
        clock: Clock,
        rounds: Rounds,
    ) -> None:
        """``journal``: None where there is none."""
        self._maintenance = maintenance
        self._intake = intake
        self._journal = journal
        self._policies = policies
        self._new_id = new_id
        self._clock = clock
        self._rounds = rounds

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set. What fails is tried again by the next round."""
        await self._rounds.run(stopping, self.round, pause_s=_ROUND_S)

    async def round(self) -> bool:
        """Close what is overdue; return whether there may be more. Raises ``Unavailable``."""
        if await self._is_draining():
            return False
        found = await self._maintenance.due_orders(_ORDERS_MAX)
        if not found:
            return False
        policies = self._policies.now
        waiting, unpaid, over = [], [], []
        for order in found:
            policy = policies.get(order.channel)
            if not order.is_unpaid or policy is None or not policy.unpaid_timeout_s:
                # Paid, at least in part, or its channel has no timeout any more.
                over.append(order)
            elif order.has_waiting:
                waiting.append(order)
            else:
                unpaid.append(order)
        done = await asyncio.gather(*[self._close(order) for order in unpaid])
        # Now that they are closed: a worker that dies before this closes none of them twice.
        await self._maintenance.forget_due([order.id for order in over + unpaid])
        await self._maintenance.postpone_due([order.id for order in waiting], _AGAIN_S)
        if closed := sum(each.outcome == "applied" for each in done):
            metrics.TIMED_OUT.inc(closed)
            _log.info("closed unpaid orders", extra={"orders": closed})
        return len(found) == _ORDERS_MAX

    async def _is_draining(self) -> bool:
        return self._journal is not None and (await self._journal.depth()).entries > 0

    async def _close(self, order: DueOrder) -> Done:
        now = self._clock.now()
        return await self._intake.accept_event(
            FollowUp(
                id=self._new_id(),
                # No account of a provider can have this name.
                source=f"timeouts:{order.channel}",
                source_key=str(order.id),
                provider="timeouts",
                channels=(order.channel,),
                event=Closed(order.order_no, "timed_out", now, only_unpaid=True),
                trigger=_TRIGGER,
                received_at=now,
                is_test=order.is_test,
            )
        )
