"""The servers start, keep their data, and leave nothing behind."""

import os
import shutil
import stat
from pathlib import Path

import asyncpg
import pytest
import redis

from ops.embedded import binaries, errors, state
from ops.embedded.cluster import JOURNAL, VALKEY, Servers
from tests.ops.embedded.support import has_table, is_alive, new_table, query


def test_primary_writes_and_replica_reads(servers: Servers) -> None:
    """What is written to the primary is read from the replica, which rejects writes."""
    table = new_table(servers)
    assert query(servers.replica_url, f"SELECT count(*) FROM {table}") == 1
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        query(servers.replica_url, f"INSERT INTO {table} VALUES (2)")
    assert servers.poll() == []


def test_owner_may_make_databases(servers: Servers) -> None:
    """The gateway's role owns its database and can make others; it is no superuser."""
    query(servers.database_url, "CREATE DATABASE another TEMPLATE template0")
    assert query(servers.url_of_database("another"), "SELECT current_user") == "tidegate"
    query(servers.database_url, "DROP DATABASE another")
    assert query(servers.database_url, "SHOW is_superuser") == "off"
    assert query(servers.admin_url, "SHOW is_superuser") == "on"


def test_settings_that_durability_depends_on(servers: Servers) -> None:
    """Text is UTF-8, time is UTC, commits are synchronous, nothing is evicted."""
    shown = {
        name: query(servers.database_url, f"SHOW {name}")
        for name in ("server_encoding", "timezone", "synchronous_commit")
    }
    assert shown["server_encoding"] == "UTF8"
    assert shown["timezone"] == "UTC"
    assert shown["synchronous_commit"] == "on"
    with redis.Redis.from_url(servers.redis_url, protocol=2) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_the_journal_syncs_before_it_answers(servers: Servers) -> None:
    """The journal syncs each write and rejects writes when full, whatever `fsync` of PostgreSQL."""
    wanted = {
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "maxmemory-policy": "noeviction",
        "maxmemory": str(256 * 2**20),
    }
    assert query(servers.database_url, "SHOW fsync") == "off"
    with redis.Redis.from_url(servers.journal_url, protocol=2) as client:
        assert client.config_get(*wanted) == wanted


def test_results_and_journal_are_two_servers(servers: Servers) -> None:
    """Emptying the results leaves the journal alone; neither accepts the other's password."""
    with redis.Redis.from_url(servers.journal_url, protocol=2) as journal:
        journal.set("stored", "1")
        with redis.Redis.from_url(servers.redis_url, protocol=2) as results:
            results.flushall()
        assert journal.get("stored") == b"1"
    mixed = f"{servers.redis_url.rpartition('@')[0]}@127.0.0.1:{servers.port(JOURNAL)}/0"
    with (
        redis.Redis.from_url(mixed, protocol=2) as client,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        client.ping()


def test_a_directory_without_a_journal_gets_one(state_dir: Path) -> None:
    """A directory of an earlier version keeps its addresses and data, and gets a journal."""
    with Servers(state=state_dir, fsync=False) as first:
        before = (first.database_url, first.redis_url)
        table = new_table(first)
    shutil.rmtree(state_dir / "data/journal")
    (state_dir / "data/journal.conf").unlink()
    for name in ("ports.json", "passwords.json"):
        known = state.read_json(state_dir / name)
        del known[JOURNAL]
        state.write_json(state_dir / name, known)
    with Servers(state=state_dir, fsync=False) as servers:
        assert (servers.database_url, servers.redis_url) == before
        assert has_table(servers.database_url, table)
        with redis.Redis.from_url(servers.journal_url, protocol=2) as client:
            assert client.ping()


def test_each_valkey_can_be_left_out(state_dir: Path) -> None:
    """Each Valkey can be left out: then it has no URL and does not run."""
    with Servers(state=state_dir, postgres=False, journal=False) as servers:
        assert servers.names == [VALKEY]
        with pytest.raises(RuntimeError, match="journal is not started"):
            _ = servers.journal_url
    with Servers(state=state_dir, postgres=False, valkey=False) as servers:
        assert servers.names == [JOURNAL]


def test_warm_start_keeps_data_and_addresses(state_dir: Path) -> None:
    """A second start has the same URLs and the same data."""
    with Servers(state=state_dir, fsync=False) as first:
        before = urls(first)
        table = new_table(first)
    with Servers(state=state_dir, fsync=False) as second:
        assert urls(second) == before
        assert has_table(second.database_url, table)


def test_secrets_are_private(servers: Servers, state_dir: Path) -> None:
    """Passwords are in files of mode 0600, in no command line, and not in the replica."""
    passwords = state.read_json(state_dir / "passwords.json").values()
    for file in ("passwords.json", "data/pgpass", "data/valkey.conf", "data/journal.conf"):
        assert stat.S_IMODE((state_dir / file).stat().st_mode) == 0o600
    assert stat.S_IMODE(state_dir.stat().st_mode) & 0o077 == (0o011 if os.geteuid() == 0 else 0)
    seen = (state_dir / "data/replica/postgresql.auto.conf").read_text()
    for name in servers.names:
        seen += Path(f"/proc/{servers.pid(name)}/cmdline").read_text()
    assert not [password for password in passwords if password in seen]


def test_stop_leaves_nothing(state_dir: Path) -> None:
    """After stop no server runs, and stopping again is harmless."""
    servers = Servers(state=state_dir, fsync=False)
    servers.start()
    pids = [servers.pid(name) for name in servers.names]
    servers.stop()
    assert len(pids) == 4
    assert not [pid for pid in pids if is_alive(pid)]
    servers.stop()


@pytest.mark.servers
def test_temporary_state_is_removed() -> None:
    """Without a state directory a temporary one is used, and gone afterwards."""
    with Servers(postgres=False) as servers:
        path = servers.state.path
        assert path.is_dir()
    assert not path.exists()


def urls(servers: Servers) -> list[str]:
    return [servers.database_url, servers.replica_url, servers.redis_url, servers.journal_url]


def other_postgres() -> Path | None:
    for found in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        if int(found.parent.parent.name) >= binaries.POSTGRES_MAJOR_MIN:
            return found.parent
    return None


@pytest.mark.skipif(other_postgres() is None, reason="no PostgreSQL of the system's")
def test_binaries_named_by_the_user(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other binaries work in full; a directory made by another major version is reported."""
    monkeypatch.setenv("TIDEGATE_PG_BIN", str(other_postgres()))
    with Servers(fsync=False, valkey=False) as servers:
        new_table(servers)
    if binaries.postgres_major(binaries.find_postgres()) != 18:
        with pytest.raises(errors.CannotStart, match="was made by PostgreSQL 18"):
            Servers(state=state_dir, valkey=False, fsync=False).start()
