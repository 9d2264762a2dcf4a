"""The relay: moves what was staged from the outbox into the change feed and the deliveries.

Every worker has one, and one at a time works, under a lock of the database. It is woken after each
commit that staged something, and looks by itself once a second.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from gateway.domain.errors import TidegateError
from gateway.domain.handoff_decisions import Subscription
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock
from gateway.stores.postgres.relay import OutboxRow, RelayStore, Wanted
from workers import handoff_metrics as metrics
from workers import targets as configured
from workers.rounds import Rounds
from workers.targets import OpenTarget, Targets

_log = logging.getLogger(__name__)

#: Rows of one transaction. Each costs the feed a row and every target that wants it one more.
_ROWS_MAX = 1000
_POLL_S = 1.0
#: Seconds after which the targets are noted again.
_SEE_EVERY_S = 20.0
#: Of so many rows a round, the next one waits for more: half a thousand cost little more than one
#: hundred, and where orders come by the thousand a second, their commits go first.
_MANY = 100
_GATHER_S = 0.1


class Relay:
    """Relays in rounds. ``woken``: set by whoever knows that something was staged."""

    def __init__(
        self,
        *,
        store: RelayStore,
        targets: Targets,
        woken: asyncio.Event,
        wake: Callable[[str], None],
        clock: Clock,
        rounds: Rounds,
    ) -> None:
        """``wake``: called with each target that has something due now."""
        self._store = store
        self._targets = targets
        self._woken = woken
        self._wake = wake
        self._clock = clock
        self._rounds = rounds
        #: The position of the outbox after which each target is told.
        self._after: dict[str, int] = {}
        #: The targets that were noted last, and when.
        self._seen: Mapping[str, OpenTarget] = {}
        self._seen_s = float("-inf")
        self._gather_s = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Relay until ``stopping`` is set. What fails is tried again by the next round."""
        while not stopping.is_set():
            self._woken.clear()
            try:
                is_more = await self.round()
            except TidegateError as exc:
                self._rounds.postponed(exc)
                await lifecycle.pause(stopping, _POLL_S)
                continue
            self._rounds.done()
            if self._gather_s:
                await lifecycle.pause(stopping, self._gather_s)
            elif not is_more:
                await lifecycle.either(stopping, self._woken, _POLL_S)

    async def round(self) -> bool:
        """Move a batch; return whether there may be more. Raises ``Unavailable``."""
        targets = self._targets.now
        await self._see(targets)
        wanted = {
            name: (configured.subscription(each.target), self._after[name])
            for name, each in targets.items()
        }
        moved = await self._store.move(
            _ROWS_MAX,
            lambda row: _matches(wanted, row),
            topics=_topics([subscription for subscription, _ in wanted.values()]),
            known=wanted,
            accepting={name for name, each in targets.items() if each.target.accepts != "never"},
        )
        if moved.rows:
            metrics.RELAYED.inc(moved.rows)
        for name in moved.deliveries:
            self._wake(name)
        self._gather_s = _GATHER_S if _MANY <= moved.rows < _ROWS_MAX else 0.0
        return moved.rows == _ROWS_MAX

    async def _see(self, targets: Mapping[str, OpenTarget]) -> None:
        """Note the targets where they are new, and now and then, for the other workers."""
        now_s = self._clock.monotonic_s()
        if not targets or (targets is self._seen and now_s < self._seen_s + _SEE_EVERY_S):
            return
        self._after |= await self._store.see(
            {
                name: Wanted(configured.subscription(each.target), each.target.accepts != "never")
                for name, each in targets.items()
            }
        )
        self._seen, self._seen_s = targets, now_s


def _topics(subscriptions: Sequence[Subscription]) -> Collection[str] | None:
    """Return the topics that anybody wants; None: all."""
    if all(each.topics for each in subscriptions):
        return frozenset().union(*[each.topics for each in subscriptions])
    return None


def _matches(wanted: Mapping[str, tuple[Subscription, int]], row: OutboxRow) -> Sequence[str]:
    event = row.event
    if event is None:
        _log.warning("an event of no order", extra={"event_id": str(row.id)})
        return ()
    return [
        name
        for name, (subscription, after) in wanted.items()
        if row.position > after and subscription.wants(event)
    ]
