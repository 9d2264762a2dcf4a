"""The databases of the tests: copies of one that was migrated once for each set of servers.

``database``          the name of a copy of the test's own
``module_database``   of one that the tests of a module share
``emptied_database``  of one that all tests share, emptied before each
``empty_database``    the URL of a database without any table
``superuser_url``     the test's ``database`` as the user who may do what no gateway may

A directory chooses another by importing it as ``database`` into its conftest, with the reason.
"""

import asyncio
import functools
import uuid
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.runtime.settings import Settings
from ops.embedded.cluster import PRIMARY, Servers
from ops.embedded.postgres import DATABASE, OWNER
from ops.migrations import runner

_TEMPLATE = "tidegate_template"
_EMPTIED = "tidegate_emptied"
# As replica, no trigger guards the history. Whatever an earlier test left connected is ended
# first; the months that it made are dropped.
_EMPTY = r"""
SET session_replication_role = replica;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$
DECLARE name text;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT c.relispartition AND c.relname <> 'alembic_version'
    LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE c.relkind = 'r' AND c.relname ~ '_203\d_\d\d$'
    LOOP
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
END
$$;
"""


@pytest.fixture
def database(servers: Servers, keyring: Path) -> Iterator[str]:
    yield from _lend(servers, keyring)


@pytest.fixture(scope="module")
def module_database(servers: Servers, keyring: Path) -> Iterator[str]:
    """For modules whose orders are all unlike each other."""
    yield from _lend(servers, keyring)


@pytest.fixture
def emptied_database(servers: Servers, keyring: Path) -> str:
    """For many short tests: connections find the caches of the server warm."""
    name = _emptied(servers, keyring)
    execute(admin_url(servers, name), _EMPTY)
    return name


@pytest.fixture
def empty_database(servers: Servers) -> Iterator[str]:
    name = _new_name()
    execute(servers.admin_url, f"CREATE DATABASE {name} OWNER {OWNER}")
    yield servers.url_of_database(name)
    drop(servers, name)


@pytest.fixture
def superuser_url(servers: Servers, database: str) -> str:
    return admin_url(servers, database)


def copy(servers: Servers, keyring: Path, name: str) -> None:
    """There is a migrated database of this name afterwards, without data."""
    # Copying files takes a tenth of copying through the log, since these servers do not sync.
    execute(
        servers.admin_url,
        f"CREATE DATABASE {name} TEMPLATE {_template(servers, keyring)} OWNER {OWNER} "
        "STRATEGY FILE_COPY",
    )


def drop(servers: Servers, name: str) -> None:
    """The database is dropped, and its connections are closed."""
    execute(servers.admin_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def admin_url(servers: Servers, database: str = DATABASE, *, server: str = PRIMARY) -> str:
    """Return the URL of a database as the superuser, on the primary or on the replica."""
    address = servers.admin_url.rpartition("/")[0]
    return f"{address.rpartition(':')[0]}:{servers.port(server)}/{database}"


def execute(url: str, *statements: str) -> None:
    """Run statements over a connection of their own."""

    async def run(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        for statement in statements:
            await connection.execute(statement)

    _connected(url, run)


def value(url: str, query: str) -> Any:
    """Return the first value of the first row that a query gives, or None."""
    return _connected(url, lambda connection: connection.fetchval(query))


def _connected(url: str, work: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return _run(run())


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    # A thread has no loop yet, and leaves that of the test as it is.
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


def _lend(servers: Servers, keyring: Path) -> Iterator[str]:
    name = _new_name()
    copy(servers, keyring, name)
    yield name
    drop(servers, name)


def _new_name() -> str:
    return f"t_{uuid.uuid4().hex[:12]}"


@functools.cache
def _template(servers: Servers, keyring: Path) -> str:
    execute(servers.admin_url, f"CREATE DATABASE {_TEMPLATE} OWNER {OWNER}")
    made = Settings(database_url=servers.url_of_database(_TEMPLATE), keyring_file=str(keyring))
    _run(runner.upgrade(made, now=datetime.now(UTC), say=lambda _: None))
    return _TEMPLATE


@functools.cache
def _emptied(servers: Servers, keyring: Path) -> str:
    copy(servers, keyring, _EMPTIED)
    return _EMPTIED
