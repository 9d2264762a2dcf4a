"""The replicas: whether each follows our primary, and how closely."""

import asyncio

import asyncpg

from gateway.domain.errors import Unavailable
from gateway.runtime.settings import Settings, SettingsError
from gateway.stores.postgres import pools
from ops import connections, failures
from ops.doctor import postgres
from ops.doctor.findings import Finding, fail, ok, warn

_POLL_S = 0.01
_FLUSHED = "SELECT pg_current_wal_flush_lsn()::text"
_HAS_REPLAYED = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
_BEHIND_BYTES = "SELECT pg_wal_lsn_diff($1::text::pg_lsn, pg_last_wal_replay_lsn())::bigint"


async def replicas(
    primary: "asyncpg.Connection[asyncpg.Record]", settings: Settings
) -> list[Finding]:
    """Check every replica. Reads go to the primary where a replica cannot serve them."""
    urls = pools.replica_urls(settings)
    if not urls:
        return [ok("replicas", "none configured: reads go to the primary")]
    return [
        await _replica(f"replica {number}", url, primary, settings)
        for number, url in enumerate(urls, 1)
    ]


async def _replica(
    check: str, url: str, primary: "asyncpg.Connection[asyncpg.Record]", settings: Settings
) -> Finding:
    try:
        replica = await connections.connect(url, setting="replica_urls")
    except SettingsError as exc:
        return fail(check, str(exc), "correct it")
    except Unavailable as exc:
        detail = "cannot be reached"
        if exc.__cause__ is not None:
            detail += f": {failures.reason(exc.__cause__)}"
        return warn(check, detail, "start it or take it out of replica_urls; the primary reads now")
    try:
        return await _look(check, replica, primary, settings)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        return warn(check, f"broke off: {failures.reason(exc)}", "check its log, and try again")
    finally:
        await replica.close(timeout=1)


async def _look(
    check: str,
    replica: "asyncpg.Connection[asyncpg.Record]",
    primary: "asyncpg.Connection[asyncpg.Record]",
    settings: Settings,
) -> Finding:
    if not await replica.fetchval("SELECT pg_is_in_recovery()"):
        return fail(
            check,
            "is not a replica: it takes writes of its own",
            "take it out of replica_urls: it would answer with something else than was written",
        )
    ours = await postgres.system_identifier(primary)
    theirs = await postgres.system_identifier(replica)
    if ours != theirs:
        return fail(
            check,
            "follows another primary (its system identifier differs)",
            "give a replica of database_url, or take it out of replica_urls",
        )
    # Without writes the age of its last transaction says nothing about lag: let it catch up.
    flushed = await primary.fetchval(_FLUSHED)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while not await replica.fetchval(_HAS_REPLAYED, flushed):
        if loop.time() - began_s > settings.replica_lag_max_s:
            behind = await replica.fetchval(_BEHIND_BYTES, flushed)
            return warn(
                check,
                f"more than {settings.replica_lag_max_s:g} s ({behind:,} bytes of log) behind",
                "reads go to the primary until it catches up: check its log and its disk",
            )
        await asyncio.sleep(_POLL_S)
    lag_ms = (loop.time() - began_s) * 1000
    return ok(check, f"follows this primary; caught up within {lag_ms:.0f} ms")
