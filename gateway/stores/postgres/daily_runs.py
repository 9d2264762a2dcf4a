"""Runs of a task, one for each business day: claimed, renewed, finished."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.stores.postgres import errors
from gateway.stores.postgres.statements import sql

#: Runs that are looked back upon: more than are ever made up for.
_RECENT = 60


class DailyRun(Struct, frozen=True):
    """A run of a business day. ``result`` None: it is not finished; ``progress``: how far it is."""

    business_day: date
    started_at: datetime
    finished_at: datetime | None
    held_until: datetime
    progress: dict[str, Any] | None
    result: dict[str, Any] | None


class DailyRuns:
    """The runs of one task, of the process ``holder``. All of it raises ``Unavailable``.

    Invariant: a business day is claimed by one process at a time, and finished once, unless a
    person wants it done again.
    """

    def __init__(
        self, *, pool: "asyncpg.Pool[asyncpg.Record]", task: str, holder: UUID, lease_s: float
    ) -> None:
        self._pool = pool
        self._task = task
        self._holder = holder
        self._lease_s = lease_s

    async def claim(self, day: date, *, again: bool = False) -> bool:
        """Claim a day; return whether it is ours. ``again``: also one that was finished."""
        return await self._is_ours("claim_daily_run", day, self._lease_s, again)

    async def renew(self, day: date, progress: dict[str, Any]) -> bool:
        """Hold on to a day, and note how far it is; return whether it is still ours."""
        text = msgspec.json.encode(progress).decode()
        return await self._is_ours("renew_daily_run", day, self._lease_s, text)

    async def finish(self, day: date, result: Any) -> bool:
        """Finish a day with its result; return whether it was still ours."""
        return await self._is_ours("finish_daily_run", day, msgspec.json.encode(result).decode())

    async def release(self, day: date) -> None:
        """Give back a day that was not finished."""
        with errors.translated():
            await self._pool.execute(sql("release_daily_run"), self._task, day, self._holder)

    async def done(self) -> set[date]:
        """Return the business days that were finished, of the last two months."""
        runs = await self.runs(limit=_RECENT)
        return {run.business_day for run in runs if run.finished_at is not None}

    async def runs(self, day: date | None = None, *, limit: int = 1) -> list[DailyRun]:
        """Return the last runs, or that of one day."""
        with errors.translated():
            rows = await self._pool.fetch(sql("read_daily_runs"), self._task, day, limit)
        return [_run(row) for row in rows]

    async def _is_ours(self, name: str, day: date, *more: object) -> bool:
        with errors.translated():
            found = await self._pool.fetchval(sql(name), self._task, day, self._holder, *more)
        return bool(found)


def _run(row: asyncpg.Record) -> DailyRun:
    fields = dict(row)
    return DailyRun(
        **{**fields, "progress": _decoded(row["progress"]), "result": _decoded(row["result"])}
    )


def _decoded(text: str | None) -> dict[str, Any] | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, Any])
