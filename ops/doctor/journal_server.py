"""The journal's server: durability settings, memory used, entries waiting."""

from typing import Any

from gateway.domain.errors import Unavailable
from gateway.runtime.settings import Settings
from gateway.stores.redis.journal_streams import Depth, JournalStreams
from ops import failures
from ops.doctor import redis_server
from ops.doctor.findings import Finding, fail, ok, warn

#: Share of its memory that leaves time to do something about it.
_FILL_MAX = 0.8
#: A drainer takes over what a dead one has left after 30 s: older than this, none is at work.
_OLDEST_MAX_S = 60.0

_WITHOUT = "orders are rejected with 503 while Postgres is unavailable"


async def journal_server(settings: Settings) -> list[Finding]:
    """Check the server of journal_url, or of redis_url where journal_url is not set."""
    name = "journal_url" if settings.journal_url else "redis_url"
    url = settings.journal_url or settings.redis_url
    # A server configured as the journal is part of the promise; the default one is not.
    blame = fail if settings.journal_url else warn
    if not url:
        advice = "name a Redis or Valkey that syncs each write in journal_url"
        return [warn("journal", f"none: {_WITHOUT}", advice)]
    try:
        about = await redis_server.about(url)
        streams = JournalStreams(
            url=url, shards=settings.journal_shards, call_s=redis_server.PATIENCE_S
        )
    except ValueError:
        # The library's message may quote a piece of the URL.
        advice = f"write {name} as redis://:password@host:6379/0"
        return [blame("journal", f"{name} is not understood", advice)]
    except redis_server.FAILURES as exc:
        return [blame("journal", f"does not answer: {failures.reason(exc)}", _start(name))]
    try:
        depth = await streams.depth()
        unfit = await streams.fitness()
    except Unavailable as exc:
        return [blame("journal", failures.unavailable(exc), _start(name))]
    finally:
        await streams.close()
    found = [
        redis_server.version(about, check="journal"),
        _fitness(unfit, settings),
        _waiting(depth),
    ]
    if settings.journal_url or not unfit:
        found += [_fill(depth, settings.journal_fill_max), *await _sharing(about, settings)]
    return found


def _start(name: str) -> str:
    return (
        f"start it, or correct {name}; {_WITHOUT} too, and what was answered with 202 may be "
        "waiting in it"
    )


async def _sharing(about: dict[str, Any], settings: Settings) -> list[Finding]:
    """Compare the servers themselves: two URLs may name one."""
    if not settings.redis_url:
        return []
    try:
        results = await redis_server.about(settings.redis_url)
    except (ValueError, *redis_server.FAILURES):
        return []  # the check of redis_url reports it
    if results.get("run_id") != about.get("run_id"):
        return [ok("journal's own server", "results are kept on another")]
    detail = "results are kept on it too: a FLUSHALL there would lose acknowledged orders"
    return [
        warn("journal's own server", detail, "give the journal a server of its own: journal_url")
    ]


def _fitness(unfit: str, settings: Settings) -> Finding:
    if not unfit:
        return ok("journal keeps its word", "syncs each write, never evicts, has a bound")
    if settings.journal_url:
        advice = f"change it with CONFIG SET and in its file; until then {_WITHOUT}"
        return fail("journal keeps its word", f"it is not used: {unfit}", advice)
    return warn(
        "journal keeps its word",
        f"journal_url is not set and redis_url's server is not fit: {unfit}",
        f"name a fit server in journal_url; until then {_WITHOUT}",
    )


def _fill(depth: Depth, fill_max: float) -> Finding:
    detail = f"{depth.fill:.0%} of its memory used"
    advice = (
        f"start Postgres and `tidegate work`, or raise maxmemory; past {fill_max:.0%} {_WITHOUT}"
    )
    if depth.fill > fill_max:
        return fail("journal fill", detail, advice)
    if depth.fill >= _FILL_MAX:
        return warn("journal fill", detail, advice)
    return ok("journal fill", detail)


def _waiting(depth: Depth) -> Finding:
    if not depth.entries:
        return ok("journal waiting", "nothing")
    detail = f"{depth.entries:,} entries, the oldest for {depth.oldest_s:,.0f} s"
    if depth.oldest_s > _OLDEST_MAX_S:
        advice = "start Postgres and `tidegate work`, which brings them into the ledger"
        return warn("journal waiting", detail, advice)
    return ok("journal waiting", detail)
