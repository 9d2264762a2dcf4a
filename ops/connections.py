"""Connections to Postgres for commands, which explain themselves when there is none."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from gateway.domain.errors import Unavailable
from gateway.runtime.settings import Settings, SettingsError
from gateway.stores.postgres import pools
from gateway.stores.postgres.faults import translated

_CONNECT_S = 5.0


async def connect(
    url: str, *, setting: str, session: Mapping[str, str] | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    """Return an open connection that the caller closes.

    Raises ``SettingsError`` when the URL is not one, ``Unavailable`` when nobody answers.
    """
    parameters = {"application_name": "tidegate ops", "timezone": "UTC", **(session or {})}
    with translated():
        try:
            return await asyncpg.connect(url, timeout=_CONNECT_S, server_settings=parameters)
        except (asyncpg.exceptions.ClientConfigurationError, ValueError) as exc:
            raise _not_a_url(setting) from exc


@asynccontextmanager
async def primary(settings: Settings) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """Give a pool on the primary, closed afterwards. Raises like ``connect``."""
    try:
        pool = await pools.open_writers(settings)
    except ValueError as exc:
        raise _not_a_url("database_url") from exc
    except Unavailable as exc:
        if isinstance(exc.__cause__, asyncpg.exceptions.ClientConfigurationError):
            raise _not_a_url("database_url") from exc
        raise
    try:
        yield pool
    finally:
        await pool.close()


def _not_a_url(setting: str) -> SettingsError:
    # The driver's message may quote what it took for a port, which may be a password's end.
    return SettingsError(
        f"{setting} is not understood: it is written postgresql://user:password@host:port/db, "
        "with / # ? @ : % in a password percent-encoded as %2F %23 %3F %40 %3A %25"
    )
