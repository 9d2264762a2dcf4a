"""The services that are measured, and how each is started."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from loadtest.bench import databases, processes
from loadtest.bench.servers import Addresses
from loadtest.errors import translated
from ops.harness import environment, first_start

Name = Literal["bare", "plain", "tidegate"]
LETTERS: dict[Name, str] = {"bare": "a", "plain": "b", "tidegate": "c"}
TITLES: dict[Name, str] = {
    "bare": "bare aiohttp, constant answer",
    "plain": "FastAPI + SQLAlchemy + SETNX",
    "tidegate": "Tidegate",
}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A service to measure: the module to run, and the database of its orders."""

    name: Name
    module: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    token: str = ""
    database_url: str = ""


def prepare(name: Name, addresses: Addresses, scratch: Path) -> Contender:
    """Create a database and keys for a contender, as its operator would."""
    if name == "bare":
        return Contender(name=name, module="loadtest.baseline.bare")
    database_url = databases.create(addresses.database_url, f"bench_{name}")
    if name == "plain":
        return _plain(database_url, addresses)
    return _tidegate(database_url, addresses, scratch)


def _plain(database_url: str, addresses: Addresses) -> Contender:
    token = secrets.token_urlsafe(24)
    return Contender(
        name="plain",
        module="loadtest.baseline.plain",
        environment={
            "PLAIN_DATABASE_URL": database_url,
            "PLAIN_REDIS_URL": addresses.redis_url,
            "PLAIN_TOKEN": token,
        },
        token=token,
        database_url=database_url,
    )


def _tidegate(database_url: str, addresses: Addresses, scratch: Path) -> Contender:
    # An empty file of its own: a tidegate.toml in the working directory must not be used.
    config = scratch / "tidegate.toml"
    config.touch()
    variables = environment.settings(
        config=config,
        database_url=database_url,
        redis_url=addresses.redis_url,
        journal_url=addresses.journal_url,
        keyring_file=scratch / "keyring.toml",
        replica_urls=databases.named(addresses.replica_url, "bench_tidegate"),
    )
    tidegate = processes.tidegate(variables)
    with translated():
        token = first_start.prepare(tidegate, key_name="bench", roles=["ingest"])
    return Contender(
        name="tidegate",
        module="ops.cli",
        arguments=("serve",),
        environment=variables,
        token=token,
        database_url=database_url,
    )
