"""Committed results by digest, in Redis or Valkey.

Nothing here is needed for correctness: a hit is always true because results are written after
their commit, a miss means nothing, and when Redis does not answer it is not called for a moment
and everything goes to Postgres.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis.asyncio as redis_asyncio
import redis.exceptions

from gateway.runtime.clock import Clock
from gateway.stores.redis import scripting
from gateway.stores.redis.cluster_client import FAILURES
from gateway.stores.redis.scripting import script

_log = logging.getLogger(__name__)

#: The braces are a hash tag: the keys of one call live on one node of a cluster.
_PREFIX = b"tidegate:{results}:"
_STORE = script("store_results")


class Connections:
    """Connections to Redis, each used by one call at a time and then by the next.

    The library's client takes a lock, a pool entry and three wrappers a call; on the path of a
    batch that costs as much as the call itself. Its connections do all that is needed here.
    There are never more of them than calls at once, which the committer's slots bound.
    """

    def __init__(self, url: str, *, call_s: float) -> None:
        pool = redis_asyncio.ConnectionPool.from_url(
            url,
            protocol=2,
            # One bound around the whole call instead: the library's own makes a task to write.
            socket_timeout=None,
            socket_connect_timeout=call_s,
            retry=None,
        )
        self._call_s = call_s
        # The library has no annotation here.
        self._make: Callable[[], Any] = pool.make_connection
        self._idle: list[Any] = []

    async def call(self, key: bytes, *arguments: Any) -> Any:
        """Send one command and return its reply. Raises one of ``FAILURES``.

        ``key`` names the server in a cluster; here there is one server.
        """
        connection = self._idle.pop() if self._idle else self._make()
        try:
            async with asyncio.timeout(self._call_s):
                if not connection.is_connected:
                    await connection.connect()
                await connection.send_packed_command(
                    connection.pack_command(*arguments), check_health=False
                )
                reply = await connection.read_response()
        except redis.exceptions.ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            # Half a reply may be on its way: this connection cannot be used again.
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        return reply

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().disconnect()


class ResultCache:
    """Caches committed results for ``ttl_s`` seconds; pauses ``pause_s`` after a failure."""

    def __init__(
        self, *, connections: Connections, clock: Clock, ttl_s: int, pause_s: float
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._ttl_s = ttl_s
        self._pause_s = pause_s
        self._paused_until_s = 0.0
        #: Calls that failed since the process started.
        self.failures = 0

    async def look_up(self, digests: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the cached result of each digest, or None. Never raises."""
        if self._clock.monotonic_s() < self._paused_until_s:
            return [None] * len(digests)
        try:
            found: list[bytes | None] = await self._connections.call(
                _PREFIX, "MGET", *[_PREFIX + digest for digest in digests]
            )
            return found
        except FAILURES as exc:
            self._pause(exc)
            return [None] * len(digests)

    async def store(self, results: Mapping[bytes, bytes]) -> None:
        """Store results that are committed or journaled, by digest. Never raises."""
        if self._clock.monotonic_s() < self._paused_until_s:
            return
        keys = [_PREFIX + digest for digest in results]
        try:
            await scripting.run(self._connections, _STORE, keys, [self._ttl_s, *results.values()])
        except FAILURES as exc:
            self._pause(exc)

    async def is_answering(self) -> bool:
        """Return whether Redis answers now."""
        try:
            await self._connections.call(_PREFIX, "PING")
        except FAILURES:
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()

    def _pause(self, exc: BaseException) -> None:
        self.failures += 1
        self._paused_until_s = self._clock.monotonic_s() + self._pause_s
        _log.warning(
            "redis does not answer; repeats go to postgres", extra={"kind": type(exc).__name__}
        )


class NoResultCache:
    """The cache where no Redis is configured: every look-up misses."""

    failures = 0

    async def look_up(self, digests: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return a miss for each."""
        return [None] * len(digests)

    async def store(self, results: Mapping[bytes, bytes]) -> None:
        """Do nothing."""

    async def is_answering(self) -> bool:
        """Return True: there is no server that could be unavailable."""
        return True

    async def close(self) -> None:
        """Do nothing."""
