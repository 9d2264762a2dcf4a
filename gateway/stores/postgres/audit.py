"""The audit log: append-only, each row chained to the one before by its hash."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

import asyncpg
from msgspec import Struct

from gateway.stores.postgres import errors
from gateway.stores.postgres.statements import sql

#: Seconds that a row of its own may take, the wait for a connection included.
_CALL_S = 2.0
#: The actor of what happened by itself.
BY_ITSELF = "tidegate"


class Entry(Struct, frozen=True):
    """A row to be written: who did what to what, and further text."""

    actor: str
    action: str
    subject: str
    detail: str


async def append(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    actor: str,
    action: str,
    subject: str,
    detail: str,
) -> None:
    """Add one row in the caller's transaction. As ``append_all``."""
    await append_all(connection, [Entry(actor, action, subject, detail)])


async def append_all(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", entries: Sequence[Entry]
) -> None:
    """Add rows in the caller's transaction. Writers take turns, so that the chain has no fork.

    The lock is held until the transaction ends: acquire any other lock before.
    """
    if not entries:
        return
    await connection.execute(sql("lock_audit_log"))
    last = await connection.fetchrow(sql("last_audit_row"))
    number, previous = (last["id"], bytes(last["hash"])) if last else (0, bytes(32))
    at = datetime.now(UTC)
    rows = []
    for each in entries:
        number += 1
        link = chained(previous, number, at, each.actor, each.action, each.subject, each.detail)
        rows.append(
            (number, at, each.actor, each.action, each.subject, each.detail, previous, link)
        )
        previous = link
    await connection.executemany(sql("append_audit_row"), rows)


def chained(
    previous: bytes, number: int, at: datetime, actor: str, action: str, subject: str, detail: str
) -> bytes:
    """Return the hash that row ``number`` must carry after ``previous``."""
    parts = (str(number), at.isoformat(), actor, action, subject, detail)
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return sha256(previous + text.encode()).digest()


async def first_break(connection: "asyncpg.Connection[asyncpg.Record]") -> int | None:
    """Return the number of the first row that does not follow from the one before, or None."""
    previous, expected = bytes(32), 1
    async with connection.transaction():
        async for row in connection.cursor(sql("audit_rows")):
            link = chained(
                previous, row["id"], row["at"], row["actor"], row["action"], row["subject"],
                row["detail"],
            )  # fmt: skip
            if row["id"] != expected or bytes(row["hash"]) != link:
                return expected
            previous, expected = link, expected + 1
    return None


class AuditLog:
    """Adds rows that go with no other change. Raises ``Unavailable`` where Postgres is."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def append(self, actor: str, action: str, subject: str, detail: str) -> None:
        """Write a row; it is committed afterwards."""
        with errors.translated():
            async with asyncio.timeout(_CALL_S):
                async with self._pool.acquire() as connection, connection.transaction():
                    await append(connection, actor, action, subject, detail)
