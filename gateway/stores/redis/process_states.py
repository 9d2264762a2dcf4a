"""How each process stands, told to all others through Redis or Valkey.

A state is of nobody ``kept_s`` after it was published, by the server's own clock: a process that
died is gone then, whoever looks. Nothing depends on it; what is lost is published again at once.
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

#: Processes that are looked at; of more, those that published last.
COUNT_MAX = 512

# The braces are a hash tag: all of it lives on one node of a cluster.
_HEARD, _BACKS, _STATES = (b"tidegate:{load}:" + name for name in (b"heard", b"backs", b"states"))
_PUBLISH, _PUBLISHED = script("publish"), script("published")


class Back(Struct, frozen=True):
    """What lies behind another process, as it was ``age_s`` ago."""

    back: float
    age_s: float


class Published(Struct, frozen=True):
    """A state as it was published, ``age_s`` ago."""

    state: bytes
    age_s: float


class ProcessStates:
    """The states of all processes. Every call ends within ``call_s``, or raises ``Unavailable``.

    Nothing is connected before the first call.
    """

    def __init__(self, *, url: str, call_s: float, kept_s: float) -> None:
        self._kept_ms = round(kept_s * 1000)
        self._call_s = call_s
        self._nodes = ClusterClient(url=url, call_s=call_s)

    async def publish(self, process: str, *, back: float, state: bytes) -> list[Back]:
        """Publish the state of a process and what lies behind it; return that of the others.

        ``process`` names it as nothing else is named. Raises ``Unavailable``; it may be published
        all the same.
        """
        keys, words = [_HEARD, _BACKS, _STATES], [process, back, state, self._kept_ms, COUNT_MAX]
        with _understood():
            told = await self._run(_PUBLISH, keys, words)
            backs = [(_number(back), age_ms) for back, age_ms in told]
            return [Back(back, age_ms / 1000) for back, age_ms in backs if back is not None]

    async def published(self) -> list[Published]:
        """Return the states of all processes, the newest first. Raises ``Unavailable``."""
        with _understood():
            told = await self._run(_PUBLISHED, [_HEARD, _STATES], [self._kept_ms, COUNT_MAX])
            return [Published(state, age_ms / 1000) for state, age_ms in told]

    async def close(self) -> None:
        """Close the connections."""
        await self._nodes.close()

    async def _run(self, called: Script, keys: Sequence[bytes], words: Sequence[Any]) -> Any:
        try:
            async with asyncio.timeout(self._call_s):
                return await scripting.run(self._nodes, called, keys, words)
        except FAILURES as exc:
            raise Unavailable("redis") from exc


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Raise ``Unavailable`` for what is no answer of the script: something else answered for it."""
    try:
        yield
    except (ValueError, TypeError) as exc:
        raise Unavailable("redis") from exc


def _number(text: bytes) -> float | None:
    # What is no number was not written by one of us.
    with contextlib.suppress(ValueError):
        return float(text)
    return None
