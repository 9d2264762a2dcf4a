"""Upkeep of the ledger: months of raw messages, expired windows, events that wait too long."""

import re
from datetime import datetime
from uuid import UUID

import asyncpg

from gateway.stores.postgres import faults
from gateway.stores.postgres.statements import sql

#: Months made ahead of the present one.
MONTHS_AHEAD = 2
_BATCH_ROWS = 5000


class Upkeep:
    """What workers do to the ledger between events. Every call is bounded and may be repeated."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def make_months(self, now: datetime) -> None:
        """Make the partitions of this month and the next ones where they are missing."""
        first = now.year * 12 + now.month - 1
        with faults.translated():
            for month in range(first, first + MONTHS_AHEAD + 1):
                await self._pool.execute(
                    sql("make_month").format(
                        year=month // 12,
                        month=month % 12 + 1,
                        next_year=(month + 1) // 12,
                        next_month=(month + 1) % 12 + 1,
                    )
                )

    async def drop_months(self, now: datetime, keep: int) -> list[str]:
        """Drop the months of raw messages older than ``keep`` months; return their names."""
        oldest = now.year * 12 + now.month - 1 - keep
        dropped = []
        with faults.translated():
            for (name,) in await self._pool.fetch(sql("list_months")):
                match = re.fullmatch(r"raw_messages_(\d{4})_(\d{2})", name)
                if match and int(match[1]) * 12 + int(match[2]) - 1 < oldest:
                    await self._pool.execute(f"DROP TABLE {name}")
                    dropped.append(name)
        return dropped

    async def purge_windows(self) -> int:
        """Delete fingerprints and counts whose window is over; return how many rows went."""
        gone = 0
        with faults.translated():
            for name in ("purge_fingerprints", "purge_velocity"):
                while True:
                    tag = await self._pool.execute(sql(name), _BATCH_ROWS)
                    rows = int(tag.rpartition(" ")[2])
                    gone += rows
                    if rows < _BATCH_ROWS:
                        break
        return gone

    async def pairs_to_settle(self, limit: int) -> list[UUID]:
        """Return orders for which something waits that was not tried in their present state."""
        with faults.translated():
            return [id_ for (id_,) in await self._pool.fetch(sql("pairs_to_settle"), limit)]

    async def show_unknown(self, after_s: float, limit: int) -> int:
        """Park a note about events that wait longer than ``after_s``; return how many."""
        with faults.translated():
            return len(await self._pool.fetch(sql("show_unknown"), after_s, limit))
