"""Real ``tidegate`` processes for tests that kill them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.domain.access import Role
from gateway.runtime.settings import ProcessRole, Settings

_FILE_ONLY = {"channels", "accounts"}
_READY_S = 20.0


class Processes:
    """Starts processes over ``settings``; whatever still runs at the end is killed.

    ``environment`` may be added to before a start (a provider's secrets); accounts and channels
    of the settings are written into a ``tidegate.toml`` in ``directory``.
    """

    def __init__(self, settings: Settings, *, directory: Path) -> None:
        self._directory = directory
        self._started: list[subprocess.Popen[bytes]] = []
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")
        }
        for name in Settings.__struct_fields__:
            if name not in _FILE_ONLY:
                self.environment[f"TIDEGATE_{name.upper()}"] = str(getattr(settings, name))
        config = directory / "tidegate.toml"
        config.write_text(_toml(settings), "utf-8")
        self.environment["TIDEGATE_CONFIG"] = str(config)

    def serve(
        self, *, port: int, count: int = 1, role: ProcessRole = "all"
    ) -> subprocess.Popen[bytes]:
        """Start a gateway on ``port`` and return once it is ready."""
        words = ["--port", str(port), "--processes", str(count), "--role", role]
        process = self.start("serve", *words)
        self.wait_ready(port, process)
        return process

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start ``tidegate`` with a command; its output goes to ``log_path``."""
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ops.cli", *command],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    @property
    def log_path(self) -> Path:
        """Everything that the processes printed."""
        return self._directory / "tidegate.log"

    def wait_ready(self, port: int, process: subprocess.Popen[bytes]) -> None:
        """Return once /readyz answers 200; raise with the log's end when it does not."""
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"not ready:\n{self.log_path.read_text()[-3000:]}")

    async def make_token(self, *roles: Role) -> str:
        """Make an API key with these roles through the command line."""
        options = [word for role in roles for word in ("--role", role)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ops.cli", "keys", "create", "--name", "test", "--json", *options,
            env=self.environment, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        return str(json.loads(output)["token"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _toml(settings: Settings) -> str:
    lines = []
    for channel in settings.channels:
        lines += ["[[channels]]", f"name = {json.dumps(channel.name)}"]
        lines += [f"lookalike = {json.dumps(channel.lookalike)}"]
    for account in settings.accounts:
        lines += ["[[accounts]]", f"provider = {json.dumps(account.provider)}"]
        lines += [f"name = {json.dumps(account.name)}"]
        lines += [f"channels = {json.dumps(account.channels)}"]
        lines += [f"secrets = {json.dumps(account.secrets)}"]
        options = (f"{key} = {json.dumps(value)}" for key, value in account.options.items())
        lines += [f"options = {{ {', '.join(options)} }}"]
    return "\n".join(lines) + "\n"
