"""The audit log: append-only, each row chained to the one before by its hash."""

from datetime import UTC, datetime
from hashlib import sha256

import asyncpg

from gateway.stores.postgres.statements import sql


async def append(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    actor: str,
    action: str,
    subject: str,
    detail: str,
) -> None:
    """Add a row in the caller's transaction. Writers take turns, so that the chain has no fork."""
    await connection.execute(sql("lock_audit_log"))
    last = await connection.fetchrow(sql("last_audit_row"))
    number, previous = (last["id"], bytes(last["hash"])) if last else (0, bytes(32))
    at = datetime.now(UTC)
    link = chained(previous, number + 1, at, actor, action, subject, detail)
    await connection.execute(
        sql("append_audit_row"), number + 1, at, actor, action, subject, detail, previous, link
    )


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
