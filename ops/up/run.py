"""The order in which everything starts, is watched and stops."""

import os
import signal
import time
from pathlib import Path
from types import FrameType

from gateway.runtime import hangup
from gateway.runtime.settings import SettingsError
from ops import effective
from ops.embedded import errors, processes
from ops.embedded.cluster import JOURNAL, LABELS, PRIMARY, REPLICA, VALKEY, Servers
from ops.embedded.report import Reporter, Terminal
from ops.embedded.state import write_private
from ops.harness import command_line, environment
from ops.harness.listen_address import ListenAddress
from ops.harness.ports import free_port
from ops.up import local_key, schema, surroundings, warehouse
from ops.up.children import Children, check_listen
from ops.up.greeting import greeting
from ops.up.restarts import DEATHS_MAX, WINDOW_S, Deaths
from ops.up.surroundings import Surroundings
from ops.up.warehouse import Warehouse

# Set by `make run`: then a `kill -9` of make ends us too. Without it the parent may end first.
TIED_TO_PARENT = "TIDEGATE_TIED_TO_PARENT"

_WATCH_INTERVAL_S = 0.1
_MIGRATE_TIMEOUT_S = 900.0


class _Abandoned(Exception):
    """A signal came while something was being waited for."""


class _KeepsEnding(Exception):
    """A process ended too often; the message names it and quotes its log."""


def run_up(
    *,
    state_dir: Path | None,
    around: Surroundings,
    host: str,
    port: int,
    processes: int,
    with_warehouse: bool | None,
) -> int:
    """Runs everything until SIGINT, SIGTERM or the end of the terminal, drains and stops it.

    Returns the exit status. Any other SIGHUP has gateway and worker reload their settings.

    Without a state_dir in a temporary one. ``with_warehouse``: whether the demonstration warehouse
    runs; None: where nobody else ships what is paid.

    0 after a signal, 1 when a process ended again and again. Raises errors.CannotStart when it
    cannot start; whatever it had started is stopped then.
    """
    if port == 0:
        check_listen(ListenAddress(host, 0))
    up = _Up(
        state_dir=state_dir,
        around=around,
        listen=ListenAddress(host, port or free_port(host)),
        gateway_processes=processes,
        with_warehouse=with_warehouse,
        reporter=Terminal(),
    )
    return up.run()


class _Up:
    def __init__(
        self,
        *,
        state_dir: Path | None,
        around: Surroundings,
        listen: ListenAddress,
        gateway_processes: int,
        with_warehouse: bool | None,
        reporter: Reporter,
    ) -> None:
        self._listen = listen
        self._gateway_processes = gateway_processes
        self._drain_s = around.settings.drain_s
        self._reporter = reporter
        self._ephemeral = state_dir is None
        self._given = around.given
        self._environ = around.environ
        self._channels = [channel.name for channel in around.settings.channels]
        self._with_warehouse = warehouse.is_wanted(with_warehouse, around)
        self._warehouse: Warehouse | None = None
        if note := around.note(state_dir):
            reporter.say(note)
        if self._given["replica_urls"] and not self._given["database_url"]:
            raise errors.CannotStart(
                "TIDEGATE_REPLICA_URLS is set and TIDEGATE_DATABASE_URL is not: replicas of which "
                "primary? Set both for your own servers, or neither for the embedded ones."
            )
        self._servers = Servers(
            state=state_dir,
            postgres=not self._given["database_url"],
            valkey=not self._given["redis_url"],
            # A journal that is removed at the end may not take orders for a database that stays.
            journal=not self._given["journal_url"]
            and not (self._ephemeral and self._given["database_url"]),
            reporter=reporter,
            abandon_check=self._abandon_check,
        )
        self._children: Children | None = None
        self._stopping = False
        self._hangups = hangup.Hangups(is_tied=False)
        self._reload_asked = False
        self._deaths: dict[str, Deaths] = {}
        self._due_s: dict[str, float] = {}

    def run(self) -> int:
        if os.environ.pop(TIED_TO_PARENT, ""):
            processes.die_with_parent(signal.SIGTERM)
        before = {signal.SIGHUP: signal.getsignal(signal.SIGHUP)}
        self._hangups = hangup.listen()
        for each in (signal.SIGINT, signal.SIGTERM):
            before[each] = signal.signal(each, self._on_signal)
        try:
            self._start()
            while True:
                self._watch()
                self._abandon_check()
                time.sleep(_WATCH_INTERVAL_S)
        except _Abandoned:
            return 0
        except _KeepsEnding as why:
            self._reporter.say(str(why))
            return 1
        finally:
            self._stop()
            for each, handler in before.items():
                signal.signal(each, handler)

    def _start(self) -> None:
        # First: a gateway of a killed earlier run may not have released the port yet.
        self._servers.open()
        check_listen(self._listen)
        self._servers.begin()
        state = self._servers.state
        self._warehouse = self._configured_warehouse(state.path)
        variables = self._variables(state.path)
        worker = self._worker_status()
        self._children = children = Children(
            listen=self._listen,
            gateway_processes=self._gateway_processes,
            drain_s=self._drain_s,
            logs=state.logs,
            pids=state.pids,
            # Not in the file of settings: another worker needs another port.
            variables={**variables, "TIDEGATE_WORKER_METRICS_PORT": str(worker.port)},
            warehouse=self._warehouse.arguments(self._listen.url) if self._warehouse else (),
            abandon_check=self._abandon_check,
        )
        key_file = state.path / "api-key"
        api_key = local_key.read(key_file) or ""
        self._write_environment(state.path, variables, api_key)
        keyring = variables.get("TIDEGATE_KEYRING_FILE")
        if keyring and not Path(keyring).exists():
            with self._reporter.step("making sealing keys"):
                children.command("keys", "seal-init", "--if-missing")
        # With a database of the user's own the command looks for itself.
        if PRIMARY not in self._servers.names or not schema.is_newest(self._servers):
            with self._reporter.step("migrating the database"):
                children.command("migrate", timeout_s=_MIGRATE_TIMEOUT_S)
        for name in children.names:
            children.start(name)
        # Meanwhile: neither needs the replica or a key to start.
        self._servers.finish()
        with self._reporter.step("starting gateway and worker"):
            saved_key = api_key
            api_key = saved_key or local_key.make(children, key_file)
            children.wait_ready()
        if not local_key.is_valid(children, api_key):
            with self._reporter.step("the saved API key is not valid here: making a new one"):
                api_key = local_key.make(children, key_file)
        if api_key != saved_key:
            self._write_environment(state.path, variables, api_key)
        self._reporter.say(self._greeting(api_key, state.path, worker))

    def _stop(self) -> None:
        self._due_s.clear()
        if self._children is not None and self._children.services:
            with self._reporter.step("stopping gateway and worker"):
                drained = self._children.stop()
            if not drained:
                self._reporter.say(f"Not all drained within {self._drain_s:.0f} s: killed.")
        if self._servers.names:
            with self._reporter.step("stopping servers"):
                self._servers.stop()
        self._servers.stop()

    def _watch(self) -> None:
        """Passes a reload on, records what has ended, and restarts what is due."""
        now_s = time.monotonic()
        assert self._children is not None
        if self._reload_asked:
            self._reload_asked = False
            self._reconfigure_warehouse()
            self._children.reload()
            self._reporter.say(
                f"Reloading the settings: see the logs in {self._servers.state.logs}"
            )
        for ended in self._servers.poll():
            self._note(ended.name, LABELS[ended.name], ended.reason, ended.log_tail, now_s)
        for name, service in self._children.services.items():
            if service.exit_status is not None:
                reason = f"ended by itself (status {service.exit_status})"
                self._note(name, f"The {name}", reason, service.log_tail(), now_s)
        for name, due_s in list(self._due_s.items()):
            if due_s <= now_s:
                del self._due_s[name]
                self._restart(name)

    def _note(self, name: str, label: str, reason: str, log_tail: str, now_s: float) -> None:
        if name in self._due_s:
            return
        delay_s = self._deaths.setdefault(name, Deaths()).record(now_s)
        if delay_s is None:
            raise _KeepsEnding(
                f"{label} {reason}, the {DEATHS_MAX}th time within {WINDOW_S:.0f} s: stopping "
                f"everything. The end of {self._servers.state.logs / name}.log:\n{log_tail}"
            )
        self._due_s[name] = now_s + delay_s
        self._reporter.say(f"{label} {reason}: restarting it in {delay_s:.1f} s.")

    def _restart(self, name: str) -> None:
        assert self._children is not None
        if name in self._children.names:
            self._children.start(name)
            return
        try:
            self._servers.restart(name)
        except errors.CannotStart as problem:
            self._note(name, LABELS[name], "did not start", str(problem), time.monotonic())
        else:
            self._reporter.say(f"{LABELS[name]} is back.")

    def _variables(self, state: Path) -> dict[str, str]:
        """The children's settings that name servers and files, but for those the user has set."""
        found = environment.server_settings(self._servers)
        if not self._given["keyring_file"]:
            found["TIDEGATE_KEYRING_FILE"] = str(state / "keyring.toml")
        if not self._given["control_dir"]:
            # An absolute path: a command must use the same one, in any working directory.
            found["TIDEGATE_CONTROL_DIR"] = str(state.resolve() / "control")
        if self._warehouse is not None:
            found["TIDEGATE_CONFIG_ADDED"] = str(self._warehouse.settings_file)
        return found

    def _configured_warehouse(self, state: Path) -> Warehouse | None:
        if not self._with_warehouse:
            return None
        if why := warehouse.missing():
            self._reporter.say(why)
            return None
        made = Warehouse(state, port=free_port())
        made.configure(self._channels)
        return made

    def _reconfigure_warehouse(self) -> None:
        """The warehouse is named for the channels that are in the settings now."""
        if self._warehouse is None:
            return
        try:
            loaded = effective.load_without_database(self._environ)
        except SettingsError:
            return  # the processes say so too, and keep what they have
        self._warehouse.configure([channel.name for channel in loaded.channels])

    def _write_environment(self, state: Path, variables: dict[str, str], api_key: str) -> None:
        exported = {**variables, "TIDEGATE_URL": self._listen.url}
        if self._warehouse is not None:
            exported["TIDEGATE_WAREHOUSE_URL"] = self._warehouse.url
        if api_key:
            exported["TIDEGATE_API_KEY"] = api_key
        write_private(state / "env", surroundings.exports(exported, state=state))

    def _worker_status(self) -> ListenAddress:
        """Where the worker shows its metrics; port 0: nowhere."""
        host = self._given["worker_metrics_host"] or "127.0.0.1"
        return ListenAddress(host, int(self._given["worker_metrics_port"] or free_port()))

    def _greeting(self, api_key: str, state: Path, worker: ListenAddress) -> str:
        places = [
            (LABELS[name], f"127.0.0.1:{self._servers.port(name)}")
            for name in (PRIMARY, REPLICA, VALKEY, JOURNAL)
            if name in self._servers.names
        ]
        if worker.port:
            places.append(("worker", f"{worker.url}/metrics"))
        if self._warehouse is not None:
            places.append(("warehouse", f"{self._warehouse.url}  (a demonstration, see below)"))
        places.append(("logs", str(state / "log")))
        hint = (
            "Its data goes with it."
            if self._ephemeral
            else "The same command starts it again with the same data and the same key."
        )
        return greeting(
            url=self._listen.url,
            places=places,
            state=state,
            api_key=api_key,
            warehouse_url=self._warehouse.url if self._warehouse else "",
            restart_hint=hint,
            program=command_line.as_typed(),
        )

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Only a flag: an exception could come between the start of a process and its recording.
        self._stopping = True

    def _abandon_check(self) -> None:
        meaning = self._hangups.take(time.monotonic())
        if meaning == "end":
            self._stopping = True
        elif meaning == "reload":
            self._reload_asked = True
        if self._stopping:
            raise _Abandoned
