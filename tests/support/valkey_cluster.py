"""Valkey servers of a test's own, configured as a journal's must be: one, or a cluster of three.

They end with the test process, however it ends.
"""

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from ops.embedded import binaries
from ops.embedded.processes import Runner, Service
from ops.harness.ports import free_port
from tests.support.patience import HANG_S

_SLOTS = 16384
_POLL_INTERVAL_S = 0.02
_DURABLE = ("--appendonly yes --appendfsync always --save  --maxmemory 64mb "
        "--maxmemory-policy noeviction --bind 127.0.0.1").split(" ")  # fmt: skip


class Server:
    """One valkey-server in a directory of its own."""

    def __init__(self, directory: Path, options: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        directory.mkdir()
        self._runner = Runner(logs=directory, pids=directory, environment={"LC_ALL": "C"})
        self._argv = [str(binaries.find_valkey()), "--port", str(self.port), "--dir"]
        self._argv += [str(directory), *_DURABLE, *options]
        self._service: Service | None = None
        #: A plain client, to inspect the server.
        self.client: Any = redis.Redis(port=self.port, protocol=2, socket_timeout=HANG_S)

    def start(self) -> None:
        """It answers afterwards, with the data it had stored."""
        self._service = self._runner.start("valkey", self._argv, death_signal=signal.SIGKILL)
        self._runner.wait_ready(self._service, self._answers, timeout_s=HANG_S)

    def kill(self) -> None:
        """It has ended at once, as in a crash."""
        if self._service is not None:
            self._service.kill()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections and answers nothing, until the end of the block."""
        assert self._service is not None, "only what was started can be frozen"
        self._service.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._service.send(signal.SIGCONT)

    @contextmanager
    def set_to(self, **options: str) -> Iterator[None]:
        """Its settings are these, until the end of the block."""
        changed = {name.replace("_", "-"): value for name, value in options.items()}
        before = {name: self.client.config_get(name)[name] for name in changed}
        for name, value in changed.items():
            self.client.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                self.client.config_set(name, value)

    def close(self) -> None:
        """It has ended, and the client is closed."""
        self.client.close()
        self.kill()

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.client.ping())
        return False


@contextmanager
def server_in(directory: Path) -> Iterator[Server]:
    """Yield a server that is no cluster."""
    server = Server(directory / "alone")
    try:
        server.start()
        yield server
    finally:
        server.close()


@contextmanager
def cluster_in(directory: Path) -> Iterator[list[Server]]:
    """Yield the three primaries of a cluster; each continues to work when another has ended."""
    nodes = [Server(directory / f"node{n}", _cluster_options()) for n in range(3)]
    try:
        for node in nodes:
            node.start()
        _join(nodes)
        yield nodes
    finally:
        for node in nodes:
            node.close()


def _cluster_options() -> list[str]:
    return (
        f"--cluster-enabled yes --cluster-port {free_port()} --cluster-node-timeout 1000 "
        "--cluster-require-full-coverage no --cluster-config-file nodes.conf"
    ).split()


def _join(nodes: Sequence[Server]) -> None:
    share = _SLOTS // len(nodes) + 1
    for n, node in enumerate(nodes):
        node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        last = min((n + 1) * share, _SLOTS) - 1
        node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", n * share, last)
    for node in nodes[1:]:
        bus = node.client.config_get("cluster-port")["cluster-port"]
        nodes[0].client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
    deadline_s = time.monotonic() + HANG_S
    while not all(_is_joined(node, len(nodes)) for node in nodes):
        assert time.monotonic() < deadline_s, "the cluster did not form in time"
        time.sleep(_POLL_INTERVAL_S)


def _is_joined(node: Server, size: int) -> bool:
    info = node.client.execute_command("CLUSTER", "INFO")
    state = info if isinstance(info, dict) else dict(
        line.split(":") for line in info.decode().split()
    )  # fmt: skip
    return (state["cluster_state"], state["cluster_size"]) == ("ok", str(size))
