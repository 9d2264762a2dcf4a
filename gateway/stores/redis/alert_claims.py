"""Which worker tells a channel of an alert, in Redis, while PostgreSQL is unavailable."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.domain.alerts import State
from gateway.domain.errors import Unavailable
from gateway.stores.redis import scripting
from gateway.stores.redis.cluster_client import FAILURES, ClusterClient
from gateway.stores.redis.scripting import Script, script

# The braces are a hash tag: all of it lives on one node of a cluster.
_PREFIX = b"tidegate:{alerts}:"
_CLAIM, _MARK = script("claim_alerts"), script("mark_alerts_told")
#: An outage of PostgreSQL is shorter.
_EXPIRES_MS = 7 * 86_400_000


class AlertClaims:
    """The claims of all workers. Every call ends within ``call_s``, or raises ``Unavailable``."""

    def __init__(self, *, url: str, call_s: float, claim_s: float, repeat_s: float) -> None:
        self._call_s = call_s
        self._claim_ms = round(claim_s * 1000)
        self._repeat_ms = round(repeat_s * 1000)
        self._nodes = ClusterClient(url=url, call_s=call_s)

    async def claim(self, channel: str, states: Mapping[str, State]) -> list[str]:
        """Return the rules that this worker is to tell the channel of now."""
        arguments: list[Any] = [self._claim_ms, self._repeat_ms, _EXPIRES_MS]
        for rule, state in states.items():
            arguments += [rule, state]
        answer = await self._run(_CLAIM, channel, arguments)
        return [rule.decode() for rule in answer if rule.decode() in states]

    async def told(self, channel: str, states: Mapping[str, State]) -> None:
        """Record that the channel was told of these rules in these states."""
        arguments = [text for pair in states.items() for text in pair]
        await self._run(_MARK, channel, arguments)

    async def close(self) -> None:
        """Close the connections."""
        await self._nodes.close()

    async def _run(self, called: Script, channel: str, arguments: list[Any]) -> Any:
        try:
            async with asyncio.timeout(self._call_s):
                return await scripting.run(
                    self._nodes, called, [_PREFIX + channel.encode()], arguments
                )
        except FAILURES as exc:
            raise Unavailable("redis") from exc
