"""Brings a database to the newest revision. Runners take turns; each run is all or nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from msgspec import Struct
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.domain.errors import TidegateError
from gateway.runtime.settings import Settings
from gateway.stores.postgres.errors import translated
from gateway.stores.postgres.maintenance import Maintenance
from ops import connections
from ops.migrations import online, version

#: Seconds to wait for another runner; a longer wait is reported as an error.
TURN_S = 300.0
#: A change that cannot lock its table soon is abandoned: everything else would queue behind it.
_SESSION = {"application_name": "tidegate migrate", "lock_timeout": "5s"}
_ASK_AGAIN_S = 0.25
#: The first eight bytes of SHA-256("tidegate migrate"), as a signed number.
_LOCK = -2260392592931005736


class MigrationError(TidegateError):
    """The schema is as it was. The message says why and what to do."""


class Step(Struct, frozen=True):
    """One revision that was applied."""

    revision: str
    name: str


class Outcome(Struct, frozen=True):
    """What a run did: from where, to where, by which steps."""

    before: str | None
    after: str
    steps: list[Step]


async def revision(settings: Settings) -> str | None:
    """Return the revision of the database; None before the first.

    Raises ``SettingsError`` for a wrong URL, ``Unavailable`` when Postgres is unavailable.
    """
    connection = await connections.connect(settings.database_url, setting="database_url")
    try:
        with translated():
            return await version.current(connection)
    finally:
        await connection.close()


async def upgrade(settings: Settings, *, now: datetime, say: Callable[[str], None]) -> Outcome:
    """Bring the schema to ``HEAD`` and make the coming months of raw messages.

    Harmless to repeat and to run in several places at once: waits up to ``TURN_S`` for another
    runner, and reports it through ``say``. Raises ``SettingsError`` for a wrong URL,
    ``Unavailable`` when Postgres does not answer, ``MigrationError`` when the schema cannot be
    migrated.
    """
    raw = await connections.connect(settings.database_url, setting="database_url", session=_SESSION)

    async def connected() -> "asyncpg.Connection[asyncpg.Record]":
        return raw

    # SQLAlchemy receives the dialect only. The URL went to the driver as it is: its parameters
    # (sslmode, several hosts) and its escapes mean here what they mean to the gateway.
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connected, poolclass=NullPool
    )
    try:
        with translated(), _explained():
            async with engine.connect() as connection, _turn(raw, say):
                before = await version.current(raw)
                if before is not None:
                    await online.build(raw, after=before, say=say)
                steps = await connection.run_sync(_run_alembic)
                await _make_months(settings, now)
    finally:
        await engine.dispose()
        raw.terminate()
    return Outcome(before=before, after=version.HEAD, steps=steps)


@asynccontextmanager
async def _turn(
    connection: "asyncpg.Connection[asyncpg.Record]", say: Callable[[str], None]
) -> AsyncIterator[None]:
    # Held by the session and given back with it: no lock outlives its owner, however it ends.
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        raise MigrationError("database_url leads to a replica: give the primary's address")
    deadline_s = asyncio.get_running_loop().time() + TURN_S
    is_told = False
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        if asyncio.get_running_loop().time() > deadline_s:
            raise MigrationError(
                f"another migrate has been at it for {TURN_S:.0f} s: find it in pg_stat_activity "
                "(application_name 'tidegate migrate') and end it, or wait for it"
            )
        if not is_told:
            say("another migrate is at work on this database: waiting for my turn")
            is_told = True
        await asyncio.sleep(_ASK_AGAIN_S)
    yield


def _run_alembic(connection: Connection) -> list[Step]:
    steps: list[Step] = []

    def note(**applied: Any) -> None:
        step = applied["step"]
        steps.append(Step(step.up_revision_id, step.up_revision.doc.rstrip(".")))

    config = Config()
    config.set_main_option("script_location", "ops:migrations")
    config.attributes.update(connection=connection, on_version_apply=note)
    # Alembic's own account of its steps would repeat ours.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(config, "head")
    return steps


async def _make_months(settings: Settings, now: datetime) -> None:
    async with connections.primary(settings) as pool:
        await Maintenance(pool=pool).create_months(now)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        with _unwrapped():
            yield
    except CommandError as exc:
        raise MigrationError(
            f"this version of Tidegate ({version.HEAD}) does not know the database's schema "
            f"({exc}): install the newer version that migrated it"
        ) from exc
    except asyncpg.LockNotAvailableError as exc:
        raise MigrationError(
            f"a table stayed locked for {_SESSION['lock_timeout']}, so nothing was changed: run "
            "it again, or first end the long transactions that pg_stat_activity shows"
        ) from exc
    except (asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError) as exc:
        raise MigrationError(
            f"nothing was changed: {exc.args[0]}, and not by Tidegate; give Tidegate a database "
            "of its own"
        ) from exc
    except asyncpg.InsufficientPrivilegeError as exc:
        raise MigrationError(
            f"nothing was changed: {exc.args[0]}; migrate as the owner of the database"
        ) from exc


@contextmanager
def _unwrapped() -> Iterator[None]:
    try:
        yield
    except DBAPIError as exc:
        driver_error = exc.orig.__cause__ if exc.orig is not None else None
        if driver_error is None:
            raise
        raise driver_error from exc
