"""What all processes together admitted under each rate limit, in Redis or Valkey.

Of each key one time is stored, by the server's own clock: when the next request would be due if all
had come evenly. So a process that starts knows the totals, one that ended leaves nothing behind,
and what is lost counts as nothing used. No request waits for it, and it expires by itself.
It holds ids of API keys and names of channels, and no secret.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.stores.redis import scripting
from gateway.stores.redis.cluster_client import FAILURES, ClusterClient
from gateway.stores.redis.scripting import script

# The braces are a hash tag: all of it lives on one node of a cluster.
_PREFIX = b"tidegate:{load}:quota:"
_ADD = script("add_usage")
#: Thirty years. A longer time would not fit into the server's numbers.
_US_MAX = 10**15


class Usage(Protocol):
    """Requests of one key asked of a process and admitted by it."""

    @property
    def key(self) -> str:
        """Unique among all rate limits."""
        ...

    @property
    def asked(self) -> int:
        """Requests, with those that were rejected."""
        ...

    @property
    def admitted(self) -> int:
        """Requests that were not rejected."""
        ...

    @property
    def every_s(self) -> float:
        """Seconds from one request to the next at the key's rate."""
        ...

    @property
    def ahead_s_max(self) -> float:
        """Seconds that all can be ahead of its rate; what is beyond that is forgiven."""
        ...


class Total(Struct, frozen=True):
    """Seconds that all processes are ahead of the rate, and requests asked of them lately."""

    ahead_s: float
    asked: float


class RateLimitTotals:
    """The totals of all rate limits. Every call ends within ``call_s``, or raises ``Unavailable``.

    Requests asked have a half-life of ``half_s``. Nothing is connected before the first call.
    """

    def __init__(self, *, url: str, call_s: float, half_s: float) -> None:
        self._call_s = call_s
        self._half_us = _us(half_s)
        self._nodes = ClusterClient(url=url, call_s=call_s)

    async def add(self, usage: Sequence[Usage], *, within_s: float) -> list[Total]:
        """Add usage of the last ``within_s`` seconds; return the total of each, in the same order.

        Raises ``Unavailable``; it may have been added all the same.
        """
        arguments: list[Any] = [_us(within_s), self._half_us]
        for each in usage:
            arguments += (
                each.admitted, each.asked, _us(each.every_s), _us(each.ahead_s_max),
            )  # fmt: skip
        keys = [_PREFIX + each.key.encode() for each in usage]
        try:
            async with asyncio.timeout(self._call_s):
                answer = await scripting.run(self._nodes, _ADD, keys, arguments)
            totals = [Total(int(ahead_us) / 1e6, float(asked)) for ahead_us, asked in answer]
        except (*FAILURES, ValueError, TypeError) as exc:
            raise Unavailable("redis") from exc
        if len(totals) != len(usage):
            # Not the script's answer: something between here and the server answered for it.
            raise Unavailable("redis")
        return totals

    async def close(self) -> None:
        """Close the connections."""
        await self._nodes.close()


def _us(seconds: float) -> float:
    return min(seconds * 1e6, _US_MAX)
