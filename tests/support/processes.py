"""Real ``tidegate`` processes for tests that kill them."""

import asyncio
import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from gateway.domain.access import Role
from gateway.runtime.settings import ProcessRole, Settings
from ops.embedded import errors, processes
from ops.embedded.processes import Service
from ops.harness import accounts_file, command_line, environment, first_start, listen_address
from ops.harness.gateway_process import wait_ready
from tests.support.patience import HANG_S

_FILE_ONLY = {"channels", "accounts", "targets"}


class Processes:
    """Starts processes with ``settings``; those that still run at the end are killed.

    ``environment`` may be extended before a start (a provider's secrets). Accounts, channels and
    targets of the settings are written into a ``tidegate.toml`` in ``directory``.
    """

    def __init__(self, settings: Settings, *, directory: Path) -> None:
        self._directory = directory
        self._started: list[Service] = []
        config = directory / "tidegate.toml"
        config.write_text(_toml(settings), "utf-8")
        given = {
            name: getattr(settings, name)
            for name in Settings.__struct_fields__
            if name not in _FILE_ONLY
        }
        self.environment = {
            **environment.without_settings(),
            **environment.settings(config=config, **given),
        }

    def serve(
        self, *, port: int, count: int = 1, role: ProcessRole = "all"
    ) -> subprocess.Popen[bytes]:
        """Start a gateway on ``port`` and return once it is ready."""
        options = ["--port", str(port), "--processes", str(count), "--role", role]
        service = self._start("serve", *options)
        try:
            wait_ready(listen_address.loopback(port), [service], timeout_s=HANG_S)
        except errors.NotReady as problem:
            raise AssertionError(str(problem)) from None
        return service.process

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start ``tidegate`` with a command; its output goes to ``log_path``."""
        return self._start(*command).process

    def start_module(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``python -m module``, which is none of ours to configure by a command."""
        return self._launch(command_line.python_module(module, *arguments)).process

    def _start(self, *command: str) -> Service:
        return self._launch(command_line.tidegate(*command))

    def _launch(self, argv: list[str]) -> Service:
        # Without a death signal: some tests start processes from threads that end before them.
        service = processes.start(
            "tidegate",
            argv,
            log=self.log_path,
            environment=self.environment,
            death_signal=None,
        )
        self._started.append(service)
        return service

    @property
    def log_path(self) -> Path:
        """The file with everything that the processes print."""
        return self._directory / "tidegate.log"

    async def make_token(self, *roles: Role) -> str:
        """Create an API key with these roles through the command line; return its token."""
        return await asyncio.to_thread(
            first_start.create_api_key, self._run, name="test", roles=roles
        )

    def _run(self, *arguments: str) -> str:
        return processes.run(
            command_line.tidegate(*arguments), environment=self.environment, death_signal=None
        )

    def kill(self) -> None:
        """Kill every process that still runs."""
        for service in self._started:
            service.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()


def _toml(settings: Settings) -> str:
    lines = []
    for channel in settings.channels:
        rules = msgspec.structs.asdict(channel)
        lines += ["[[channels]]", *(f"{name} = {json.dumps(rules[name])}" for name in rules)]
    for account in settings.accounts:
        lines.append(
            accounts_file.section(
                provider=account.provider,
                name=account.name,
                channels=account.channels,
                secrets=account.secrets,
                options=account.options,
            )
        )
    for target in settings.targets:
        values = msgspec.structs.asdict(target)
        lines += ["[[targets]]", *(f"{key} = {accounts_file.value(values[key])}" for key in values)]
    return "\n".join(lines) + "\n"
