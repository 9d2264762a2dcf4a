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
from gateway.stores.postgres.deliveries import Attempt, Finished

_log = logging.getLogger(__name__)

_ROWS_MAX = 256
_PAUSE_S = 0.5
#: Seconds for which attempts are kept that cannot be stored. Their deliveries are due again then.
_GIVE_UP_S = 120.0

#: Ends attempts of a target in one transaction.
Finish = Callable[[str, UUID, Sequence[Attempt]], Awaitable[Finished]]


_NOTHING = Finished(0, 0)


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
        on_accepted: Callable[[], None],
        clock: Clock,
        waiting_max: int,
    ) -> None:
        """``on_accepted``: called when orders have changed because the target accepted them."""
        self._name = target
        self._claimant = claimant
        self._finish = finish
        self._on_accepted = on_accepted
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
                finished = await self._store(batch)
                if finished.accepted:
                    self._on_accepted()
                if finished.freed or was_behind:
                    self.on_stored()
        finally:
            self._task = None

    async def _store(self, batch: Sequence[Attempt]) -> Finished:
        until_s = self._clock.monotonic_s() + _GIVE_UP_S
        tries = 0
        while True:
            try:
                return await self._finish(self._name, self._claimant, batch)
            except errors.BadRow:
                if len(batch) > 1:
                    return await self._store_halves(batch)
                _log.exception("an attempt cannot be stored", extra={"target": self._name})
                return _NOTHING
            except TidegateError as exc:
                tries += 1
                if self._clock.monotonic_s() > until_s:
                    _log.error(
                        "attempts were not stored: their deliveries are made again",
                        extra={"target": self._name, "rows": len(batch), "reason": str(exc)},
                    )
                    return _NOTHING
                if isinstance(exc, errors.Contended):
                    await retry.jitter(min(tries, 6))
                else:
                    await asyncio.sleep(_PAUSE_S)

    async def _store_halves(self, batch: Sequence[Attempt]) -> Finished:
        """Store all but what the database refuses: else all of it would be delivered again."""
        middle = len(batch) // 2
        first, second = await self._store(batch[:middle]), await self._store(batch[middle:])
        return Finished(first.freed + second.freed, first.accepted + second.accepted)
