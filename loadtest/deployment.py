"""A whole Tidegate for a load test: servers, a gateway, a worker, provider accounts, a warehouse.

Everything is in one directory and ends with this process, even when that is killed.
"""

import base64
import secrets
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from loadtest.errors import translated
from loadtest.payers.contract import Payer
from ops.embedded.cluster import Servers
from ops.embedded.processes import Runner
from ops.embedded.report import Reporter
from ops.harness import accounts_file, command_line, environment, first_start, listen_address
from ops.harness.gateway_process import Services, wait_ready
from ops.harness.ports import free_port

#: Each provider is used for the orders of one channel.
CHANNELS = ("web", "app", "mini_program")
#: The target that is told of every change of an order.
TARGET = "warehouse"

_READY_TIMEOUT_S = 30.0
_STOP_PATIENCE_S = 15.0


class Deployment(NamedTuple):
    """A running Tidegate: its addresses, an API key, and the databases that hold the results."""

    url: str
    #: An API key with the roles ``ingest`` and ``query``.
    token: str
    database_url: str
    #: Empty without a replica.
    replica_url: str
    directory: Path
    #: What the warehouse has received, a line each; see ``handoff.recorder``.
    receipts: Path = Path()


@contextmanager
def running(
    payers: Sequence[Payer], *, account_name: str, reporter: Reporter, state_dir: Path | None
) -> Iterator[Deployment]:
    """Start everything, with fsync as in production; stop it after the block.

    ``state_dir`` is a directory that stays, for ``tidegate up --state-dir``; without it everything
    is removed. Raises ``CannotRun``.
    """
    servers = Servers(state=state_dir, reporter=reporter)
    try:
        with translated():
            servers.start()
            state = servers.state
            config = state.path / "tidegate.toml"
            port = free_port()
            configured = _configured(payers, account_name, state.path)
            config.write_text(configured + _target(state.path, port), "utf-8")
            runner = Runner(
                logs=state.logs,
                pids=state.pids,
                environment={
                    **environment.without_settings(),
                    **environment.server_settings(servers),
                    **environment.settings(config=config, keyring_file=state.path / "keyring.toml"),
                },
            )
            with reporter.step("migrating the database, creating keys"):
                token = first_start.prepare(
                    lambda *arguments: runner.run(command_line.tidegate(*arguments)),
                    key_name="demo",
                    roles=["ingest", "query"],
                )
            receipts = state.path / "receipts.jsonl"
            with _processes(runner, reporter, port, receipts) as url:
                yield Deployment(
                    url, token, servers.database_url, servers.replica_url, state.path, receipts
                )
    finally:
        servers.stop()


def _configured(payers: Sequence[Payer], name: str, directory: Path) -> str:
    """Write the accounts' secrets into files and return the settings that name them.

    The channels take orders that nothing is sent of.
    """
    sections = [f'[[channels]]\nname = "{channel}"\nrecipient = "optional"' for channel in CHANNELS]
    sections += [
        accounts_file.section(
            provider=payer.provider,
            name=name,
            channels=[channel],
            secrets=accounts_file.write_secrets(directory, payer.provider, payer.secrets),
            options=payer.options,
        )
        for payer, channel in zip(payers, CHANNELS, strict=True)
    ]
    return "\n".join(sections) + "\n"


def _target(directory: Path, port: int) -> str:
    """Write the warehouse's secret into a file and return the section that names it."""
    (secret,) = accounts_file.write_secrets(directory, TARGET, [new_secret()])
    values = {
        "name": TARGET,
        "kind": "webhook",
        "url": f"http://127.0.0.1:{port}/hand-off",
        "secrets": [secret],
        "private_addresses": ["127.0.0.1"],
    }
    lines = [f"{key} = {accounts_file.value(value)}" for key, value in values.items()]
    return "\n".join(["[[targets]]", *lines, ""])


def new_secret() -> str:
    """Return a secret to sign webhooks with."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@contextmanager
def _processes(runner: Runner, reporter: Reporter, port: int, receipts: Path) -> Iterator[str]:
    """Run a gateway, a worker and a warehouse until the block ends; yield the gateway's URL."""
    address = listen_address.loopback(free_port())
    record = command_line.python_module(
        "loadtest.handoff.recorder",
        f"--port={port}",
        f"--secret-file={receipts.with_name(f'{TARGET}.secret1')}",
        f"--file={receipts}",
    )
    serve = command_line.tidegate("serve", "--host", address.host, "--port", str(address.port))
    with Services(stop_timeout_s=_STOP_PATIENCE_S) as services:
        with reporter.step("starting gateway, worker and warehouse"):
            gateway = services.add(runner.start("gateway", serve, death_signal=signal.SIGTERM))
            work = command_line.tidegate("work")
            worker = services.add(runner.start("worker", work, death_signal=signal.SIGTERM))
            warehouse = services.add(runner.start("warehouse", record, death_signal=signal.SIGTERM))
            running = [gateway, worker, warehouse]
            wait_ready(address, running, timeout_s=_READY_TIMEOUT_S, pause=runner.pause)
        yield address.url
