"""Valkey on 127.0.0.1, set up as a journal must be: it syncs before it answers, and keeps all."""

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
# Only committed results are kept here, and losing them costs a look-up in PostgreSQL: a sync a
# second is enough, and one a write would make every look-up wait for the disk.
appendonly yes
appendfsync everysec
save ""
# Full means refused, never forgotten.
maxmemory 256mb
maxmemory-policy noeviction
"""


class Valkey:
    """The one server of the Redis side."""

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
    ) -> None:
        self.name = name
        self.label = label
        self.port = port
        self.service: Service | None = None
        self._program = program
        self._account = account
        self._state = state
        self._runner = runner
        self._password = state.password(name)

    def launch(self) -> None:
        """The process is starting: `wait` tells when it is ready. Raises errors.CannotStart."""
        directory = self._state.data / self.name
        if not self._state.is_made(self.name):
            # Nothing of value can be in it yet: the marker is set before the first start.
            self._state.remove(self.name)
            self._state.fresh_directory(self.name, self._account)
            self._state.mark_made(self.name)
        config = self._state.data / "valkey.conf"
        text = _CONFIG.format(
            host=HOST, port=self.port, password=self._password, directory=_quoted(str(directory))
        )
        write_private(config, text)
        identity.hand_over(config, self._account)
        argv = [str(self._program), str(config)]
        self.service = self._runner.start(self.name, argv, death_signal=signal.SIGTERM)

    def wait(self) -> None:
        """It answers. Raises errors.CannotStart; `stop` is still needed then."""
        if self.service is None:
            raise RuntimeError("launch first")
        try:
            self._runner.wait_ready(self.service, self._answers, timeout_s=_START_TIMEOUT_S)
        except errors.NotReady:
            if "Address already in use" in self.service.log_tail():
                raise errors.CannotStart(busy_port(self.label, self.port)) from None
            raise

    def start(self) -> None:
        """It answers. Raises errors.CannotStart."""
        self.launch()
        self.wait()

    def stop(self) -> None:
        """What it acknowledged is on disk; it is gone."""
        if self.service is not None:
            self.service.stop(signal.SIGTERM, patience_s=_STOP_PATIENCE_S)

    def _answers(self) -> bool:
        # While it loads its file it answers -LOADING.
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, self.port), _ANSWER_TIMEOUT_S) as connection,
        ):
            connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            said = b""
            while said.count(b"\r\n") < 2 and (more := connection.recv(1024)):
                said += more
            return said == b"+OK\r\n+PONG\r\n"
        return False


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
