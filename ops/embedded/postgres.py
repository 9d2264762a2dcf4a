"""PostgreSQL on 127.0.0.1: what both servers share, and the primary.

Settings are given on the command line at every start, so a data directory never holds old ones.
Unix sockets are off: their paths may not exceed 107 bytes, which a deep checkout does.
"""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ops.embedded import errors, identity, processes
from ops.embedded.identity import Account
from ops.embedded.processes import Runner, Service
from ops.embedded.report import Reporter
from ops.embedded.state import State, write_private

HOST = "127.0.0.1"
SUPERUSER, OWNER, REPLICATOR = "postgres", "tidegate", "replicator"
DATABASE = "tidegate"

# For a machine of 2 to 4 cores that the gateway shares. The primary and the replica must agree on
# max_connections, or the replica does not start.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "synchronous_commit": "on",
    "wal_compression": "pglz",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_preload_libraries": "pg_stat_statements",
    # A replica that stays unavailable may not fill the disk with WAL: it is rebuilt instead.
    "max_slot_wal_keep_size": "1GB",
    # With the default of 5 s, replica lag would last as long after a restart of the primary.
    "wal_retrieve_retry_interval": "250ms",
    # A query on the replica is not cancelled because the primary cleaned up rows it still reads.
    "hot_standby_feedback": "on",
    # DETAIL lines quote the values of the row that failed: private data does not belong in a log.
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] ",
}

_START_TIMEOUT_S = 120.0  # a crash recovery of 2 GB of WAL on a slow disk
_RETRY_BUDGET_S = 10.0
_STOP_PATIENCE_S = 20.0
# What a dead server's last child or an unreaped parent can cause for a moment after a kill -9.
_TRANSIENT = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')
_BUSY = "Address already in use"

_BOOTSTRAP = """
SET pg_stat_statements.track_utility = off; -- it would keep the passwords below in clear
CREATE ROLE {owner} LOGIN CREATEDB PASSWORD '{owner_password}';
GRANT pg_monitor TO {owner};
CREATE ROLE {replicator} LOGIN REPLICATION PASSWORD '{replicator_password}';
CREATE DATABASE {database} OWNER {owner};
\\connect {database}
CREATE EXTENSION pg_stat_statements;
"""


@dataclass(frozen=True, slots=True)
class Site:
    """What the servers of one state directory share."""

    bin_dir: Path
    major: int
    account: Account | None
    state: State
    runner: Runner
    reporter: Reporter
    fsync: bool

    @property
    def passfile(self) -> Path:
        """The passwords in libpq's form, readable by the servers' account only."""
        return self.state.data / "pgpass"

    def write_passfile(self) -> None:
        """The passfile is there and up to date."""
        lines = (f"*:*:*:{role}:{self.state.password(role)}\n" for role in (SUPERUSER, REPLICATOR))
        write_private(self.passfile, "".join(lines))
        identity.hand_over(self.passfile, self.account)

    def program(self, name: str) -> str:
        """The path of one of PostgreSQL's programs."""
        return str(self.bin_dir / name)

    def connection(self, *, port: int, user: str, **more: str) -> str:
        """A libpq connection string; the password stays in the passfile."""
        parameters = {"host": HOST, "port": str(port), "user": user, "passfile": str(self.passfile)}
        return " ".join(f"{key}={_quoted(value)}" for key, value in {**parameters, **more}.items())

    def sql(
        self, port: int, statements: str, *, database: str = "postgres", timeout_s: float = 30.0
    ) -> str:
        """What psql prints for these statements. Raises processes.HelperFailed on any error."""
        # The whole time: a machine that is busy with a start may take seconds to log in.
        patience = str(max(2, int(timeout_s)))
        target = self.connection(
            port=port, user=SUPERUSER, dbname=database, connect_timeout=patience
        )
        options = ["-XqAt", "-w", "-v", "ON_ERROR_STOP=1", "-d", target]
        argv = [self.program("psql"), *options]
        return self.runner.run(argv, stdin=statements, timeout_s=timeout_s).strip()


class Server:
    """One PostgreSQL server: start, stop, and nothing about what makes it primary or replica."""

    def __init__(self, *, name: str, label: str, site: Site, port: int) -> None:
        self.name = name
        self.label = label
        self.port = port
        self.service: Service | None = None
        self._site = site
        self._directory = site.state.data / name
        self._is_launched = False

    def stop(self) -> None:
        """It has ended by a fast shutdown: clients are disconnected, commits are on disk."""
        self._is_launched = False
        if self.service is not None:
            self.service.stop(signal.SIGINT, patience_s=_STOP_PATIENCE_S)

    def _begin(self, **more: str) -> None:
        """The process is starting. Raises errors.CannotStart."""
        self._check_major()
        self._clear_stale_pid_file()
        self.service = self._process(more)
        self._is_launched = True

    def _run(self, **more: str) -> None:
        """It accepts connections. Raises errors.CannotStart; `stop` is still needed then."""
        if not self._is_launched:
            self._begin(**more)
        self._is_launched = False
        deadline_s = time.monotonic() + _RETRY_BUDGET_S
        while True:
            service = self.service
            assert service is not None, "it was begun"
            try:
                self._site.runner.wait_ready(service, self._is_ready, timeout_s=_START_TIMEOUT_S)
                return
            except errors.NotReady:
                log_tail = service.log_tail()
                if _BUSY in log_tail:
                    raise errors.CannotStart(busy_port(self.label, self.port)) from None
                late = service.exit_status is None or time.monotonic() > deadline_s
                if late or not any(sign in log_tail for sign in _TRANSIENT):
                    raise
            self._site.runner.pause(0.2)
            self.service = self._process(more)

    def _process(self, more: dict[str, str]) -> Service:
        settings = {**SETTINGS, "port": str(self.port), **more}
        if not self._site.fsync:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        argv = [self._site.program("postgres"), "-D", str(self._directory)]
        for key, value in settings.items():
            argv += ["-c", f"{key}={value}"]
        return self._site.runner.start(self.name, argv, death_signal=signal.SIGINT)

    def _is_ready(self) -> bool:
        # As pg_ctl does: the 8th line becomes "ready" when connections are accepted.
        try:
            lines = (self._directory / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        ours = self.service is not None and lines[:1] == [str(self.service.pid)]
        return ours and len(lines) >= 8 and lines[7].strip() == "ready"

    def _check_major(self) -> None:
        with contextlib.suppress(OSError):
            made_by = (self._directory / "PG_VERSION").read_text().strip()
            if made_by != str(self._site.major):
                raise errors.CannotStart(
                    f"{self._directory} was made by PostgreSQL {made_by}, but the programs in "
                    f"{self._site.bin_dir} are PostgreSQL {self._site.major}. Set TIDEGATE_PG_BIN "
                    f"to a PostgreSQL {made_by}, or use a new state directory."
                )

    def _clear_stale_pid_file(self) -> None:
        # We hold the lock and have waited for leftovers. PostgreSQL itself only checks whether the
        # pid is in use, and in a container a restart gives the same pids to other programs.
        file = self._directory / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError):
            pid = int(file.read_text().splitlines()[0])
            if Path("/proc/self").exists() and not _is_postgres(pid):
                file.unlink()


class Primary(Server):
    """The server that takes the writes."""

    def launch(self) -> None:
        """Where it was made before it is starting; `start` waits for it. Raises like `start`."""
        if self._site.state.is_made(self.name):
            self._begin()

    def start(self) -> None:
        """It accepts connections; roles and the database exist. Raises errors.CannotStart."""
        state = self._site.state
        if state.is_made(self.name):
            self._run()
            return
        if state.remove(self.name):
            self._site.reporter.say(
                f"{self._directory} was left half made by an interrupted start: creating it again."
            )
        state.remove("replica")  # a copy of some other primary
        try:
            self._initialise()
            self._run()
            self._site.sql(
                self.port,
                _BOOTSTRAP.format(
                    owner=OWNER,
                    owner_password=state.password(OWNER),
                    replicator=REPLICATOR,
                    replicator_password=state.password(REPLICATOR),
                    database=DATABASE,
                ),
            )
        except processes.HelperFailed as problem:
            raise errors.CannotStart(f"{self.label} could not be created: {problem}") from None
        state.mark_made(self.name)

    def _initialise(self) -> None:
        site = self._site
        identity.require_name(site.account)
        site.state.fresh_directory(self.name, site.account)
        password_file = site.state.data / "initdb-password"
        write_private(password_file, site.state.password(SUPERUSER) + "\n")
        identity.hand_over(password_file, site.account)
        # The locale is named, or initdb would take that of the environment.
        locale = (
            ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            if site.major >= 17
            else ["--locale=C.UTF-8"]
        )
        argv = [site.program("initdb"), "-D", str(self._directory), "-U", SUPERUSER]
        argv += ["-A", "scram-sha-256", "--pwfile", str(password_file), "-E", "UTF8", *locale]
        try:
            site.runner.run(argv if site.fsync else [*argv, "--no-sync"])
        finally:
            password_file.unlink()


def busy_port(label: str, port: int) -> str:
    """The message for a server that finds its port taken at its start."""
    return (
        f"Port {port} of {label} is taken by another process "
        f"(`ss -ltnp 'sport = :{port}'` shows which). Stop that process, or delete ports.json in "
        "the state directory to have new ports chosen."
    )


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _is_postgres(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return False
    return Path(os.fsdecode(command)).name.startswith("postgres")
