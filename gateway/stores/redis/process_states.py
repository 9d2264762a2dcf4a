"""The heartbeats of all processes, published to all others through Redis or Valkey.

A snapshot expires ``expires_s`` after its publication, by the server's own clock: a process that
died is gone then for every reader. Nothing depends on it; what is lost is published again soon.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.stores.redis import scripting
from gateway.stores.redis.cluster_client import FAILURES, ClusterClient
from gateway.stores.redis.scripting import Script, script

#: Processes that are read; of more, those that published last.
COUNT_MAX = 512

# The braces are a hash tag: all of it lives on one node of a cluster.
_SEEN, _BACKS, _STATES = (b"tidegate:{load}:" + name for name in (b"heard", b"backs", b"states"))
_PUBLISH, _PUBLISHED = script("publish"), script("published")


class PeerLoad(Struct, frozen=True):
    """The back load of another process, as it was ``age_s`` ago."""

    back: float
    age_s: float


class Published(Struct, frozen=True):
    """A snapshot, encoded as it was published ``age_s`` ago."""

    state: bytes
    age_s: float


class ProcessStates:
    """The snapshots of all processes. Every call ends within ``call_s``, or raises ``Unavailable``.

    Nothing is connected before the first call.
    """

    def __init__(self, *, url: str, call_s: float, expires_s: float) -> None:
        self._expires_ms = round(expires_s * 1000)
        self._call_s = call_s
        self._nodes = ClusterClient(url=url, call_s=call_s)

    async def publish(self, process: str, *, back: float, state: bytes) -> list[PeerLoad]:
        """Publish a process' snapshot and back load; return the back load of the others.

        ``process`` is its unique key. Raises ``Unavailable``; it may have been published all the
        same.
        """
        keys = [_SEEN, _BACKS, _STATES]
        arguments = [process, back, state, self._expires_ms, COUNT_MAX]
        with _understood():
            answer = await self._run(_PUBLISH, keys, arguments)
            backs = [(_number(back), age_ms) for back, age_ms in answer]
            return [PeerLoad(back, age_ms / 1000) for back, age_ms in backs if back is not None]

    async def published(self) -> list[Published]:
        """Return the snapshots of all processes, the newest first. Raises ``Unavailable``."""
        with _understood():
            answer = await self._run(_PUBLISHED, [_SEEN, _STATES], [self._expires_ms, COUNT_MAX])
            return [Published(state, age_ms / 1000) for state, age_ms in answer]

    async def close(self) -> None:
        """Close the connections."""
        await self._nodes.close()

    async def _run(self, called: Script, keys: Sequence[bytes], arguments: Sequence[Any]) -> Any:
        try:
            async with asyncio.timeout(self._call_s):
                return await scripting.run(self._nodes, called, keys, arguments)
        except FAILURES as exc:
            raise Unavailable("redis") from exc


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Raise ``Unavailable`` for what is not the script's answer: something else answered for it."""
    try:
        yield
    except (ValueError, TypeError) as exc:
        raise Unavailable("redis") from exc


def _number(text: bytes) -> float | None:
    # What is no number was written by another program.
    with contextlib.suppress(ValueError):
        return float(text)
    return None
