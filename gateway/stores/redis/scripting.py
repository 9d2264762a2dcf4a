"""Scripts: several commands as one call, done by the server without anything in between."""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple

import redis.exceptions

from gateway.stores.redis.cluster_client import ClusterClient

_SCRIPTS = files(__name__.rpartition(".")[0]).joinpath("scripts")


class Script(NamedTuple):
    """A script and the name that servers know it by."""

    text: bytes
    sha: str


def script(name: str) -> Script:
    """Read the script of this name."""
    text = _SCRIPTS.joinpath(f"{name}.lua").read_bytes()
    return Script(text, sha1(text, usedforsecurity=False).hexdigest())


async def run(
    nodes: ClusterClient, called: Script, keys: Sequence[bytes], words: Sequence[Any]
) -> Any:
    """Run a script on the node that has its keys; the text is sent where it is not known yet.

    Raises one of ``FAILURES``.
    """
    arguments = (len(keys), *keys, *words)
    try:
        return await nodes.call(keys[0], "EVALSHA", called.sha, *arguments)
    except redis.exceptions.NoScriptError:
        return await nodes.call(keys[0], "EVAL", called.text, *arguments)
