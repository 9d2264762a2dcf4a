"""All checks in order. A check is skipped when one that it needs has failed."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import asyncpg

from gateway.domain.errors import TidegateError, Unavailable
from gateway.runtime import settings_source
from gateway.runtime.settings import Settings, SettingsError
from gateway.stores.postgres.errors import translated
from ops import connections, failures
from ops.doctor import (
    alert_channels,
    journal_server,
    machine,
    postgres,
    redis_server,
    replicas,
    secrets,
    targets,
)
from ops.doctor.findings import Finding, fail

#: Seconds for all checks of Postgres and its replicas.
_POSTGRES_S = 60.0


async def look(environ: Mapping[str, str], now: datetime) -> list[Finding]:
    """Return all findings. What an operator can fix is a finding, never an exception."""
    found = [machine.python()]
    try:
        loaded = settings_source.load(environ)
    except SettingsError as exc:
        advice = "correct it in the environment or in tidegate.toml; nothing else was checked"
        return [*found, fail("settings", str(exc), advice)]
    ring = Path(loaded.keyring_file)
    found += [
        machine.settings(loaded, environ),
        machine.descriptors(loaded.connections_max),
        machine.disk(ring.parent),
        *secrets.key_ring(ring),
        *secrets.accounts(loaded, environ),
        *secrets.inventory(loaded, environ),
    ]
    found += await targets.targets(loaded, environ)
    found += await alert_channels.channels(loaded, environ)
    found += await _postgres(loaded, now)
    found += await redis_server.redis_server(loaded)
    found += await journal_server.journal_server(loaded)
    return found


async def _postgres(loaded: Settings, now: datetime) -> list[Finding]:
    found: list[Finding] = []
    try:
        async with asyncio.timeout(_POSTGRES_S):
            connection = await connections.connect(loaded.database_url, setting="database_url")
            try:
                with translated():
                    await _ask(connection, loaded, now, found)
            finally:
                connection.terminate()
    except SettingsError as exc:
        found.append(fail("postgres", str(exc), "correct database_url"))
    except (TidegateError, TimeoutError, asyncpg.PostgresError) as exc:
        cause = exc.__cause__ if isinstance(exc, Unavailable) and exc.__cause__ else exc
        is_journaled = loaded.journal_url or loaded.redis_url
        meanwhile = "goes to the journal" if is_journaled else "is rejected"
        advice = f"start it, or correct database_url; until then what arrives {meanwhile}"
        found.append(fail("postgres", f"does not answer: {failures.reason(cause)}", advice))
    return found


async def _ask(
    connection: "asyncpg.Connection[asyncpg.Record]",
    loaded: Settings,
    now: datetime,
    found: list[Finding],
) -> None:
    found += await postgres.server(connection)
    found.append(await postgres.room(connection, loaded))
    found.append(await postgres.clock(connection))
    schema = await postgres.schema(connection)
    found.append(schema)
    if schema.level == "ok":
        found += await postgres.contents(connection, now)
        found += await secrets.fit(connection, Path(loaded.keyring_file))
    if not await connection.fetchval("SELECT pg_is_in_recovery()"):
        found += await replicas.replicas(connection, loaded)
