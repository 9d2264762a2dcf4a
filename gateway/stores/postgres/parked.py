"""Parked rows as people work on them: found, read, assigned, closed, opened again.

What is done is in the audit log, in the same transaction: who, to which row, and why.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from msgspec import Struct

from gateway.domain.parked import Filter, Parked, ReasonCount
from gateway.stores.postgres import audit, errors
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer, SealingError

LIMIT_MAX = 1000


class KeptRow(Struct, frozen=True):
    """A parked row with the message that told it, opened.

    ``event``: source and key of its event in the history; None: it is in no history. ``body``:
    None where nothing keeps the message any more, or it cannot be opened; ``fault`` says why then.
    ``place``: (source, key) of the row itself.
    """

    row: Parked
    place: tuple[str, str]
    event: tuple[str, str] | None
    body: bytes | None
    fault: str = ""

    def __repr__(self) -> str:
        """Return the id only: a representation may end up in logs."""
        return f"KeptRow({self.row.id})"


class ParkedRows:
    """The table of parked rows. Every call may raise ``Unavailable``."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]", sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    async def page(self, of: Filter, *, after: UUID | None, limit: int) -> list[Parked]:
        """Return rows of a filter, the oldest first, those that follow the row ``after``.

        Rows that are closed meanwhile shift no page.
        """
        with errors.translated():
            rows = await self._pool.fetch(sql("list_parked"), *_columns(of), after, limit)
        return [Parked(**row) for row in rows]

    async def counts(self, of: Filter) -> list[ReasonCount]:
        """Return how many rows a filter has, by reason, the most first."""
        with errors.translated():
            rows = await self._pool.fetch(sql("count_parked_of"), *_columns(of))
        return [ReasonCount(*row) for row in rows]

    async def read(self, id_: UUID) -> KeptRow | None:
        """Return a row with its message, or None where there is no such row."""
        with errors.translated():
            found = await self._pool.fetchrow(sql("read_parked"), id_)
        if found is None:
            return None
        row = Parked(**{name: found[name] for name in Parked.__struct_fields__})
        event = None
        if found["event_source"] is not None:
            event = found["event_source"], found["event_key"]
        body, fault = self._opened(found)
        return KeptRow(row, (found["parked_source"], found["parked_key"]), event, body, fault)

    def _opened(self, found: asyncpg.Record) -> tuple[bytes | None, str]:
        try:
            if found["parked_body"] is not None:
                return self._sealer.open("parked.body", found["id"].bytes, found["parked_body"]), ""
            if found["message"] is not None:
                return self._sealer.open(
                    "raw_messages.body", found["message_id"].bytes, found["message"]
                ), ""
        except SealingError as exc:
            return None, f"the message cannot be opened: {exc}"
        return None, "the message is not kept any more (see raw_months)"

    async def resolve(self, ids: Sequence[UUID], *, actor: str, reason: str) -> list[UUID]:
        """Close rows; return those that were open."""
        return await self._change("resolve_parked", ids, actor, reason, with_actor=True)

    async def reopen(self, ids: Sequence[UUID], *, actor: str, reason: str) -> list[UUID]:
        """Open rows again that a person closed; return them."""
        return await self._change("reopen_parked", ids, actor, reason)

    async def assign(self, ids: Sequence[UUID], *, actor: str, assignee: str) -> list[UUID]:
        """Give rows to a person, or with ``""`` to nobody; return those that were not theirs."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(sql("assign_parked"), ids, assignee or None)
                await _record(connection, rows, actor, "assign_parked", assignee or "nobody")
        return [id_ for (id_,) in rows]

    async def finish(self, id_: UUID, *, actor: str, resolution: str) -> bool:
        """Close the row of a replayed message that has no event of its own; False: it was."""
        with errors.translated():
            done = await self._pool.fetchval(
                sql("finish_replayed_row"), id_, actor, f"replayed: {resolution}"
            )
        return done is not None

    async def record(self, *, actor: str, action: str, subject: str, detail: str) -> None:
        """Write a row of the audit log: somebody read a message, or began a replay."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await audit.append(connection, actor, action, subject, detail)

    async def _change(
        self,
        statement: str,
        ids: Sequence[UUID],
        actor: str,
        reason: str,
        *,
        with_actor: bool = False,
    ) -> list[UUID]:
        arguments: list[object] = [ids, actor, reason] if with_actor else [ids]
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(sql(statement), *arguments)
                await _record(connection, rows, actor, statement, reason)
        return [id_ for (id_,) in rows]


async def _record(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    rows: Sequence[asyncpg.Record],
    actor: str,
    action: str,
    detail: str,
) -> None:
    entries = [audit.Entry(actor, action, str(id_), detail) for (id_,) in rows]
    await audit.append_all(connection, entries)


def _columns(of: Filter) -> list[object]:
    """Return the parameters $1 to $9 of ``list_parked.sql``."""
    return [
        of.state,
        of.reason,
        of.account,
        of.order,
        _uuid(of.order or ""),
        of.assignee,
        of.before,
        of.after,
        list(of.ids) or None,
    ]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
