"""Deliveries as people work on them: found, replayed, their targets enabled and disabled.

What is done is in the audit log, in the same transaction. The dispatcher's own calls are in
``deliveries.py``.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from gateway.domain.dead_letters import (
    Filter,
    ListedDelivery,
    Place,
    ReplayedDeliveries,
    TargetState,
)
from gateway.stores.postgres import audit, errors
from gateway.stores.postgres.deliveries import AttemptRow, Deliveries
from gateway.stores.postgres.statements import sql

LIMIT_MAX = 1000
#: Seconds since a worker had a target in its settings, before it may be forgotten: a running one
#: says so every 20.
_UNKNOWN_S = 60.0
_DELETED_AT_ONCE = 5000


class DeliveryDesk:
    """Reads and replays deliveries. Every call may raise ``Unavailable``.

    ``channels``: those that orders are found in by their number.
    """

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]", channels: Sequence[str]) -> None:
        self._pool = pool
        self._channels = list(channels)
        self._deliveries = Deliveries(pool=pool)

    async def page(self, of: Filter, *, after: Place | None, limit: int) -> list[ListedDelivery]:
        """Return deliveries of a filter, the oldest first, those behind ``after``."""
        place = (after.occurred_at, after.target, after.event_id) if after else (None, None, None)
        with errors.translated():
            rows = await self._pool.fetch(sql("list_deliveries"), *_columns(of), *place, limit)
        return [ListedDelivery(*row) for row in rows]

    async def counts(self, of: Filter) -> dict[str, int]:
        """Return how many deliveries a filter has, by target."""
        with errors.translated():
            rows = await self._pool.fetch(sql("count_deliveries_of"), *_columns(of))
        return {str(target): int(count) for target, count in rows}

    async def replay(self, of: Filter, *, actor: str, limit: int) -> ReplayedDeliveries:
        """Make dead letters of a filter due again, the oldest first, so many at most."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(sql("replay_deliveries_of"), *_columns(of), limit)
                done = ReplayedDeliveries(dict(map(tuple, rows)), False)
                if done.targets:
                    detail = f"{done.deliveries} dead letters"
                    await audit.append(connection, actor, "replay_deliveries", of.words(), detail)
        return done

    async def preview(self, of: Filter) -> ReplayedDeliveries:
        """Return what ``replay`` would do without a limit; nothing is written."""
        return ReplayedDeliveries(await self.counts(of), True)

    async def attempts(self, orders: Sequence[UUID], *, limit: int) -> list[AttemptRow]:
        """Return the attempts of these orders' deliveries, the latest first."""
        found: list[AttemptRow] = []
        for order_id in orders:
            found += await self._deliveries.list_attempts(order_id, limit)
        found.sort(key=lambda row: row.started_at, reverse=True)
        return found[:limit]

    async def orders(self, named: str) -> list[UUID]:
        """Return the ids of the orders with this number, alias or id."""
        with errors.translated():
            rows = await self._pool.fetch(
                sql("find_order_ids"), named, self._channels, _uuid(named)
            )
        return [id_ for (id_,) in rows]

    async def targets(self) -> list[TargetState]:
        """Return every target that was ever seen, with what waits for it."""
        with errors.translated():
            return [TargetState(*row) for row in await self._pool.fetch(sql("list_targets"))]

    async def disable(self, target: str, *, actor: str, reason: str) -> bool:
        """Hand nothing on to a target until it is enabled; False: it was disabled before."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                is_new = bool(await connection.fetchval(sql("disable_target"), target, reason))
                if is_new:
                    await audit.append(connection, actor, "disable_target", target, reason)
        return is_new

    async def enable(self, target: str, *, actor: str, reason: str) -> bool:
        """Make all that waits for a target due; False: it was enabled before."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                is_new = bool(await connection.fetchval(sql("enable_target"), target))
                if is_new:
                    await audit.append(connection, actor, "enable_target", target, reason)
        return is_new

    async def forget(self, target: str, *, actor: str, reason: str) -> int | None:
        """Forget a target that no worker has in its settings; return how many deliveries with it.

        None: it is not known, or a worker has it. What was cut off is finished by a repeat.
        """
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                is_new = await connection.fetchval(sql("forget_target"), target, _UNKNOWN_S)
                if is_new:
                    await audit.append(connection, actor, "forget_target", target, reason)
            total = 0
            while True:
                tag = await self._pool.execute(
                    sql("delete_deliveries_of"), target, _DELETED_AT_ONCE
                )
                deleted = int(tag.rpartition(" ")[2])
                total += deleted
                if deleted < _DELETED_AT_ONCE:
                    return total if is_new or total else None


def _columns(of: Filter) -> list[object]:
    """Return the parameters $1 to $8 of ``list_deliveries.sql``."""
    return [
        of.state,
        of.target,
        of.topic,
        of.reason,
        None if of.orders is None else list(of.orders),
        None if of.events is None else list(of.events),
        of.before,
        of.after,
    ]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
