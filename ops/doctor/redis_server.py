"""Redis or Valkey: whether it answers, which it is, and how fast."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as redis_asyncio
import redis.exceptions

from gateway.runtime.settings import Settings
from ops.doctor.findings import Finding, fail, ok, warn

#: Longer than the gateway waits: it distinguishes a slow server from an unreachable one.
PATIENCE_S = 2.0
#: Errors of a server that cannot be queried.
FAILURES = (redis.exceptions.RedisError, OSError)
_VERSION_MIN = (7, 2)
_PINGS = 5


async def redis_server(settings: Settings) -> list[Finding]:
    """Check the server of redis_url. Without one, repeats cost more."""
    if not settings.redis_url:
        return [ok("redis", "not set: Postgres alone recognises repeats")]
    try:
        async with _connected(settings.redis_url) as client:
            info: dict[str, Any] = await client.info("server")
            latency_ms = [await _ping_ms(client) for _ in range(_PINGS)]
    except ValueError:
        # The library's message may quote a piece of the URL.
        return [fail("redis", "redis_url is not understood", "write redis://:password@host:6379/0")]
    except FAILURES as exc:
        detail = f"does not answer: {exc or type(exc).__name__}"
        return [warn("redis", detail, "start it or correct redis_url; until then it is slower")]
    return [
        version(info, check="redis"),
        _latency(sorted(latency_ms)[_PINGS // 2], settings.redis_s),
    ]


async def about(url: str) -> dict[str, Any]:
    """Return the server's INFO section. Raises one of FAILURES; ValueError for an invalid URL."""
    async with _connected(url) as client:
        info: dict[str, Any] = await client.info("server")
        return info


def version(info: dict[str, Any], *, check: str) -> Finding:
    """Tell Valkey from Redis: Valkey also gives the Redis version that it is compatible with."""
    kind = "Valkey" if "valkey_version" in info else "Redis"
    detail = str(info.get("valkey_version") or info.get("redis_version") or "0")
    if tuple(int(part) for part in detail.split(".")[:2] if part.isdigit()) < _VERSION_MIN:
        return fail(check, f"{kind} {detail}", "use Redis or Valkey 7.2 or newer")
    return ok(check, f"{kind} {detail}")


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    client = redis_asyncio.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=PATIENCE_S,
        socket_connect_timeout=PATIENCE_S,
        retry=None,
    )
    try:
        yield client
    finally:
        await client.aclose()


def _latency(median_ms: float, patience_s: float) -> Finding:
    detail = f"{median_ms:.1f} ms a call"
    if median_ms > patience_s * 1000 / 5:
        advice = f"move it closer: calls time out after redis_s, {patience_s * 1000:g} ms"
        return warn("redis latency", detail, advice)
    return ok("redis latency", detail)


async def _ping_ms(client: Any) -> float:
    began_s = time.perf_counter()
    await client.ping()
    return (time.perf_counter() - began_s) * 1000
