"""A replica that stayed behind at a failover is not asked, however far its log is.

The test has servers of its own: it promotes the replica and makes a standby of the old primary.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from gateway.domain.errors import Unavailable
from gateway.runtime.clock import SystemClock
from gateway.runtime.settings import Settings
from gateway.stores.postgres import pools
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.replica import follows
from gateway.stores.postgres.replicas import Readers
from ops.embedded.cluster import PRIMARY, REPLICA, Servers
from ops.embedded.postgres import REPLICATOR
from tests.support import databases
from tests.support.patience import until

_PLAIN = "plain"


@pytest.mark.parametrize(
    ("primary", "replica", "is_standby", "is_following"),
    [
        (1, 1, True, True),
        (2, 1, True, False),
        (1, 2, True, False),
        (1, 1, False, False),
        (1, 2, False, False),
        (17, 17, True, True),
    ],
)
def test_only_a_standby_on_the_primarys_own_timeline_follows_it(
    primary: int, replica: int, is_standby: bool, is_following: bool
) -> None:
    assert follows(primary, replica, is_standby=is_standby) is is_following


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers(replica=True, valkey=False, fsync=False) as started:
        yield started


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def make_standby(servers: Servers, *, conninfo: str) -> None:
    """Start the stopped primary again as a standby, of nobody where ``conninfo`` is empty."""
    directory = servers.state.data / PRIMARY
    owner = directory.stat()
    signal = directory / "standby.signal"
    signal.touch(mode=0o600)
    os.chown(signal, owner.st_uid, owner.st_gid)
    with (directory / "postgresql.auto.conf").open("a") as file:
        file.write(f"primary_conninfo = '{conninfo}'\nrecovery_target_timeline = 'latest'\n")
    servers.restart(PRIMARY)


@asynccontextmanager
async def readers_over(primary_url: str, replica_url: str) -> AsyncIterator[Readers]:
    settings = Settings(database_url=primary_url, replica_urls=replica_url)
    primary = await pools.open_readers(settings)
    replica = await pools.open_replica(replica_url, settings)
    try:
        yield Readers(
            primary=primary, replicas=[replica], clock=SystemClock(), wait_s=0.5, query_s=3.0
        )
    finally:
        primary.terminate()
        replica.terminate()


async def names(connection: Connection) -> list[str]:
    return [name for (name,) in await connection.fetch("SELECT name FROM told ORDER BY name")]


async def test_a_replica_that_stayed_behind_is_not_asked(servers: Servers) -> None:
    """It has replayed past the new primary's log, and holds what that one never had."""
    await execute(servers.database_url, "CREATE TABLE told (name text)")
    async with readers_over(servers.database_url, servers.replica_url) as readers:

        async def has_answered() -> bool:
            return (await readers.read(names)).value == [] and readers.reads["replica"] > 0

        await until(has_answered)
    await execute(databases.admin_url(servers, server=REPLICA), "SELECT pg_promote()")
    await execute(
        servers.database_url,
        "INSERT INTO told SELECT 'old ' || n FROM generate_series(1, 10000) n",
    )
    await execute(servers.replica_url, "INSERT INTO told VALUES ('new')")
    servers.stop_one(PRIMARY)
    make_standby(servers, conninfo="")
    left_behind, promoted = servers.database_url, servers.replica_url
    ahead = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
    there, here = await asyncpg.connect(left_behind), await asyncpg.connect(promoted)
    flushed = await here.fetchval("SELECT pg_current_wal_flush_lsn()::text")
    # Its position alone would say that it has caught up.
    assert await there.fetchval(ahead, flushed)
    await there.close()
    await here.close()
    async with readers_over(promoted, left_behind) as readers:
        for _ in range(3):
            assert (await readers.read(names)).value == ["new"]
        assert readers.reads == {"replica": 0, "primary": 3, "stale": 0}
        assert await readers.lag_s() is None
        # Nor for an answer of old: what it has beyond the fork never was.
        servers.kill(REPLICA)
        with pytest.raises(Unavailable):
            await readers.read(names)


async def test_a_replica_that_went_along_is_used_again(servers: Servers) -> None:
    """Also by a role that may not see which timeline is received, as soon as that is on disk."""
    make_plain = f"CREATE ROLE {_PLAIN} LOGIN PASSWORD 'p'"
    grant = f"GRANT SELECT ON told TO {_PLAIN}"
    await execute(servers.admin_url, "CREATE TABLE told (name text)", make_plain, grant)
    await execute(servers.admin_url, "GRANT SELECT ON told TO tidegate")
    servers.stop_one(PRIMARY)
    await execute(databases.admin_url(servers, server=REPLICA), "SELECT pg_promote()")
    password = servers.state.password(REPLICATOR)
    conninfo = f"host=127.0.0.1 port={servers.port(REPLICA)} user={REPLICATOR} password={password}"
    make_standby(servers, conninfo=conninfo)
    promoted, followed = servers.replica_url, servers.database_url
    await execute(databases.admin_url(servers, server=REPLICA), "INSERT INTO told VALUES ('new')")

    async def is_used(readers: Readers) -> None:
        async def has_answered() -> bool:
            assert (await readers.read(names)).value == ["new"]
            return readers.reads["replica"] > 0

        await until(has_answered)

    async with readers_over(promoted, followed) as readers:
        await is_used(readers)
    plain = [
        f"postgresql://{_PLAIN}:p@127.0.0.1:{servers.port(server)}/tidegate"
        for server in (REPLICA, PRIMARY)
    ]
    async with readers_over(plain[0], plain[1]) as readers:
        assert (await readers.read(names)).value == ["new"]
        await execute(databases.admin_url(servers, server=REPLICA), "CHECKPOINT")
        await execute(databases.admin_url(servers), "CHECKPOINT")
        await is_used(readers)
