"""The gateway, the worker, the warehouse and the one-off commands: our programs, as children."""

import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gateway.runtime import addresses, hangup
from ops.embedded import errors, processes
from ops.embedded.processes import Runner, Service
from ops.harness import command_line, environment, gateway_process
from ops.harness.listen_address import ListenAddress

GATEWAY, WORKER, WAREHOUSE = "gateway", "worker", "warehouse"
_NAMES = (GATEWAY, WORKER, WAREHOUSE)
_READY_TIMEOUT_S = 60.0
_EXIT_MARGIN_S = 1.5
_POLL_INTERVAL_S = 0.02


class Children:
    """Starts and stops them, in our working directory, with our environment plus `variables`."""

    def __init__(
        self,
        *,
        listen: ListenAddress,
        gateway_processes: int,
        drain_s: float,
        logs: Path,
        pids: Path,
        variables: Mapping[str, str],
        warehouse: Sequence[str],
        abandon_check: Callable[[], None],
    ) -> None:
        """``warehouse``: the argv of the demonstration warehouse; empty: there is none."""
        self.listen = listen
        self.services: dict[str, Service] = {}
        self._drain_s = drain_s
        serve = command_line.tidegate(
            "serve",
            f"--host={listen.host}",
            f"--port={listen.port}",
            f"--processes={gateway_processes}",
        )
        self._argvs = {GATEWAY: serve, WORKER: command_line.tidegate("work")}
        if warehouse:
            self._argvs[WAREHOUSE] = [*warehouse]
        self._runner = Runner(
            logs=logs,
            pids=pids,
            environment={**environment.inherited(), "PYTHONUNBUFFERED": "1", **variables},
            cwd=str(Path.cwd()),
            abandon_check=abandon_check,
        )

    def command(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """What `tidegate ARGUMENTS` printed. Raises errors.CannotStart with its error output."""
        try:
            return self._runner.run(command_line.tidegate(*arguments), timeout_s=timeout_s)
        except processes.HelperFailed as problem:
            raise errors.CannotStart(
                f"`tidegate {' '.join(arguments[:2])}` failed: {problem}"
            ) from None

    @property
    def names(self) -> list[str]:
        """The processes that belong to this run, in the order of their start."""
        return list(self._argvs)

    def start(self, name: str) -> None:
        """The process runs; it need not be ready yet."""
        with hangup.held_back():
            self.services[name] = self._runner.start(
                name, self._argvs[name], death_signal=signal.SIGTERM
            )

    def reload(self) -> None:
        """Both read their settings again; what comes of it is in their logs.

        The worker first: it must know a channel before the gateway accepts orders of it.
        """
        for name in (WORKER, GATEWAY):
            if name in self.services:
                self.services[name].send(signal.SIGHUP)

    def wait_ready(self) -> None:
        """The gateway answers /readyz with 200 and the others are alive. Raises errors.NotReady."""
        gateway_process.wait_ready(
            self.listen,
            [self.services[name] for name in self._argvs],
            timeout_s=_READY_TIMEOUT_S,
            pause=self._runner.pause,
        )

    def stop(self) -> bool:
        """The gateway has drained, then the worker, then the warehouse; all have ended.

        False when one was killed. Takes at most `drain_s` and a margin; whoever waits for those
        before it gets SIGTERM after half of it at last.
        """
        began_s = time.monotonic()
        running = [self.services[name] for name in _NAMES if name in self.services]
        waiting = list(running)
        while waiting or any(service.exit_status is None for service in running):
            spent_s = time.monotonic() - began_s
            if spent_s > self._drain_s + _EXIT_MARGIN_S:
                break
            ahead_has_ended = all(s.exit_status is not None for s in running if s not in waiting)
            if waiting and (ahead_has_ended or spent_s > self._drain_s / 2):
                waiting.pop(0).send(signal.SIGTERM)
            time.sleep(_POLL_INTERVAL_S)
        late = [service for service in running if service.exit_status is None]
        for service in late:
            service.kill()
        self.services.clear()
        return not late


def check_listen(listen: ListenAddress) -> None:
    """Raises errors.CannotStart when no process could listen there now."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.host, listen.port))
        except OSError as problem:
            what = addresses.not_listening(
                listen.host,
                listen.port,
                problem,
                host_setting="--host or TIDEGATE_HOST",
                port_setting="--port or TIDEGATE_PORT",
            )
            raise errors.CannotStart(f"The gateway {what}") from None
