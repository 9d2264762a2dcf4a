"""Committed results by digest, in Redis or Valkey.

Nothing here is needed for correctness: a hit is always true because results are written after
their commit, a miss means nothing, and when Redis does not answer it is left alone for a
moment and everything goes to Postgres.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

import redis.asyncio as redis_asyncio
import redis.exceptions

from gateway.runtime.clock import Clock
from gateway.runtime.settings import Settings

_log = logging.getLogger(__name__)

#: The braces are a hash tag: the keys of one call live on one node of a cluster.
_PREFIX = b"tidegate:{results}:"
_REMEMBER = files(__name__.rpartition(".")[0]).joinpath("scripts/remember.lua").read_bytes()
_REMEMBER_SHA = sha1(_REMEMBER, usedforsecurity=False).hexdigest()

_FAILURES = (redis.exceptions.RedisError, OSError, asyncio.TimeoutError)


def connect(settings: Settings) -> "redis_asyncio.Redis":
    """Make a client that never waits long and never retries by itself; it connects when used."""
    pool = redis_asyncio.BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=2 * settings.batches_in_flight + 2,
        timeout=settings.redis_s,
        protocol=2,
        socket_timeout=settings.redis_s,
        socket_connect_timeout=settings.redis_s,
        retry=None,
        retry_on_timeout=False,
    )
    return redis_asyncio.Redis(connection_pool=pool)


class Results:
    """What was committed, for ``ttl_s`` seconds."""

    def __init__(
        self, *, client: "redis_asyncio.Redis", clock: Clock, ttl_s: int, pause_s: float
    ) -> None:
        # The library's own type hints end at the method that takes any command.
        self._call: Callable[..., Awaitable[Any]] = client.execute_command
        self._client = client
        self._clock = clock
        self._ttl_s = ttl_s
        self._pause_s = pause_s
        self._paused_until_s = 0.0
        #: Calls that failed since the process started.
        self.failures = 0

    async def look_up(self, digests: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the remembered result of each digest, or None. Never raises."""
        if self._clock.monotonic_s() < self._paused_until_s:
            return [None] * len(digests)
        try:
            found: list[bytes | None] = await self._call(
                "MGET", *[_PREFIX + digest for digest in digests]
            )
            return found
        except _FAILURES as exc:
            self._pause(exc)
            return [None] * len(digests)

    async def remember(self, results: Mapping[bytes, bytes]) -> None:
        """Remember results that are committed. Never raises."""
        if self._clock.monotonic_s() < self._paused_until_s:
            return
        keys = [_PREFIX + digest for digest in results]
        arguments = (len(keys), *keys, self._ttl_s, *results.values())
        try:
            try:
                await self._call("EVALSHA", _REMEMBER_SHA, *arguments)
            except redis.exceptions.NoScriptError:
                await self._call("EVAL", _REMEMBER, *arguments)
        except _FAILURES as exc:
            self._pause(exc)

    async def is_answering(self) -> bool:
        """Say whether Redis answers now."""
        try:
            await self._call("PING")
        except _FAILURES:
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _pause(self, exc: BaseException) -> None:
        self.failures += 1
        self._paused_until_s = self._clock.monotonic_s() + self._pause_s
        _log.warning(
            "redis does not answer; repeats go to postgres", extra={"kind": type(exc).__name__}
        )


class NoResults:
    """Stands in where no Redis is configured: remembers nothing, forgets nothing."""

    failures = 0

    async def look_up(self, digests: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return a miss for each."""
        return [None] * len(digests)

    async def remember(self, results: Mapping[bytes, bytes]) -> None:
        """Do nothing."""

    async def is_answering(self) -> bool:
        """Say yes: there is nothing that could be away."""
        return True

    async def close(self) -> None:
        """Do nothing."""
