"""Connections to the primary and its replicas."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from gateway.runtime.settings import Settings, SettingsError
from gateway.stores.postgres import errors
from gateway.stores.postgres.read_limiter import Connection

#: Seconds for the first connections of a pool.
_OPEN_S = 10.0
#: Session settings of every connection. No JIT: it costs more than a short statement takes.
_SESSION = {"application_name": "tidegate", "timezone": "UTC", "jit": "off"}
#: Seconds to connect.
_CONNECT_S = 3.0

#: Connections of a dispatcher, and seconds of one of its statements.
_HAND_OFF_SIZE = 4
_HAND_OFF_S = 5.0
#: What a process has beside its pools for the hand-off: a worker's dispatcher, one to listen, one
#: to signal. A gateway has only the last.
HAND_OFF_CONNECTIONS = _HAND_OFF_SIZE + 2

#: Called with each new connection before its first use; what it raises, the caller gets.
OnConnect = Callable[[Connection], Awaitable[None]]


def writers(settings: Settings) -> int:
    """Return how many connections the two lanes can use, one to park with, one for remarks."""
    return 2 * settings.batches_in_flight + 2


async def open_writers(
    settings: Settings, *, is_lazy: bool, on_connect: OnConnect
) -> "asyncpg.Pool[asyncpg.Record]":
    """Connect to the primary to write. Raises ``Unavailable`` when it does not answer.

    A lazy pool connects when it is first used, so the primary may be unavailable now.
    ``on_connect`` is for who seals or opens: ``key_ring.RingCheck``; for others ``unchecked``.

    Reads have a pool of their own: a flood of them must not keep a commit waiting.
    """
    # A statement that the gateway no longer waits for must not go on holding row locks.
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
    return await _open(
        settings.database_url,
        writers(settings),
        session,
        answer_s=settings.commit_s,
        is_lazy=is_lazy,
        on_connect=on_connect,
    )


async def unchecked(_: Connection) -> None:
    """Take a connection as it is: for who neither seals nor opens."""


async def connect_once(settings: Settings) -> Connection:
    """Return one connection to the primary, outside of any pool; the caller terminates it.

    Raises the driver's errors.
    """
    return await asyncpg.connect(
        settings.database_url, timeout=_CONNECT_S, server_settings=_SESSION
    )


async def connect_to_signal(settings: Settings) -> Connection:
    """Return the same for what need not be on disk: to notify, and to listen."""
    return await asyncpg.connect(
        settings.database_url,
        timeout=_CONNECT_S,
        server_settings={**_SESSION, "synchronous_commit": "off"},
    )


async def open_hand_off(settings: Settings) -> "asyncpg.Pool[asyncpg.Record]":
    """Return the pool of a dispatcher. It connects when first used.

    What a crash of the server loses of its commits is done again: nothing waits for the disk.
    """
    session = {
        **_SESSION,
        "statement_timeout": str(int(_HAND_OFF_S * 1000)),
        "synchronous_commit": "off",
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
    }
    return await _open(
        settings.database_url, _HAND_OFF_SIZE, session, answer_s=_HAND_OFF_S, is_lazy=True
    )


async def open_readers(settings: Settings) -> "asyncpg.Pool[asyncpg.Record]":
    """Return the pool for reads that the primary must answer. It connects when first used."""
    size = settings.database_pool_max - writers(settings)
    session = {**_SESSION, "statement_timeout": str(int(settings.query_s * 1000))}
    return await _open(
        settings.database_url, size, session, answer_s=settings.query_s, is_lazy=True
    )


async def open_replica(url: str, settings: Settings) -> "asyncpg.Pool[asyncpg.Record]":
    """Return the pool of one replica. It connects when first used: it may be unavailable now."""
    session = {**_SESSION, "statement_timeout": str(int(settings.query_s * 1000))}
    return await _open(
        url,
        settings.replica_pool_max,
        session,
        answer_s=settings.query_s,
        setting="replica_urls",
        is_lazy=True,
    )


async def _open(
    url: str,
    size: int,
    session: dict[str, str],
    *,
    answer_s: float,
    setting: str = "database_url",
    is_lazy: bool = False,
    on_connect: OnConnect = unchecked,
) -> "asyncpg.Pool[asyncpg.Record]":
    pool = asyncpg.create_pool(
        url,
        min_size=0 if is_lazy else min(2, size),
        max_size=size,
        server_settings=session,
        timeout=_CONNECT_S,
        # A server that went silent does not even answer a cancellation: without this bound of the
        # driver's, a caller that cancels a statement would wait for that answer for good.
        command_timeout=answer_s,
        # Statements are prepared once per connection; idle connections stay for the next rush.
        max_inactive_connection_lifetime=0,
        statement_cache_size=200,
        reset=_leave_as_is,
        init=on_connect,
    )
    with errors.translated():
        try:
            return await asyncio.wait_for(pool, _OPEN_S)
        except ValueError as exc:  # asyncpg's ClientConfigurationError is one too
            raise not_a_url(setting) from exc


def not_a_url(setting: str) -> SettingsError:
    """Return the error for a URL that the driver does not understand.

    The driver's own message may quote what it took for a port, which may be a password's end.
    """
    return SettingsError(
        f"{setting} is not understood: it is written postgresql://user:password@host:port/db, "
        "with / # ? @ : % in a password percent-encoded as %2F %23 %3F %40 %3A %25"
    )


async def _leave_as_is(_: object) -> None:
    # The default reset is a round trip per batch to undo session state that is never set here.
    # A transaction left open is rolled back by asyncpg before this is called.
    return None


def replica_urls(settings: Settings) -> list[str]:
    """Return the configured replicas, in order."""
    return [url.strip() for url in settings.replica_urls.split(",") if url.strip()]
