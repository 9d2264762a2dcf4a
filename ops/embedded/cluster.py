"""`Servers`: PostgreSQL with its replica, Valkey and the journal, as one thing to start and stop.

with Servers(replica=False, fsync=False) as servers:      # a throw-away one, for a test
    connect(servers.database_url)

servers = Servers(state=Path(".tidegate"))                # kept between runs
servers.start()
try:
    ...
finally:
    servers.stop()
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ops.embedded import binaries, identity, leftovers, valkey
from ops.embedded.postgres import DATABASE, HOST, OWNER, SUPERUSER, Primary, Site
from ops.embedded.processes import Runner, Service
from ops.embedded.replica import Replica
from ops.embedded.report import Quiet, Reporter
from ops.embedded.state import State, open_state, open_temporary
from ops.embedded.valkey import Valkey

PRIMARY, REPLICA, VALKEY, JOURNAL = "primary", "replica", "valkey", "journal"
LABELS = {
    PRIMARY: "PostgreSQL primary",
    REPLICA: "PostgreSQL replica",
    VALKEY: "Valkey",
    JOURNAL: "Valkey for the journal",
}
_SYNCING = {VALKEY: valkey.RESULTS, JOURNAL: valkey.JOURNAL}

_SLOT_CHECK_INTERVAL_S = 30.0
# Nothing of the caller's environment (locale, PG*, TZ) reaches a server.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class _Server(Protocol):
    name: str
    label: str
    port: int
    service: Service | None

    def launch(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Exit:
    """A server that cannot be used until it is restarted."""

    name: str
    reason: str
    log_tail: str


class Servers:
    """The embedded servers of one state directory.

    state           the directory, which stays; None for a temporary one that `stop` removes
    postgres        start the primary (False when the user has their own)
    replica         start its streaming replica too
    valkey          start Valkey
    journal         start a second Valkey, which syncs before it answers
    fsync           False is faster and loses what PostgreSQL holds when the machine (not a process)
                    crashes; the journal syncs in any case, or the gateway would not use it
    reporter        receives the progress; `report.Terminal()` prints it
    abandon_check   called in every wait; may raise to abandon the start

    Use it from the main thread: on Linux the servers end with the thread that started them, so
    that a `kill -9` of this process leaves nothing behind.
    """

    def __init__(
        self,
        *,
        state: Path | None = None,
        postgres: bool = True,
        replica: bool = True,
        valkey: bool = True,
        journal: bool = True,
        fsync: bool = True,
        reporter: Reporter | None = None,
        abandon_check: Callable[[], None] = lambda: None,
    ) -> None:
        self._wanted_state = state
        self._with_postgres = postgres
        self._with_replica = postgres and replica
        wanted_valkeys = {VALKEY: valkey, JOURNAL: journal}
        self._valkeys = [name for name, is_wanted in wanted_valkeys.items() if is_wanted]
        self._fsync = fsync
        self._reporter: Reporter = Quiet() if reporter is None else reporter
        self._abandon_check = abandon_check
        self._state: State | None = None
        self._servers: dict[str, _Server] = {}
        self._site: Site | None = None
        self._is_replica_due = False
        self._slot_checked_s = 0.0

    def open(self) -> None:
        """The state directory is ours and locked; what an earlier run left running has ended.

        `start` does it too, when it was not done before. Raises errors.CannotStart.
        """
        if self._state is not None:
            return
        wanted = self._wanted_state
        self._state = opened = open_temporary() if wanted is None else open_state(wanted)
        left = leftovers.left_running(opened.pids)
        if left:
            names = ", ".join(left)
            with self._reporter.step(f"waiting for {names} of an earlier run to end"):
                killed = leftovers.settle(left)
            if killed:
                self._reporter.say(f"Of an earlier run, {', '.join(killed)} had to be killed.")

    def start(self) -> None:
        """All wanted servers accept connections. On a first start they are made, which takes 1-3 s.

        Raises errors.CannotStart, or what abandon_check raised; nothing is left running then.
        """
        with self._stopped_on_error():
            self.begin()
            self.finish()

    def begin(self) -> None:
        """All but the replica accept connections, and the replica is starting: `finish` follows.

        A replica that has to be made is ready as well: nothing else has the machine meanwhile.
        Raises like `start`.
        """
        with self._stopped_on_error():
            self.open()
            self._make_servers()
            for server in self._servers.values():
                server.launch()  # all at once, but for what has to be made first
            replica = self._servers.get(REPLICA)
            self._is_replica_due = replica is not None and replica.service is not None
            for name in (PRIMARY, VALKEY, JOURNAL):
                self._await(name)
            if not self._is_replica_due:
                self._await(REPLICA)

    def finish(self) -> None:
        """The replica accepts connections too, and follows the primary.

        Raises like `start`, but what runs goes on: what uses it may have to end first.
        """
        if self._is_replica_due:
            self._is_replica_due = False
            self._await(REPLICA)

    def ask_primary(self, query: str) -> str:
        """What psql prints for a query in the database of the gateway, read by the superuser.

        Raises processes.HelperFailed on any error.
        """
        assert self._site is not None, "the primary is started"
        return self._site.sql(self.port(PRIMARY), query, database=DATABASE)

    def stop(self) -> None:
        """Everything is stopped, the journal first and the primary last; the lock is free.

        Harmless when nothing runs. Takes some 200 ms, and a bounded time when a server hangs.
        """
        # The stack stops them in reverse order, and all of them even when stopping one raises.
        with contextlib.ExitStack() as stack:
            stack.callback(self._close)
            for name in (PRIMARY, REPLICA, VALKEY, JOURNAL):
                if name in self._servers:
                    stack.callback(self._servers[name].stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def state(self) -> State:
        """The open state directory. RuntimeError before start and after stop."""
        if self._state is None:
            raise RuntimeError("the servers are not started")
        return self._state

    @property
    def names(self) -> list[str]:
        """Those that were started, of PRIMARY, REPLICA, VALKEY, JOURNAL."""
        return list(self._servers)

    @property
    def database_url(self) -> str:
        """The primary as the owner of the database, who may also create databases."""
        return self.url_of_database(DATABASE)

    @property
    def admin_url(self) -> str:
        """The primary as its superuser: for tests and for nothing else."""
        return self._postgres_url(PRIMARY, SUPERUSER, DATABASE)

    @property
    def replica_url(self) -> str:
        """The replica, same user and database. RuntimeError without one."""
        return self.url_of_database(DATABASE, server=REPLICA)

    @property
    def redis_url(self) -> str:
        """Valkey's database 0. RuntimeError without it."""
        return self._valkey_url(VALKEY)

    @property
    def journal_url(self) -> str:
        """Database 0 of the journal's server. RuntimeError without it."""
        return self._valkey_url(JOURNAL)

    def url_of_database(self, database: str, *, server: str = PRIMARY) -> str:
        """The URL of another database, for instance one that a test has created."""
        return self._postgres_url(server, OWNER, database)

    def poll(self) -> list[Exit]:
        """The servers that need `restart`: ended by themselves, or a replica that cannot catch up.

        Call it often: it is cheap, but for one query every 30 s. A server is reported at each call
        until it is restarted.
        """
        exits = []
        for name, server in self._servers.items():
            service = server.service
            if service is not None and service.exit_status is not None:
                reason = f"ended by itself (status {service.exit_status})"
                exits.append(Exit(name, reason, service.log_tail()))
        if not exits and self._replica_is_lost():
            exits.append(
                Exit(REPLICA, "was stopped for too long and lost its replication slot", "")
            )
        return exits

    def restart(self, name: str) -> None:
        """This server accepts connections again, on the same port. Raises errors.CannotStart."""
        self.stop_one(name)
        self._server(name).start()

    def stop_one(self, name: str) -> None:
        """This server is shut down cleanly."""
        self._server(name).stop()

    def kill(self, name: str) -> None:
        """This server and its children are killed (SIGKILL), as in a crash; `restart` recovers."""
        service = self._server(name).service
        if service is not None:
            service.kill()

    def port(self, name: str) -> int:
        """The port of this server on 127.0.0.1. RuntimeError when it was not started."""
        return self._server(name).port

    def pid(self, name: str) -> int:
        """The process to send signals to. RuntimeError when it was not started."""
        service = self._server(name).service
        if service is None:
            raise RuntimeError(f"the {LABELS[name]} is not started")
        return service.pid

    def _close(self) -> None:
        self._servers.clear()
        if self._state is not None:
            self._state.close()
            self._state = None

    def _make_servers(self) -> None:
        if not (self._with_postgres or self._valkeys):
            return
        opened, account = self.state, identity.server_account()
        notice = opened.place_data(account)
        if notice:
            self._reporter.say(notice)
        elif account is not None:
            self._reporter.say(f"The servers run as {account.name}, since root may not run them.")
        runner = Runner(
            logs=opened.logs,
            pids=opened.pids,
            environment=_ENVIRONMENT,
            account=account,
            abandon_check=self._abandon_check,
        )
        runtime = opened.data / "runtime"
        if self._valkeys:
            self._make_valkeys(runner, account, runtime)
        if self._with_postgres:
            self._make_postgres(runner, account, runtime)

    def _make_valkeys(
        self, runner: Runner, account: identity.Account | None, runtime: Path
    ) -> None:
        program = identity.reachable_valkey(binaries.find_valkey(), account, runtime)
        for name in self._valkeys:
            self._servers[name] = Valkey(
                name=name,
                label=LABELS[name],
                program=program,
                account=account,
                state=self.state,
                runner=runner,
                port=self.state.port(name, LABELS[name]),
                syncing=_SYNCING[name],
            )

    def _make_postgres(
        self, runner: Runner, account: identity.Account | None, runtime: Path
    ) -> None:
        found = binaries.find_postgres()
        self._site = site = Site(
            bin_dir=identity.reachable_postgres(found, account, runtime),
            major=binaries.postgres_major(found),
            account=account,
            state=self.state,
            runner=runner,
            reporter=self._reporter,
            fsync=self._fsync,
        )
        site.write_passfile()
        port = self.state.port(PRIMARY, LABELS[PRIMARY])
        self._servers[PRIMARY] = Primary(name=PRIMARY, label=LABELS[PRIMARY], site=site, port=port)
        if self._with_replica:
            self._servers[REPLICA] = Replica(
                name=REPLICA,
                label=LABELS[REPLICA],
                site=site,
                port=self.state.port(REPLICA, LABELS[REPLICA]),
                primary_port=port,
            )

    def _await(self, name: str) -> None:
        server = self._servers.get(name)
        if server is not None:
            with self._reporter.step(f"starting {server.label}"):
                server.start()

    @contextlib.contextmanager
    def _stopped_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def _replica_is_lost(self) -> bool:
        replica = self._servers.get(REPLICA)
        now_s = time.monotonic()
        if (
            not isinstance(replica, Replica)
            or now_s - self._slot_checked_s < _SLOT_CHECK_INTERVAL_S
        ):
            return False
        self._slot_checked_s = now_s
        return replica.lost_its_slot()

    def _server(self, name: str) -> _Server:
        if name not in self._servers:
            raise RuntimeError(f"the {LABELS[name]} is not started")
        return self._servers[name]

    def _valkey_url(self, name: str) -> str:
        port, password = self._server(name).port, self.state.password(name)
        return f"redis://:{password}@{HOST}:{port}/0"

    def _postgres_url(self, server: str, user: str, database: str) -> str:
        port, password = self._server(server).port, self.state.password(user)
        return f"postgresql://{user}:{password}@{HOST}:{port}/{database}"
