"""Maintenance of the ledger: monthly partitions, expired rows, events that wait too long."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import asyncpg
from msgspec import Struct

from gateway.domain.following import Parked
from gateway.stores.postgres import errors
from gateway.stores.postgres.statements import sql

#: The tables with a partition for each month, and the column that says of which one a row is.
MonthlyTable = Literal["raw_messages", "order_changes", "delivery_attempts"]
MONTHLY: Mapping[MonthlyTable, str] = {
    "raw_messages": "received_at",
    "order_changes": "relayed_at",
    "delivery_attempts": "started_at",
}
#: Partitions created ahead of the present month.
MONTHS_AHEAD = 2
_BATCH_ROWS = 5000
#: Reasons and providers come from closed lists; a metric by them has a bound all the same.
_GROUPS_MAX = 200


class ParkedCount(Struct, frozen=True):
    """The rows that wait for a person for one reason, of one provider (empty: of none).

    ``oldest_s``: the age of the oldest.
    """

    reason: str
    provider: str
    rows: int
    oldest_s: float


class WaitingCount(Struct, frozen=True):
    """The events of a provider that wait for their order; ``oldest_s``: the age of the oldest."""

    provider: str
    rows: int
    oldest_s: float


class DueOrder(Struct, frozen=True):
    """An order that was to be paid by now.

    ``is_unpaid``: nothing of it is, and nothing will be on delivery. ``has_waiting``: an event
    waits for it.
    """

    id: UUID
    channel: str
    order_no: str
    is_test: bool
    is_unpaid: bool
    has_waiting: bool


class Maintenance:
    """Bounded, repeatable steps that workers run beside the commits. All raise ``Unavailable``."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def create_months(self, now: datetime) -> None:
        """Create the partitions of this month and the next ``MONTHS_AHEAD`` that are missing.

        A month that began without its partition stays without: its rows are in the default
        partition, and ``drop_months`` deletes them there when they have expired.
        """
        this = _month(now)
        with errors.translated():
            for table, column in MONTHLY.items():
                rows = await self._pool.fetch(sql("list_month_partitions"), table)
                made = {name for (name,) in rows}
                for month in range(this, this + MONTHS_AHEAD + 1):
                    if f"{table}_{_first_day(month):%Y_%m}" not in made:
                        await self._create_month(table, column, month)

    async def _create_month(self, table: str, column: str, month: int) -> None:
        first, after = _first_day(month), _first_day(month + 1)
        has_rows = sql("has_unpartitioned_rows").format(table=table, column=column)
        if await self._pool.fetchval(has_rows, first, after):
            return
        await self._pool.execute(
            sql("create_month_partition").format(
                table=table,
                year=first.year,
                month=first.month,
                next_year=after.year,
                next_month=after.month,
            )
        )

    async def drop_months(
        self, now: datetime, keep: int, table: MonthlyTable = "raw_messages"
    ) -> list[str]:
        """Drop partitions of a table older than ``keep`` months; return their names."""
        oldest = _month(now) - keep
        dropped = []
        with errors.translated():
            for (name,) in await self._pool.fetch(sql("list_month_partitions"), table):
                match = re.fullmatch(rf"{table}_(\d{{4}})_(\d{{2}})", name)
                if match and int(match[1]) * 12 + int(match[2]) - 1 < oldest:
                    await self._pool.execute(f"DROP TABLE {name}")
                    dropped.append(name)
            delete = sql("delete_unpartitioned_rows").format(table=table, column=MONTHLY[table])
            await self._in_batches(delete, _first_day(oldest))
        return dropped

    async def delete_expired_windows(self) -> int:
        """Delete fingerprints and counts whose window has ended; return the row count."""
        deleted = 0
        with errors.translated():
            for what in ("fingerprints", "velocity", "purchases"):
                deleted += await self._in_batches(sql(f"delete_expired_{what}"))
        return deleted

    async def delete_rejected_callbacks(self, before: datetime, rows_max: int) -> int:
        """Delete rejected callbacks from before a time, then the oldest beyond ``rows_max``."""
        with errors.translated():
            return await self._in_batches(
                sql("delete_rejected_callbacks_before"), before
            ) + await self._in_batches(sql("delete_oldest_rejected_callbacks"), rows_max)

    async def _in_batches(self, statement: str, *arguments: object) -> int:
        """Repeat a deletion until it no longer finds a full batch; return the row count."""
        gone = 0
        while True:
            tag = await self._pool.execute(statement, *arguments, _BATCH_ROWS)
            rows = int(tag.rpartition(" ")[2])
            gone += rows
            if rows < _BATCH_ROWS:
                return gone

    async def orders_to_settle(self, limit: int) -> list[UUID]:
        """Return ids of orders that a waiting event was not yet tried on in their present state."""
        with errors.translated():
            return [id_ for (id_,) in await self._pool.fetch(sql("find_orders_to_settle"), limit)]

    async def due_orders(self, limit: int) -> list[DueOrder]:
        """Return orders that were to be paid by now, those that are due longest first."""
        with errors.translated():
            return [DueOrder(*row) for row in await self._pool.fetch(sql("find_due_orders"), limit)]

    async def forget_due(self, orders: Sequence[UUID]) -> None:
        """Do not look at these orders again: what had to be done about them is done."""
        with errors.translated():
            await self._pool.execute(sql("delete_due_orders"), orders)

    async def postpone_due(self, orders: Sequence[UUID], by_s: int) -> None:
        """Look at these orders again in so many seconds."""
        with errors.translated():
            await self._pool.execute(sql("postpone_due_orders"), orders, by_s)

    async def parked(self, providers: Sequence[str]) -> list[ParkedCount]:
        """Return what waits for a person, by reason and by which of these providers told of it."""
        with errors.translated():
            rows = await self._pool.fetch(sql("count_parked"), _GROUPS_MAX, providers)
        return [ParkedCount(*row) for row in rows]

    async def waiting(self) -> list[WaitingCount]:
        """Return how many events wait for their order, by provider."""
        with errors.translated():
            rows = await self._pool.fetch(sql("count_waiting"), _GROUPS_MAX)
        return [WaitingCount(*row) for row in rows]

    async def park_overdue_events(self, after_s: float, limit: int) -> list[Parked]:
        """Park a note about each event that waits longer than ``after_s``; return what it is."""
        with errors.translated():
            rows = await self._pool.fetch(sql("park_overdue_events"), after_s, limit)
        return [Parked(*row) for row in rows]


def _month(at: datetime) -> int:
    """Return the month as a number, so that months can be added and compared."""
    return at.year * 12 + at.month - 1


def _first_day(month: int) -> datetime:
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
