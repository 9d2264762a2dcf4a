"""What was acknowledged survives a crash, and what was left half made is made again."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import redis

from ops.embedded import state
from ops.embedded.cluster import JOURNAL, PRIMARY, REPLICA, VALKEY, Servers
from tests.ops.embedded.support import RecordingReporter, is_alive, new_table, query
from tests.support import databases

ROOT = Path(__file__).resolve().parents[3]


def test_primary_recovers_from_kill(servers: Servers) -> None:
    """After kill -9 of the primary, everything committed is there and the replica follows."""
    table = new_table(servers)
    servers.kill(PRIMARY)
    assert [ended.name for ended in servers.poll()] == [PRIMARY]
    servers.restart(PRIMARY)
    assert query(servers.database_url, f"SELECT count(*) FROM {table}") == 1
    new_table(servers)
    assert servers.poll() == []


@pytest.mark.parametrize("name", [VALKEY, JOURNAL])
def test_valkey_recovers_from_kill(servers: Servers, name: str) -> None:
    """After kill -9 of a Valkey, everything it acknowledged is there; the other is not affected."""
    url = {VALKEY: servers.redis_url, JOURNAL: servers.journal_url}[name]
    with redis.Redis.from_url(url, protocol=2) as client:
        client.delete("stored")
        client.xadd("stored", {"order": "1"})
    servers.kill(name)
    assert [ended.name for ended in servers.poll()] == [name]
    servers.restart(name)
    assert servers.poll() == []
    with redis.Redis.from_url(url, protocol=2) as client:
        assert client.xlen("stored") == 1


def test_promoted_replica_is_copied_again(state_dir: Path) -> None:
    """A replica that was promoted is replaced by a new copy at its next start, with a message."""
    reporter = RecordingReporter()
    with Servers(state=state_dir, fsync=False, reporter=reporter) as servers:
        query(
            databases.admin_url(servers, server=REPLICA),
            "SELECT pg_promote()",
        )
        servers.restart(REPLICA)
        assert query(servers.replica_url, "SELECT pg_is_in_recovery()") is True
        new_table(servers)
    assert any("was promoted" in line for line in reporter.lines)


def test_replica_without_its_slot_is_copied_again(state_dir: Path) -> None:
    """A running replica whose slot is lost is reported, and replaced at its restart."""
    reporter = RecordingReporter()
    with Servers(state=state_dir, fsync=False, reporter=reporter) as servers:
        os.kill(servers.pid(REPLICA), signal.SIGSTOP)  # or it would reconnect before the next line
        query(
            servers.admin_url,
            "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots",
            "SELECT pg_drop_replication_slot('tidegate_replica')",
        )
        os.kill(servers.pid(REPLICA), signal.SIGCONT)
        assert [ended.name for ended in servers.poll()] == [REPLICA]
        servers.restart(REPLICA)
        new_table(servers)
    assert any("was stopped for too long" in line for line in reporter.lines)


def test_killed_parent_leaves_no_orphan(state_dir: Path) -> None:
    """After kill -9 of the process that started them the servers end, and the next start works."""
    program = (
        "import sys, time; from pathlib import Path; from ops.embedded.cluster import Servers\n"
        "s = Servers(state=Path(sys.argv[1]), fsync=False); s.start()\n"
        "print(*(s.pid(name) for name in s.names), flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(state_dir)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 4
    parent.kill()
    parent.wait()
    parent.stdout.close()
    with Servers(state=state_dir, fsync=False) as servers:
        assert not [pid for pid in pids if is_alive(pid)]
        new_table(servers)


@pytest.mark.servers
def test_temporary_state_of_a_killed_run_is_removed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed run with a temporary directory left on the disk goes with the next such run."""
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    program = (
        "import os, signal; from ops.embedded.cluster import Servers\n"
        "Servers(postgres=False).start(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": str(directory)}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=False)
    left = list(directory.iterdir())
    assert len(left) == 1
    with Servers(postgres=False) as servers:
        assert list(directory.iterdir()) == [servers.state.path]
        assert servers.state.path not in left


@pytest.mark.servers
def test_killed_while_making_is_made_again(directory: Path) -> None:
    """A first start that was killed half-way is detected, reported and repeated."""
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
    reporter = RecordingReporter()
    with Servers(
        state=path, fsync=False, valkey=False, replica=False, reporter=reporter
    ) as servers:
        assert query(servers.database_url, "SELECT 1") == 1
    assert any("half made" in line for line in reporter.lines)


def test_half_made_replica_is_copied_again(state_dir: Path) -> None:
    """A replica's directory without its marker is replaced; the primary is not changed."""
    (state_dir / "data/replica.made").unlink()
    reporter = RecordingReporter()
    with Servers(state=state_dir, fsync=False, valkey=False, reporter=reporter) as servers:
        new_table(servers)
    assert [line for line in reporter.lines if "half made" in line]


def test_stale_pid_file_is_no_obstacle(state_dir: Path) -> None:
    """A pid file whose number now belongs to some other program does not prevent the start."""
    stale = state_dir / "data/primary/postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{stale.parent}\n0\n1\n\n127.0.0.1\n0 0\nready   \n")
    with Servers(state=state_dir, fsync=False, valkey=False, replica=False) as servers:
        assert query(servers.database_url, "SELECT 1") == 1


def test_interrupted_start_stops_what_it_started(state_dir: Path) -> None:
    """A start that is abandoned half-way leaves no server and no lock."""

    class Abandoned(Exception):
        pass

    def abandon() -> None:
        if (state_dir / "pids" / PRIMARY).exists():
            raise Abandoned

    for file in (state_dir / "pids").iterdir():
        file.unlink()
    with pytest.raises(Abandoned):
        Servers(state=state_dir, fsync=False, abandon_check=abandon).start()
    pid = int((state_dir / "pids" / PRIMARY).read_text().split()[0])
    assert not is_alive(pid)
    state.open_state(state_dir).close()
