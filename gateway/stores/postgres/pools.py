"""Connections to the primary and its replicas."""

import asyncio

import asyncpg

from gateway.runtime.settings import Settings
from gateway.stores.postgres import faults

#: Session settings of every connection. No JIT: it costs more than a short statement takes.
_SESSION = {"application_name": "tidegate", "timezone": "UTC", "jit": "off"}


def writers(settings: Settings) -> int:
    """Return how many connections the two lanes can use at once, and one to park with."""
    return 2 * settings.batches_in_flight + 1


async def open_writers(settings: Settings) -> "asyncpg.Pool[asyncpg.Record]":
    """Connect to the primary to write. Raises ``Unavailable`` when it does not answer.

    Reads have a pool of their own: a flood of them must not keep a commit waiting.
    """
    # A statement that outlives the gateway's patience must not go on holding row locks.
    statement_ms = int(settings.commit_s * 1000)
    session = {
        **_SESSION,
        "statement_timeout": str(statement_ms),
        "lock_timeout": str(statement_ms),
        # Each statement of the write path has one good plan, by index. A plan made while the
        # tables were empty would read them whole until the next ANALYZE.
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
    }
    return await _open(settings.database_url, writers(settings), session)


async def open_readers(settings: Settings) -> "asyncpg.Pool[asyncpg.Record]":
    """Make the pool for reads that the primary must answer. It connects when first used."""
    size = settings.database_pool_max - writers(settings)
    session = {**_SESSION, "statement_timeout": str(int(settings.query_s * 1000))}
    return await _open(settings.database_url, size, session, is_lazy=True)


async def open_replica(url: str, settings: Settings) -> "asyncpg.Pool[asyncpg.Record]":
    """Make the pool of one replica. It connects when first used, so it may be away now."""
    session = {**_SESSION, "statement_timeout": str(int(settings.query_s * 1000))}
    return await _open(url, settings.replica_pool_max, session, is_lazy=True)


async def _open(
    url: str, size: int, session: dict[str, str], *, is_lazy: bool = False
) -> "asyncpg.Pool[asyncpg.Record]":
    pool = asyncpg.create_pool(
        url,
        min_size=0 if is_lazy else min(2, size),
        max_size=size,
        server_settings=session,
        timeout=3,
        # Statements are prepared once per connection; idle connections stay for the next rush.
        max_inactive_connection_lifetime=0,
        statement_cache_size=200,
        reset=_leave_as_is,
    )
    with faults.translated():
        return await asyncio.wait_for(pool, 10)


async def _leave_as_is(_: object) -> None:
    # The default reset is a round trip per batch to undo session state that we never set.
    # A transaction left open is rolled back by asyncpg before this is called.
    return None


def replica_urls(settings: Settings) -> list[str]:
    """Return the configured replicas, in order."""
    return [url.strip() for url in settings.replica_urls.split(",") if url.strip()]
