"""What all processes together let in of each quota, in Redis or Valkey.

Of each quota one time is kept, by the server's own clock: when the next request would be due if
all had come evenly. So a process that starts knows how all stand, one that ended leaves nothing
behind, and what is lost counts as nothing used. Nothing waits for it, and it expires by itself.
Ids of API keys and names of channels stand in it, and no secret.
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
_USE = script("use")
#: Thirty years. A longer time would not fit into the server's numbers.
_US_MAX = 10**15


class Used(Protocol):
    """What a process let in of a quota, and what was asked of it."""

    @property
    def key(self) -> str:
        """Names the quota as no other."""
        ...

    @property
    def asked(self) -> int:
        """Requests, with those that were refused."""
        ...

    @property
    def let_in(self) -> int:
        """Requests that were not."""
        ...

    @property
    def every_s(self) -> float:
        """Seconds from one request to the next, at the quota's rate."""
        ...

    @property
    def most_s(self) -> float:
        """Seconds that all can be ahead of its rate; what is beyond that is forgotten."""
        ...


class Total(Struct, frozen=True):
    """How far all processes together are ahead of the rate, and what was asked of them lately."""

    ahead_s: float
    asked: float


class RateLimitTotals:
    """The totals of all quotas. Every call ends within ``call_s``, or raises ``Unavailable``.

    What was asked counts half after ``half_s``. Nothing is connected before the first call.
    """

    def __init__(self, *, url: str, call_s: float, half_s: float) -> None:
        self._call_s = call_s
        self._half_us = _us(half_s)
        self._nodes = ClusterClient(url=url, call_s=call_s)

    async def add(self, used: Sequence[Used], *, within_s: float) -> list[Total]:
        """Add what was let in within the last ``within_s``; return the total of each quota.

        Raises ``Unavailable``; it may be added all the same.
        """
        words: list[Any] = [_us(within_s), self._half_us]
        for each in used:
            words += (each.let_in, each.asked, _us(each.every_s), _us(each.most_s))
        keys = [_PREFIX + each.key.encode() for each in used]
        try:
            async with asyncio.timeout(self._call_s):
                told = await scripting.run(self._nodes, _USE, keys, words)
            totals = [Total(int(ahead_us) / 1e6, float(asked)) for ahead_us, asked in told]
        except (*FAILURES, ValueError, TypeError) as exc:
            raise Unavailable("redis") from exc
        if len(totals) != len(used):
            # Not of the script: whatever stands between answers for it.
            raise Unavailable("redis")
        return totals

    async def close(self) -> None:
        """Close the connections."""
        await self._nodes.close()


def _us(seconds: float) -> float:
    return min(seconds * 1e6, _US_MAX)
