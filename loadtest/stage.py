"""A whole Tidegate to send to: servers of its own, one gateway, one worker, provider accounts.

Everything lives in one directory and ends with this process, even when that is killed.
"""

import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import ops
from loadtest.callbacks import Account
from ops.embedded import errors, processes
from ops.embedded.cluster import Servers
from ops.embedded.processes import Runner, Service
from ops.embedded.report import Reporter

#: Each provider is paid for the orders of one channel.
CHANNELS = ("web", "app", "mini_program")

_READY_TIMEOUT_S = 30.0
_STOP_PATIENCE_S = 15.0


class CannotRun(Exception):
    """The stage can not be set; the text says why."""


class Stage(NamedTuple):
    """Where things are."""

    url: str
    token: str
    database_url: str
    replica_url: str
    directory: Path


@contextmanager
def running(
    accounts: Sequence[Account], *, account_name: str, reporter: Reporter, kept: Path | None
) -> Iterator[Stage]:
    """Start everything, with fsync as in earnest; stop it after the block.

    ``kept`` is a directory that stays, for ``tidegate up --state-dir``; without it everything
    is removed. Raises ``CannotRun``.
    """
    servers = Servers(state=kept, reporter=reporter)
    try:
        servers.start()
        state = servers.state
        config = state.path / "tidegate.toml"
        config.write_text(configured(accounts, account_name, state.path), "utf-8")
        runner = Runner(
            logs=state.logs,
            pids=state.pids,
            environment=_environment(servers, config, state.path / "keyring.toml"),
        )
        token = _prepare(runner, reporter)
        with _children(runner, reporter) as url:
            yield Stage(url, token, servers.database_url, servers.replica_url, state.path)
    except (errors.CannotStart, processes.HelperFailed) as problem:
        raise CannotRun(str(problem)) from problem
    finally:
        servers.stop()


def configured(accounts: Sequence[Account], name: str, directory: Path) -> str:
    """Write the accounts' secrets into files and return the settings that name them."""
    lines = []
    for account, channel in zip(accounts, CHANNELS, strict=True):
        file = directory / f"{account.provider}.secret"
        file.touch(mode=0o600)
        file.write_text(account.secret, "utf-8")
        options = ", ".join(
            f"{key} = {json.dumps(value)}" for key, value in account.options.items()
        )
        lines += [
            "[[accounts]]",
            f"provider = {json.dumps(account.provider)}",
            f"name = {json.dumps(name)}",
            f"channels = {json.dumps([channel])}",
            f"secrets = {json.dumps([f'file:{file}'])}",
            f"options = {{ {options} }}",
        ]
    return "\n".join(lines) + "\n"


def _environment(servers: Servers, config: Path, keyring: Path) -> Mapping[str, str]:
    # What the user has set for a gateway of his own must not reach this one.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return {
        **clean,
        "PYTHONPATH": str(Path(ops.__file__).resolve().parent.parent),
        "TIDEGATE_CONFIG": str(config),
        "TIDEGATE_DATABASE_URL": servers.database_url,
        "TIDEGATE_REPLICA_URLS": servers.replica_url,
        "TIDEGATE_REDIS_URL": servers.redis_url,
        "TIDEGATE_JOURNAL_URL": servers.journal_url,
        "TIDEGATE_KEYRING_FILE": str(keyring),
    }


def _prepare(runner: Runner, reporter: Reporter) -> str:
    """Migrate, make the sealing keys and an API key; return its token."""
    with reporter.step("migrating the database, making keys"):
        runner.run(_argv("keys", "seal-init", "--if-missing"))
        runner.run(_argv("migrate"))
        roles = ("--role", "ingest", "--role", "query")
        said = runner.run(_argv("keys", "create", "--name", "demo", *roles, "--json"))
    return str(json.loads(said)["token"])


@contextmanager
def _children(runner: Runner, reporter: Reporter) -> Iterator[str]:
    """Run a gateway and a worker until the block ends; the URL of the gateway."""
    port = _free_port()
    started: list[Service] = []
    try:
        with reporter.step("starting gateway and worker"):
            listen = ("--host", "127.0.0.1", "--port", str(port))
            gateway = runner.start("gateway", _argv("serve", *listen), death_signal=signal.SIGTERM)
            started.append(gateway)
            started.append(runner.start("worker", _argv("work"), death_signal=signal.SIGTERM))
            runner.wait_ready(gateway, lambda: _is_ready(port), timeout_s=_READY_TIMEOUT_S)
        yield f"http://127.0.0.1:{port}"
        for service in started:
            if service.exit_status is not None:
                raise CannotRun(f"The {service.name} ended by itself:\n{service.log_tail()}")
    finally:
        for service in started:
            service.stop(signal.SIGTERM, patience_s=_STOP_PATIENCE_S)


def _argv(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "ops.cli", *arguments]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(port: int) -> bool:
    # Not urllib: it would go through a proxy of the environment.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
