"""Deliveries: what each target must still be told, claimed and ended in batches."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.domain.handoff import AttemptOutcome
from gateway.runtime.ids import UUIDv7
from gateway.stores.postgres import acceptances, errors
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.statements import sql

#: Seconds until a delivery that waits for one which is being attempted is looked at all the same.
_BLOCKED_S = 5.0
_encode = msgspec.json.Encoder().encode


class Delivery(Struct, frozen=True):
    """A delivery that was claimed. ``attempts``: those that failed before."""

    event_id: UUID
    order_id: UUID
    version: int
    topic: str
    occurred_at: datetime
    attempts: int
    priority: int


class Claim(Struct, frozen=True):
    """What a claim found: deliveries to attempt, and how many wait for others of their orders."""

    deliveries: Sequence[Delivery]
    blocked: int


_NONE = Claim((), 0)


class Attempt(Struct, frozen=True):
    """An attempt that ended.

    ``retry_after_s``: of a failed one, seconds until the next; None: there is none, it is dead.
    ``version``: of the order, as it was told.
    """

    delivery: Delivery
    version: int
    started_at: datetime
    took_ms: int
    outcome: AttemptOutcome
    status_code: int | None = None
    reason: str = ""
    retry_after_s: float | None = None


class Finished(Struct, frozen=True):
    """What the end of attempts came to.

    ``freed``: deliveries that waited for them and are due now; ``accepted``: orders that changed.
    """

    freed: int
    accepted: int


class DeadLetter(Struct, frozen=True):
    """A delivery whose last attempt failed."""

    target: str
    event_id: UUID
    order_id: UUID
    order_no: str | None
    channel: str | None
    topic: str
    version: int
    attempts: int
    occurred_at: datetime
    dead_at: datetime
    reason: str | None


class AttemptRow(Struct, frozen=True):
    """An attempt as the log keeps it."""

    target: str
    event_id: UUID
    order_id: UUID
    topic: str
    version: int
    attempt: int
    started_at: datetime
    took_ms: int
    outcome: AttemptOutcome
    status_code: int | None
    reason: str | None


class TargetCount(Struct, frozen=True):
    """What waits for a target; ``pending_oldest_s``: how long ago the oldest of it happened."""

    name: str
    is_disabled: bool
    pending: int
    pending_oldest_s: float
    dead: int


class Told(Struct, frozen=True):
    """A delivery that is due (again)."""

    target: str
    event_id: UUID
    order_id: UUID


class Deliveries:
    """The deliveries of all targets. All of it raises ``Unavailable``.

    Invariants:

    - A delivery leaves when it was delivered or withdrawn, and never else. What a process claimed
      and did not end is due again when its claim is over.
    - Per order and target, none is claimed while an earlier one is neither over nor dead.
    """

    def __init__(
        self,
        *,
        pool: "asyncpg.Pool[asyncpg.Record]",
        new_id: Callable[[], UUID] | None = None,
    ) -> None:
        self._pool = pool
        self._new_id = new_id or UUIDv7()

    async def claim(self, target: str, claimant: UUID, *, limit: int, lease_s: float) -> Claim:
        """Claim due deliveries for ``lease_s`` seconds, the most urgent first."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                due = await connection.fetch(sql("lock_due_deliveries"), target, limit)
                if not due:
                    return _NONE
                rows = await connection.fetch(
                    sql("claim_deliveries"),
                    target,
                    ",".join(str(event_id) for (event_id,) in due),
                    lease_s,
                    claimant,
                    _BLOCKED_S,
                )
        claimed = [Delivery(*row[:-1]) for row in map(tuple, rows) if row[-1]]
        # The statement returns them as it finds them.
        claimed.sort(key=_urgency)
        return Claim(claimed, len(rows) - len(claimed))

    async def finish(
        self, target: str, claimant: UUID, attempts: Sequence[Attempt], *, is_accepting: bool
    ) -> Finished:
        """End attempts: all in one transaction.

        ``is_accepting``: that ``order.paid`` was delivered is the target's word that it has the
        order, which is recorded with it.
        """
        answered = [
            acceptances.Answered(
                each.delivery.order_id, target, each.delivery.event_id, each.started_at
            )
            for each in attempts
            if each.outcome == "delivered" and each.delivery.topic == "order.paid"
        ]
        with errors.translated():
            if not (is_accepting and answered):
                return Finished(await self._finish(self._pool, target, claimant, attempts), 0)
            async with self._pool.acquire() as connection, connection.transaction():
                # An order is changed, and that must not be undone once it was seen.
                await connection.execute("SET LOCAL synchronous_commit = on")
                accepted = await acceptances.record(connection, answered, new_id=self._new_id)
                freed = await self._finish(connection, target, claimant, attempts)
                return Finished(freed, accepted)

    async def _finish(
        self,
        connection: "Connection | asyncpg.Pool[asyncpg.Record]",
        target: str,
        claimant: UUID,
        attempts: Sequence[Attempt],
    ) -> int:
        log, failures = [], {}
        over = {each.delivery.event_id for each in attempts if each.outcome != "failed"}
        for each in attempts:
            delivery = each.delivery
            log.append(
                {
                    "event_id": delivery.event_id,
                    "order_id": delivery.order_id,
                    "topic": delivery.topic,
                    "version": each.version,
                    "attempt": delivery.attempts + 1,
                    "started_at": each.started_at,
                    "took_ms": each.took_ms,
                    "outcome": each.outcome,
                    "status_code": each.status_code,
                    "reason": each.reason or None,
                }
            )
            if each.outcome == "failed" and delivery.event_id not in over:
                failures[delivery.event_id] = {
                    "event_id": delivery.event_id,
                    "after_s": each.retry_after_s,
                    "reason": each.reason,
                }
        freed: int = await connection.fetchval(
            sql("finish_deliveries"),
            target,
            claimant,
            _encode(log).decode(),
            _encode(list(failures.values())).decode(),
        )
        return freed

    async def release(self, target: str, claimant: UUID, events: Sequence[UUID]) -> None:
        """Give back what was claimed and not attempted: it is due at once."""
        with errors.translated():
            await self._pool.execute(sql("release_deliveries"), target, claimant, events)

    async def disable(self, target: str, reason: str) -> bool:
        """Claim nothing more of a target until it is enabled; return whether it was enabled."""
        with errors.translated():
            return bool(await self._pool.fetchval(sql("disable_target"), target, reason))

    async def enable(self, target: str) -> bool:
        """Make all that waits for a target due; return whether it was disabled."""
        with errors.translated():
            return bool(await self._pool.fetchval(sql("enable_target"), target))

    async def counts(self) -> list[TargetCount]:
        """Return what waits for each target."""
        with errors.translated():
            rows = await self._pool.fetch(sql("count_deliveries"))
        return [TargetCount(*row) for row in rows]

    async def outbox(self) -> tuple[int, float]:
        """Return how many rows wait to be relayed, and the age of the oldest in seconds."""
        with errors.translated():
            rows, oldest_s = await self._pool.fetchrow(sql("count_outbox"))
        return rows, oldest_s

    async def replay(
        self,
        *,
        target: str | None = None,
        events: Sequence[UUID] | None = None,
        order_id: UUID | None = None,
        dead_before: datetime | None = None,
        limit: int = 1000,
    ) -> list[Told]:
        """Make dead letters due again, the oldest first; return them. A repeat finds none."""
        with errors.translated():
            rows = await self._pool.fetch(
                sql("replay_dead"), target, events, order_id, dead_before, limit
            )
        return [Told(*row) for row in rows]

    async def list_dead(
        self,
        *,
        target: str | None = None,
        order_id: UUID | None = None,
        after: DeadLetter | None = None,
        limit: int = 100,
    ) -> list[DeadLetter]:
        """Return a page of dead letters, those longest dead first, behind ``after``."""
        place = (
            (None, None, None) if after is None else (after.dead_at, after.target, after.event_id)
        )
        with errors.translated():
            rows = await self._pool.fetch(sql("list_dead"), target, order_id, *place, limit)
        return [DeadLetter(*row) for row in rows]

    async def list_attempts(self, order_id: UUID, limit: int = 100) -> list[AttemptRow]:
        """Return the attempts of an order's deliveries, the latest first."""
        with errors.translated():
            rows = await self._pool.fetch(sql("list_attempts"), order_id, limit)
        return [AttemptRow(*row) for row in rows]


def _urgency(delivery: Delivery) -> tuple[int, datetime]:
    return delivery.priority, delivery.occurred_at
