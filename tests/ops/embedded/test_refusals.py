"""What cannot start ends with a sentence that names the remedy, and damages nothing."""

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from ops.embedded import binaries, errors, state
from ops.embedded.cluster import JOURNAL, PRIMARY, REPLICA, VALKEY, Servers
from tests.ops.embedded.support import new_table


@pytest.mark.parametrize("name", [PRIMARY, REPLICA, VALKEY, JOURNAL])
def test_busy_port_is_named_with_a_remedy(state_dir: Path, name: str) -> None:
    """A stored port that another process took is named; with new ports everything works again."""
    port = int(state.read_json(state_dir / "ports.json")[name])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        servers = Servers(state=state_dir, fsync=False)
        with pytest.raises(errors.CannotStart, match=rf"Port {port}.*delete .*ports\.json"):
            servers.start()
        assert servers.names == []
        if name == PRIMARY:
            (state_dir / "ports.json").unlink()
            with servers:
                new_table(servers)


def test_second_supervisor_cannot_start(servers: Servers, state_dir: Path) -> None:
    """A directory in use is reported with the process that uses it, which is not disturbed."""
    with pytest.raises(errors.CannotStart, match=rf"in use by another Tidegate.*{os.getpid()}"):
        Servers(state=state_dir).start()
    assert servers.poll() == []


def test_foreign_directory_is_not_changed(directory: Path) -> None:
    """A directory with other files in it is reported and not changed."""
    (directory / "thesis.txt").write_text("mine")
    with pytest.raises(errors.CannotStart, match="not a state directory"):
        Servers(state=directory).start()
    assert [entry.name for entry in directory.iterdir()] == ["thesis.txt"]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o711


@pytest.mark.servers
def test_full_disk_is_reported_before_anything_is_made(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With too little space the first start ends with a sentence and creates no data directory."""
    monkeypatch.setattr(state, "FREE_BYTES_MIN", 1 << 60)
    with pytest.raises(errors.CannotStart, match=r"MB free; .* MB are needed"):
        Servers(state=directory / "state").start()
    assert not (directory / "state/data/primary").exists()


def test_unreadable_passwords_are_not_replaced(state_dir: Path) -> None:
    """A damaged state file is reported, never overwritten with new passwords."""
    file = state_dir / "passwords.json"
    intact = file.read_text()
    file.write_text("{")
    try:
        with pytest.raises(errors.CannotStart, match="Restore it"):
            Servers(state=state_dir).start()
        assert file.read_text() == "{"
    finally:
        file.write_text(intact)


def test_lost_passwords_are_reported(state_dir: Path) -> None:
    """Data whose passwords are gone is not opened with new ones, and not removed."""
    file = state_dir / "passwords.json"
    intact = file.read_text()
    file.unlink()
    try:
        with pytest.raises(errors.CannotStart, match="cannot be opened"):
            Servers(state=state_dir).start()
        assert (state_dir / "data/primary/PG_VERSION").exists()
    finally:
        file.write_text(intact)
        file.chmod(0o600)


def test_only_the_main_thread_may_start(state_dir: Path) -> None:
    """Starting from another thread raises RuntimeError: the servers would end with that thread."""

    async def elsewhere() -> None:
        await asyncio.to_thread(Servers(state=state_dir).start)

    with pytest.raises(RuntimeError, match="main thread"):
        asyncio.run(elsewhere())


@pytest.mark.servers
def test_too_old_servers_are_reported(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Binaries below the minimum are reported with their version and the remedy."""
    for name in binaries.POSTGRES_PROGRAMS:
        program(directory / name, "echo 'postgres (PostgreSQL) 14.9'")
    program(directory / "valkey-server", "echo 'Redis server v=7.0.15 sha=0'")
    monkeypatch.setenv("TIDEGATE_PG_BIN", str(directory))
    monkeypatch.setenv("TIDEGATE_VALKEY_BIN", str(directory))
    with pytest.raises(errors.CannotStart, match="is PostgreSQL 14; 15 or newer"):
        binaries.find_postgres()
    with pytest.raises(errors.CannotStart, match=r"is version 7\.0\.15; 7\.2 or newer"):
        binaries.find_valkey()


def test_incomplete_binaries_are_reported(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that lacks programs is reported, naming those that are missing."""
    program(directory / "postgres", "echo 'postgres (PostgreSQL) 18.6'")
    monkeypatch.setenv("TIDEGATE_PG_BIN", str(directory))
    with pytest.raises(errors.CannotStart, match="has no initdb, pg_basebackup, psql"):
        binaries.find_postgres()


def program(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)
