"""The environment variables of a child process that runs Tidegate."""

import os
from pathlib import Path

import ops
from ops.embedded.cluster import JOURNAL, PRIMARY, REPLICA, VALKEY, Servers

_PREFIX = "TIDEGATE_"


def inherited() -> dict[str, str]:
    """Return our own environment, extended so that the child imports the code that runs here.

    That holds in any working directory, and whether the project is installed or not.
    """
    root = str(Path(ops.__file__).resolve().parent.parent)
    current = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, current]) if current else root}


def without_settings() -> dict[str, str]:
    """Return the same without the settings a user has made for a gateway of their own."""
    return {name: value for name, value in inherited().items() if not name.startswith(_PREFIX)}


def settings(**values: object) -> dict[str, str]:
    """Return the variables that give these settings these values: ``TIDEGATE_<NAME>``."""
    return {f"{_PREFIX}{name.upper()}": str(value) for name, value in values.items()}


def server_settings(servers: Servers) -> dict[str, str]:
    """Return the settings that name those embedded servers that are started."""
    found = {}
    if PRIMARY in servers.names:
        found["database_url"] = servers.database_url
    if REPLICA in servers.names:
        found["replica_urls"] = servers.replica_url
    if VALKEY in servers.names:
        found["redis_url"] = servers.redis_url
    if JOURNAL in servers.names:
        found["journal_url"] = servers.journal_url
    return settings(**found)
