"""The primary: what it must be for a 2xx to be a promise."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from gateway.runtime.settings import Settings
from gateway.stores.postgres import audit, pools
from ops.doctor.findings import Finding, fail, ok, warn
from ops.migrations import version

_VERSION_MIN = 150_000
_CLOCK_WARN_S = 1.0
_CLOCK_FAIL_S = 60.0
_AUDIT_S = 20.0
_PROCESSES_COMFORTABLE = 4


async def server(connection: "asyncpg.Connection[asyncpg.Record]") -> list[Finding]:
    """Check version, role, encoding and durability."""
    row = await connection.fetchrow(
        """
        SELECT current_setting('server_version_num')::int AS number,
               current_setting('server_version') AS version,
               current_setting('server_encoding') AS encoding,
               current_setting('synchronous_commit') AS synchronous_commit,
               current_setting('fsync') AS fsync,
               current_setting('full_page_writes') AS full_page_writes,
               current_setting('transaction_read_only') AS read_only,
               pg_is_in_recovery() AS is_standby
        """
    )
    assert row is not None, "one row is selected"
    return [
        _is_new_enough(row["number"], row["version"]),
        _is_writable(row["is_standby"], row["read_only"] == "on"),
        _is_utf8(row["encoding"]),
        _is_durable(row["synchronous_commit"], row["fsync"], row["full_page_writes"]),
    ]


def _is_new_enough(number: int, named: str) -> Finding:
    if number < _VERSION_MIN:
        return fail("postgres version", named, "use PostgreSQL 15 or newer")
    return ok("postgres version", named)


def _is_writable(is_standby: bool, is_read_only: bool) -> Finding:
    if is_standby:
        return fail(
            "postgres role",
            "database_url leads to a standby, which cannot write",
            "give the primary's address, or several hosts and target_session_attrs=primary",
        )
    if is_read_only:
        advice = "ALTER ROLE or ALTER DATABASE ... RESET default_transaction_read_only"
        return fail("postgres role", "transactions are read-only for this user", advice)
    return ok("postgres role", "a primary that takes writes")


def _is_utf8(encoding: str) -> Finding:
    if encoding != "UTF8":
        advice = "make the database anew with ENCODING 'UTF8' TEMPLATE template0"
        return fail("postgres encoding", encoding, advice)
    return ok("postgres encoding", encoding)


def _is_durable(synchronous_commit: str, fsync: str, full_page_writes: str) -> Finding:
    detail = f"fsync {fsync}, synchronous_commit {synchronous_commit}"
    if fsync == "off" or full_page_writes == "off":
        return fail(
            "durability",
            f"{detail}, full_page_writes {full_page_writes}: a crash can lose acknowledged data",
            "turn fsync and full_page_writes on in postgresql.conf",
        )
    if synchronous_commit == "off":
        return fail(
            "durability",
            f"{detail}: a crash loses the last commits that were acknowledged",
            "set synchronous_commit to on, or to local, for this role and database",
        )
    return ok("durability", detail)


async def room(connection: "asyncpg.Connection[asyncpg.Record]", settings: Settings) -> Finding:
    """Compare the connections that the server allows with those that processes want."""
    allowed: int = await connection.fetchval(
        """
        SELECT current_setting('max_connections')::int
             - current_setting('superuser_reserved_connections')::int
             - coalesce(current_setting('reserved_connections', true)::int, 0)
        """
    )
    wanted = settings.database_pool_max + pools.HAND_OFF_CONNECTIONS
    fitting = allowed // wanted
    detail = f"{allowed} connections allowed: room for {fitting} processes of {wanted}"
    advice = "raise max_connections, or lower database_pool_max"
    # One gateway and one worker are the least there is.
    if fitting < 2:
        return fail("connections", detail, advice)
    if fitting < _PROCESSES_COMFORTABLE:
        return warn("connections", detail, advice)
    return ok("connections", detail)


async def clock(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
    """Compare the server's clock with ours, allowing for the time that asking takes."""
    before = datetime.now(UTC)
    theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    return clock_finding(theirs - (before + (after - before) / 2))


def clock_finding(ahead: timedelta) -> Finding:
    """Judge how far the server's clock is ahead of ours."""
    off_s = ahead.total_seconds()
    detail = f"Postgres is {abs(off_s):.3f} s {'ahead of' if off_s > 0 else 'behind'} this machine"
    advice = "let both machines keep time with NTP: signatures are only fresh by the clock"
    if abs(off_s) >= _CLOCK_FAIL_S:
        return fail("clock", detail, advice)
    if abs(off_s) >= _CLOCK_WARN_S:
        return warn("clock", detail, advice)
    return ok("clock", detail)


async def schema(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
    """Compare the schema with the one that this version needs."""
    found = await version.current(connection)
    detail, _, advice = version.complaint(found).partition(": ")
    return fail("schema", detail, advice) if detail else ok("schema", f"at {found}")


async def contents(
    connection: "asyncpg.Connection[asyncpg.Record]", now: datetime
) -> list[Finding]:
    """Check the ledger's contents: API keys, this month's partition, an unbroken audit log."""
    return [await _api_keys(connection), await _month(connection, now), await _audit(connection)]


async def _api_keys(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
    live = await connection.fetchval("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL")
    if not live:
        advice = "tidegate keys create --name storefront --role ingest"
        return warn("api keys", "none: orders can neither be submitted nor read", advice)
    return ok("api keys", f"{live} live")


async def _month(connection: "asyncpg.Connection[asyncpg.Record]", now: datetime) -> Finding:
    name = f"raw_messages_{now.year:04d}_{now.month:02d}"
    if await connection.fetchval("SELECT to_regclass($1)", name) is None:
        return warn(
            "raw messages",
            f"{name} is missing: this month's messages are outside of retention",
            "run `tidegate migrate`, and keep a worker running, which makes months ahead",
        )
    return ok("raw messages", f"{name} is there")


async def _audit(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
    try:
        async with asyncio.timeout(_AUDIT_S):
            broken = await audit.first_break(connection)
    except TimeoutError:
        advice = "nothing is known to be wrong; run `tidegate doctor` near the database"
        return warn("audit log", f"too long to verify in {_AUDIT_S:.0f} s", advice)
    if broken is not None:
        return fail(
            "audit log",
            f"the chain breaks at row {broken}: a row was changed, removed or put in",
            "keep the table as it is, and compare it with a backup from before",
        )
    return ok("audit log", "its chain is unbroken")


async def system_identifier(connection: "asyncpg.Connection[asyncpg.Record]") -> int | None:
    """Return what a primary and its standbys share; None where this user may not ask."""
    try:
        found: int = await connection.fetchval("SELECT system_identifier FROM pg_control_system()")
    except asyncpg.InsufficientPrivilegeError:
        return None
    return found
