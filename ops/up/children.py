"""The gateway, the worker and the one-off commands: this same program, as processes of its own."""

import errno
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import ops
from ops.embedded import errors, processes
from ops.embedded.processes import Runner, Service

GATEWAY, WORKER = "gateway", "worker"
_READY_TIMEOUT_S = 60.0
_EXIT_MARGIN_S = 1.5
_ANSWER_TIMEOUT_S = 5.0
_POLL_INTERVAL_S = 0.02


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the gateway listens."""

    host: str
    port: int

    @property
    def reach(self) -> str:
        """An address that reaches it from this machine."""
        everywhere = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - read only
        return everywhere.get(self.host, self.host)

    @property
    def url(self) -> str:
        """What to put before the path of a request from this machine."""
        host = f"[{self.reach}]" if ":" in self.reach else self.reach
        return f"http://{host}:{self.port}"


class Children:
    """Starts and stops them. Their environment and working directory are ours, plus `variables`."""

    def __init__(
        self,
        *,
        listen: Listen,
        gateway_processes: int,
        drain_s: float,
        logs: Path,
        pids: Path,
        variables: Mapping[str, str],
        abandon_check: Callable[[], None],
    ) -> None:
        self.listen = listen
        self.services: dict[str, Service] = {}
        self._drain_s = drain_s
        self._arguments = {
            GATEWAY: [
                "serve",
                f"--host={listen.host}",
                f"--port={listen.port}",
                f"--processes={gateway_processes}",
            ],
            WORKER: ["work"],
        }
        self._runner = Runner(
            logs=logs,
            pids=pids,
            environment={**os.environ, **_same_code(), **variables},
            cwd=str(Path.cwd()),
            abandon_check=abandon_check,
        )

    def command(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """What `tidegate ARGUMENTS` printed. Raises errors.CannotStart with its complaint."""
        try:
            return self._runner.run(_argv(*arguments), timeout_s=timeout_s)
        except processes.HelperFailed as problem:
            raise errors.CannotStart(
                f"`tidegate {' '.join(arguments[:2])}` failed: {problem}"
            ) from None

    def start(self, name: str) -> None:
        """The process runs; nothing is said about its being ready."""
        self.services[name] = self._runner.start(
            name, _argv(*self._arguments[name]), death_signal=signal.SIGTERM
        )

    def wait_ready(self) -> None:
        """The gateway answers /readyz with 200 and the worker is alive. Raises errors.NotReady."""
        gateway, worker = self.services[GATEWAY], self.services[WORKER]
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while True:
            status, said = self.get("/readyz")
            for service in (gateway, worker):
                if service.exit_status is not None:
                    raise errors.NotReady(
                        f"The {service.name} ended while starting (status {service.exit_status}). "
                        f"The end of {service.log}:\n{service.log_tail()}"
                    )
            if status == 200:
                return
            if time.monotonic() > deadline_s:
                raise errors.NotReady(
                    f"The gateway was not ready after {_READY_TIMEOUT_S:.0f} s: "
                    f"{said or 'no answer'}. Its log is {gateway.log}."
                )
            self._runner.pause(_POLL_INTERVAL_S)

    def get(self, path: str, *, api_key: str = "") -> tuple[int, str]:
        """Status and body of a GET to the gateway; status 0 when there is no answer."""
        # Not urllib: it would go through the proxy of the environment.
        connection = http.client.HTTPConnection(
            self.listen.reach, self.listen.port, timeout=_ANSWER_TIMEOUT_S
        )
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(4096).decode("utf-8", "replace").strip()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def stop(self) -> bool:
        """The gateway has drained, then the worker; both are gone. False when one was killed.

        Bounded by the drain time and a little: the worker is asked at half of it at the latest.
        """
        began_s = time.monotonic()
        running = [self.services[name] for name in (GATEWAY, WORKER) if name in self.services]
        waiting = list(running)
        while waiting or any(service.exit_status is None for service in running):
            spent_s = time.monotonic() - began_s
            if spent_s > self._drain_s + _EXIT_MARGIN_S:
                break
            ahead_is_gone = all(s.exit_status is not None for s in running if s not in waiting)
            if waiting and (ahead_is_gone or spent_s > self._drain_s / 2):
                waiting.pop(0).send(signal.SIGTERM)
            time.sleep(_POLL_INTERVAL_S)
        late = [service for service in running if service.exit_status is None]
        for service in late:
            service.kill()
        self.services.clear()
        return not late


def check_listen(listen: Listen) -> None:
    """Raises errors.CannotStart when nothing could listen there."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.host, listen.port))
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                way_out = (
                    "Choose another port with --port or TIDEGATE_PORT, or stop what is there "
                    f"(`ss -ltnp 'sport = :{listen.port}'` shows it)."
                )
            elif problem.errno == errno.EACCES:
                way_out = "Choose a port above 1023 with --port or TIDEGATE_PORT."
            else:
                way_out = "Choose an address of this machine with --host or TIDEGATE_HOST."
            raise errors.CannotStart(
                f"The gateway cannot listen on {listen.host or '*'}:{listen.port} "
                f"({problem.strerror or problem}). {way_out}"
            ) from None


def free_port(host: str) -> int:
    """A port that was free just now, for `--port 0`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _argv(*arguments: str) -> list[str]:
    # -P: a directory named `ops` where the command was called must not shadow ours.
    return [sys.executable, "-P", "-m", "ops.cli", *arguments]


def _same_code() -> dict[str, str]:
    root = str(Path(ops.__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([root, inherited]) if inherited else root
    return {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
