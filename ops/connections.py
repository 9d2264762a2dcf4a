"""Connections to Postgres for commands, which explain themselves when there is none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

from gateway.domain.errors import Unavailable
from gateway.runtime.settings import Settings
from gateway.stores.postgres import pools
from gateway.stores.postgres.errors import translated

_CONNECT_S = 5.0
#: Seconds for timed-out work to end: without its connections, a few iterations of the loop.
_END_S = 0.1

T = TypeVar("T")


async def connect(
    url: str, *, setting: str, session: Mapping[str, str] | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    """Return an open connection that the caller closes.

    Raises ``SettingsError`` for an invalid URL, ``Unavailable`` when the server does not answer.
    """
    parameters = {"application_name": "tidegate ops", "timezone": "UTC", **(session or {})}
    with translated():
        try:
            return await asyncpg.connect(url, timeout=_CONNECT_S, server_settings=parameters)
        except (asyncpg.exceptions.ClientConfigurationError, ValueError) as exc:
            raise pools.not_a_url(setting) from exc


@asynccontextmanager
async def primary(
    settings: Settings, *, on_connect: pools.OnConnect = pools.unchecked
) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """Give a pool on the primary, closed afterwards. Raises like ``connect``.

    ``on_connect`` checks the key ring, for work that seals or opens.
    """
    pool = await pools.open_writers(settings, is_lazy=False, on_connect=on_connect)
    try:
        yield pool
    except BaseException:
        # A server that went silent does not even take leave.
        pool.terminate()
        raise
    await pool.close()


async def briefly(
    settings: Settings,
    work: "Callable[[asyncpg.Pool[asyncpg.Record]], Awaitable[T]]",
    *,
    within_s: float,
) -> T:
    """Do some work with a pool on the primary, or give it up when all of it takes longer.

    Raises like ``connect``. Work that timed out may have been done all the same.
    """
    opened: list[asyncpg.Pool[asyncpg.Record]] = []

    async def done() -> T:
        async with primary(settings) as pool:
            opened.append(pool)
            return await work(pool)

    doing = asyncio.create_task(done(), name="briefly")
    # Waited for from outside: what hangs in the driver does not always heed a cancellation.
    await asyncio.wait({doing}, timeout=within_s)
    if not doing.done():
        # Before it is cancelled: a transaction waits for the answer to its rollback, and who ends
        # the loop waits for that.
        for pool in opened:
            pool.terminate()
        doing.cancel()
        # Its result is not reported: it has timed out.
        await asyncio.wait({doing}, timeout=_END_S)
        if doing.done() and not doing.cancelled():
            doing.exception()
        raise Unavailable("postgres") from TimeoutError()
    return doing.result()
