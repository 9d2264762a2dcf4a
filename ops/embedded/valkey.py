"""Valkey on 127.0.0.1: one server for committed results, and one for the journal.

They differ in durability. Results can be read again from PostgreSQL; an order in the journal was
answered with 202 and is stored nowhere else.
"""

import contextlib
import signal
import socket
from pathlib import Path

from ops.embedded import errors, identity
from ops.embedded.identity import Account
from ops.embedded.postgres import HOST, busy_port
from ops.embedded.processes import Runner, Service
from ops.embedded.state import State, write_private

_START_TIMEOUT_S = 60.0  # loading a full 256 MB file on a slow disk
_STOP_PATIENCE_S = 10.0
_ANSWER_TIMEOUT_S = 1.0

_CONFIG = """
bind {host}
port {port}
protected-mode yes
requirepass {password}
daemonize no
dir {directory}
save ""
appendonly yes
{syncing}
# When full, writes fail; nothing is evicted.
maxmemory 256mb
maxmemory-policy noeviction
"""

#: The loss of a second of results costs queries to PostgreSQL; a sync at each write would make
#: every command wait for the disk.
RESULTS = "appendfsync everysec"
#: What is acknowledged is on the disk, also while the file is being rewritten.
JOURNAL = "appendfsync always\nno-appendfsync-on-rewrite no"


class Valkey:
    """One server. ``syncing`` is RESULTS or JOURNAL: the lines of its configuration that differ."""

    def __init__(
        self,
        *,
        name: str,
        label: str,
        program: Path,
        account: Account | None,
        state: State,
        runner: Runner,
        port: int,
        syncing: str,
    ) -> None:
        self.name = name
        self.label = label
        self.port = port
        self.service: Service | None = None
        self._program = program
        self._account = account
        self._state = state
        self._runner = runner
        self._syncing = syncing
        self._password = state.password(name)

    def launch(self) -> None:
        """The process is starting; `start` returns when it is ready. Raises errors.CannotStart."""
        directory = self._state.data / self.name
        # Complete or not, Valkey starts with it: what may hold orders is never replaced.
        if not directory.exists():
            self._state.fresh_directory(self.name, self._account)
        config = self._state.data / f"{self.name}.conf"
        text = _CONFIG.format(
            host=HOST,
            port=self.port,
            password=self._password,
            directory=_quoted(str(directory)),
            syncing=self._syncing,
        )
        write_private(config, text)
        identity.hand_over(config, self._account)
        argv = [str(self._program), str(config)]
        self.service = self._runner.start(self.name, argv, death_signal=signal.SIGTERM)

    def start(self) -> None:
        """It answers. Raises errors.CannotStart; `stop` is still needed then."""
        if self.service is None or self.service.exit_status is not None:
            self.launch()
        assert self.service is not None, "it was launched"
        try:
            self._runner.wait_ready(self.service, self._answers, timeout_s=_START_TIMEOUT_S)
        except errors.NotReady:
            if "Address already in use" in self.service.log_tail():
                raise errors.CannotStart(busy_port(self.label, self.port)) from None
            raise

    def stop(self) -> None:
        """It has ended, and what it acknowledged is on disk."""
        if self.service is not None:
            self.service.stop(signal.SIGTERM, patience_s=_STOP_PATIENCE_S)

    def _answers(self) -> bool:
        # While it loads its file it answers -LOADING.
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, self.port), _ANSWER_TIMEOUT_S) as connection,
        ):
            connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            reply = b""
            while reply.count(b"\r\n") < 2 and (more := connection.recv(1024)):
                reply += more
            return reply == b"+OK\r\n+PONG\r\n"
        return False


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
