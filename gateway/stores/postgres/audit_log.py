"""The audit log for what changes nothing else: who looked at how much."""

import asyncio

import asyncpg

from gateway.stores.postgres import audit, errors

_CALL_S = 2.0


class AuditLog:
    """Adds rows of its own. Raises ``Unavailable`` when Postgres is away."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def append(self, actor: str, action: str, subject: str, detail: str) -> None:
        """Write a row down; it is committed afterwards."""
        with errors.translated():
            async with asyncio.timeout(_CALL_S):
                async with self._pool.acquire() as connection, connection.transaction():
                    await audit.append(connection, actor, action, subject, detail)
