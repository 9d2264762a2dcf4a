"""Attempts that ended, on their way into the ledger: many share a transaction."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from gateway.domain.errors import TidegateError
from gateway.runtime import retry
from gateway.runtime.clock import Clock
from gateway.stores.postgres import errors
from gateway.stores.postgres.deliveries import Attempt

_log = logging.getLogger(__name__)

_ROWS_MAX = 256
_PAUSE_S = 0.5
#: Seconds for which attempts are kept that cannot be stored. Their deliveries are due again then.
_GIVE_UP_S = 120.0

#: Ends attempts of a target in one transaction; returns how many deliveries are due now for that.
Finish = Callable[[str, UUID, Sequence[Attempt]], Awaitable[int]]
#: Told of (order, event) that a target has accepted with its answer, before they are ended.
OnAccepted = Callable[[str, Sequence[tuple[UUID, UUID]]], Awaitable[None]]


async def nobody_asks(target: str, accepted: Sequence[tuple[UUID, UUID]]) -> None:
    """Do nothing with what was accepted."""


class AttemptsLog:
    """Stores how attempts on one target ended. While one batch is stored the next one gathers.

    What cannot be stored is tried again for two minutes. After that it is due again, and delivered
    twice, with the same id.
    """

    def __init__(
        self,
        *,
        target: str,
        claimant: UUID,
        finish: Finish,
        accepted: OnAccepted | None,
        clock: Clock,
        waiting_max: int,
    ) -> None:
        """``accepted``: told of each delivered ``order.paid``; None: its 2xx is no acceptance."""
        self._name = target
        self._claimant = claimant
        self._finish = finish
        self._accepted = accepted
        self._clock = clock
        self._waiting_max = waiting_max
        self._queue: deque[Attempt] = deque()
        self._task: asyncio.Task[None] | None = None
        #: Called when something may be claimed again.
        self.on_stored: Callable[[], None] = lambda: None

    @property
    def is_behind(self) -> bool:
        """Whether so much waits that nothing more should be begun."""
        return len(self._queue) > self._waiting_max

    def add(self, attempt: Attempt) -> None:
        """Store an attempt soon."""
        self._queue.append(attempt)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"attempts on {self._name}")

    async def drain(self) -> None:
        """Return when all is stored, or given up."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._queue:
                # One step later: what ended in the same moment joins the batch.
                await asyncio.sleep(0)
                was_behind = self.is_behind
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), _ROWS_MAX))]
                freed = await self._store(batch)
                if freed or was_behind:
                    self.on_stored()
        finally:
            self._task = None

    async def _store(self, batch: Sequence[Attempt]) -> int:
        until_s = self._clock.monotonic_s() + _GIVE_UP_S
        tries = 0
        while True:
            try:
                await self._tell(batch)
                return await self._finish(self._name, self._claimant, batch)
            except errors.BadRow:
                _log.exception("attempts cannot be stored", extra={"target": self._name})
                return 0
            except TidegateError as exc:
                tries += 1
                if self._clock.monotonic_s() > until_s:
                    _log.error(
                        "attempts were not stored: their deliveries are made again",
                        extra={"target": self._name, "rows": len(batch), "reason": str(exc)},
                    )
                    return 0
                if isinstance(exc, errors.Contended):
                    await retry.jitter(min(tries, 6))
                else:
                    await asyncio.sleep(_PAUSE_S)

    async def _tell(self, batch: Sequence[Attempt]) -> None:
        if self._accepted is None:
            return
        accepted = [
            (each.delivery.order_id, each.delivery.event_id)
            for each in batch
            if each.outcome == "delivered" and each.delivery.topic == "order.paid"
        ]
        if accepted:
            # First: once the delivery has left, nothing would make it known again.
            await self._accepted(self._name, accepted)
