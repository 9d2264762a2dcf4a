"""Connections to Postgres for commands, which explain themselves when there is none."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from gateway.runtime.settings import Settings
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
            raise pools.not_a_url(setting) from exc


@asynccontextmanager
async def primary(settings: Settings) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """Give a pool on the primary, closed afterwards. Raises like ``connect``."""
    pool = await pools.open_writers(settings, is_lazy=False)
    try:
        yield pool
    finally:
        await pool.close()
