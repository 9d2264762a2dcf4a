"""One database for all the tests of the ledger, emptied before each: to make one takes longer.

A module that freezes or kills its Valkey has one of its own, or a cluster.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from ops.embedded.cluster import Servers
from ops.embedded.postgres import DATABASE
from tests.support.valkey_cluster import Server, cluster_in, server_in

_NAME = "tidegate_emptied"
# As replica, no trigger guards the history. Whatever an earlier test left connected is ended
# first; the months that it made are dropped.
_EMPTY = """
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
         WHERE c.relkind = 'r' AND c.relname ~ '^raw_messages_203'
    LOOP
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
END
$$;
"""


@pytest.fixture(scope="session")
def emptied_database(servers: Servers, template: str) -> str:
    async def make() -> None:
        admin = await asyncpg.connect(servers.admin_url)
        await admin.execute(f"DROP DATABASE IF EXISTS {_NAME} WITH (FORCE)")
        await admin.execute(f"CREATE DATABASE {_NAME} TEMPLATE {template} OWNER tidegate")
        await admin.close()

    asyncio.run(make())
    return _NAME


@pytest.fixture
def superuser_url(servers: Servers, emptied_database: str) -> str:
    """The database as one who may do what no gateway may."""
    return servers.admin_url.removesuffix(DATABASE) + emptied_database


@pytest.fixture
async def database(superuser_url: str, emptied_database: str) -> AsyncIterator[str]:
    admin = await asyncpg.connect(superuser_url)
    await admin.execute(_EMPTY)
    await admin.close()
    yield emptied_database


@pytest.fixture(scope="module")
def module_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Valkey that this module may freeze and kill; it empties it itself."""
    with server_in(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """The same as a cluster of three primaries."""
    with cluster_in(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes
