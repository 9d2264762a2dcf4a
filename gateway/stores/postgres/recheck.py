"""The re-check: what it reads some seconds after a payment or an order, and what it mends."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from msgspec import Struct

from gateway.domain.missed import STOPPING
from gateway.stores.postgres import errors
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.statements import sql

_CURSOR = "recheck"


class Awaited(Struct, frozen=True):
    """An event that waits, and an order that it may be for; None: no order has its numbers."""

    event_id: UUID
    order_id: UUID | None


class Change(Struct, frozen=True):
    """A row of the change feed."""

    position: int
    order_id: UUID
    topic: str


class Followed:
    """The change feed behind a cursor that this process has locked."""

    def __init__(self, connection: Connection, position: int) -> None:
        self._connection = connection
        self._position = position

    async def changes(self, after_s: float, limit: int) -> list[Change]:
        """Return the next changes that were relayed more than ``after_s`` ago."""
        rows = await self._connection.fetch(
            sql("read_changes_to_recheck"), self._position, after_s, limit
        )
        return [Change(*row) for row in rows]

    async def move(self, position: int) -> None:
        """Go on behind ``position`` next time."""
        await self._connection.execute(sql("move_cursor"), _CURSOR, position)


class RecheckStore:
    """Reads and mends on the primary. All of it raises ``Unavailable``."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]", new_id: Callable[[], UUID]) -> None:
        self._pool = pool
        self._new_id = new_id

    async def awaited(self, after_s: float, limit: int) -> list[Awaited]:
        """Return events that have waited for ``after_s`` and were not re-checked."""
        with errors.translated():
            rows = await self._pool.fetch(sql("find_orders_to_recheck"), after_s, limit)
        return [Awaited(*row) for row in rows]

    async def mark(self, events: Sequence[UUID]) -> None:
        """Do not re-check these events again."""
        with errors.translated():
            await self._pool.execute(sql("mark_rechecked"), events)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[Followed | None]:
        """Give the change feed behind the cursor; None while another process follows it.

        The cursor moves with the end of the block, or not at all: what was not done to the end is
        done again.
        """
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(sql("begin_cursor"), _CURSOR)
                position = await connection.fetchval(sql("lock_cursor"), _CURSOR)
                yield None if position is None else Followed(connection, position)

    async def restage_paid(self, orders: Sequence[UUID]) -> list[UUID]:
        """Stage ``order.paid`` of orders that were never told as paid; return those that were not.

        Decided under their locks: to repeat it changes nothing.
        """
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.fetch(sql("lock_orders_by_id"), orders)
                rows = await connection.fetch(
                    sql("restage_paid"), orders, [self._new_id() for _ in orders], list(STOPPING)
                )
        return [order_id for (order_id,) in rows]
