"""Lua scripts: several commands as one call, run by the server with nothing in between."""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

import redis.exceptions

_SCRIPTS = files(__name__.rpartition(".")[0]).joinpath("scripts")


class Client(Protocol):
    """Sends commands to the server that has a key."""

    async def call(self, key: bytes, *arguments: Any) -> Any:
        """Send one command and return its reply. Raises one of ``cluster_client.FAILURES``."""
        ...


class Script(NamedTuple):
    """A script, and the hex SHA-1 of it by which servers that have it cached know it."""

    text: bytes
    sha: str


def script(name: str) -> Script:
    """Read ``scripts/<name>.lua``."""
    text = _SCRIPTS.joinpath(f"{name}.lua").read_bytes()
    return Script(text, sha1(text, usedforsecurity=False).hexdigest())


async def run(
    client: Client, called: Script, keys: Sequence[bytes], arguments: Sequence[Any]
) -> Any:
    """Run a script on the server that has its keys, and return its reply.

    The text itself is sent only where the server does not have it cached (``NOSCRIPT``).
    Raises one of ``cluster_client.FAILURES``.
    """
    counted = (len(keys), *keys, *arguments)
    try:
        return await client.call(keys[0], "EVALSHA", called.sha, *counted)
    except redis.exceptions.NoScriptError:
        return await client.call(keys[0], "EVAL", called.text, *counted)
