"""The journal's streams in Redis or Valkey: they store entries while Postgres cannot take them.

Each shard has a stream for each lane and claims of its own, all on one node of a cluster. What
``append`` acknowledged is on disk, if ``fitness`` finds nothing wrong. A node that fails over to
a replica loses what had not reached it: replication in Redis is asynchronous.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, get_args

import redis.exceptions
from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.domain.journaling import Entry, LaneName
from gateway.stores.redis import scripting
from gateway.stores.redis.cluster_client import FAILURES, Client, ClusterClient
from gateway.stores.redis.scripting import script

T = TypeVar("T")

_GROUP = "drainers"
_APPEND, _SETTLE, _DEPTH = script("append"), script("settle"), script("depth")

#: A server with other settings may lose what it acknowledged.
_REQUIRED_CONFIG = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}


class ReadEntry(Struct, frozen=True):
    """An entry that is assigned to a consumer until it is settled. No envelope: no bytes."""

    entry_id: str
    envelope: bytes


class Depth(Struct, frozen=True):
    """Entries that are appended and not settled; the age of the oldest in seconds.

    ``fill`` is the share of its memory that the fullest node uses, 0 to 1.
    """

    entries: int
    oldest_s: float
    fill: float


class JournalStreams:
    """The journal's streams. Every call ends within ``call_s``, or raises ``Unavailable``.

    The exceptions are ``fitness``, ``fill`` and ``depth``, which make two or three calls.
    Nothing is connected before the first call, and no command is ever sent twice.
    """

    def __init__(self, *, url: str, shards: int, call_s: float) -> None:
        self.shards = shards
        self._call_s = call_s
        self._nodes = ClusterClient(url=url, call_s=call_s)

    async def append(
        self, shard: int, lane: LaneName, entries: Sequence[Entry]
    ) -> list[list[bytes | None] | None]:
        """Append entries in order; return for each None, or the values of its claims.

        An entry of which a claim is taken is not appended and claims nothing; a later one sees
        the claims of those before it. Entries and claims are stored all or none. A server that
        rejects (its memory is full, it is loading, it is no primary) has stored nothing. What one
        that does not answer has stored is not known: all of it, or nothing, or all once it
        resumes; one whose disk is full exits. Raises ``Unavailable`` for both.
        """
        if not entries:
            return []
        keys = [_stream(shard, lane)]
        arguments: list[bytes | str | int] = [_GROUP]
        for entry in entries:
            keys += [_hash_tag(shard) + b":claim:" + digest for digest, _ in entry.claims]
            arguments += [
                entry.envelope,
                entry.claim_value,
                int(entry.is_forced),
                len(entry.claims),
            ]
            # A time to live of 0 would be an error in the middle of the script.
            arguments += [max(1, seconds) for _, seconds in entry.claims]
        async with self._bounded():
            found: list[list[bytes | None] | None] = await scripting.run(
                self._nodes, _APPEND, keys, arguments
            )
        return found

    async def read(
        self, shard: int, lane: LaneName, *, consumer: str, count: int
    ) -> list[ReadEntry]:
        """Take up to ``count`` entries that no consumer has yet, oldest first; never waits.

        A reply that is lost leaves them assigned to this consumer: see ``read_again``.
        """
        return await self._read(shard, lane, consumer, count, ">")

    async def read_again(
        self, shard: int, lane: LaneName, *, consumer: str, count: int
    ) -> list[ReadEntry]:
        """Return up to ``count`` entries that are assigned to this consumer, oldest first."""
        return await self._read(shard, lane, consumer, count, "0")

    async def _read(
        self, shard: int, lane: LaneName, consumer: str, count: int, after: str
    ) -> list[ReadEntry]:
        key = _stream(shard, lane)
        async with self._bounded():
            group = ("GROUP", _GROUP, consumer)
            wanted = ("COUNT", count, "STREAMS", key, after)
            streams = await self._call_in_group(key, "XREADGROUP", *group, *wanted)
        return _reads(streams[0][1]) if streams else []

    async def take_over(
        self, shard: int, lane: LaneName, *, consumer: str, idle_s: float, count: int
    ) -> list[ReadEntry]:
        """Take up to ``count`` entries that any consumer has had for ``idle_s`` seconds or longer.

        No other consumer can take them over for as long again.
        """
        key, idle_ms = _stream(shard, lane), int(idle_s * 1000)
        cursor: bytes | str = "0-0"
        entries: list[Any] = []
        async with self._bounded():
            # One call scans ten times the count: the idle ones may be further on.
            while not entries and cursor != b"0-0":
                taking = ("XAUTOCLAIM", key, _GROUP, consumer, idle_ms, cursor, "COUNT", count)
                cursor, entries, *_ = await self._call_in_group(key, *taking)
        return _reads(entries)

    async def settle(self, shard: int, lane: LaneName, entry_ids: Sequence[str]) -> None:
        """Remove entries that were read and are committed; others stay. Repeats are harmless."""
        if entry_ids:
            async with self._bounded():
                await scripting.run(
                    self._nodes, _SETTLE, [_stream(shard, lane)], [_GROUP, *entry_ids]
                )

    async def depth(self) -> Depth:
        """Return the depth of all streams. Raises ``Unavailable`` when one of them is."""
        counted, failures = await _gather(self._depth_of(shard) for shard in range(self.shards))
        if failures:
            raise failures[0]
        return Depth(
            entries=sum(entries for entries, _ in counted),
            oldest_s=max(age_ms for _, age_ms in counted) / 1000,
            fill=await self.fill(),
        )

    async def fill(self) -> float:
        """Return the share of its memory that the fullest of the nodes that answer uses, 0 to 1.

        Raises ``Unavailable`` when none answers.
        """
        nodes = await self._primaries()
        shares, failures = await _gather(self._fill_of(node) for node in nodes.values())
        if not shares:
            raise failures[0]
        return max(shares)

    async def fitness(self) -> str:
        """Return why an acknowledged entry might be lost, and what to change; or "".

        Of a cluster, every primary that answers is checked: the shards of one that does not are
        unavailable by themselves, and the others go on. Never raises.
        """
        try:
            nodes = await self._primaries()
        except Unavailable as exc:
            return _unreachable(exc)
        reasons, failures = await _gather(
            self._unfit_reason(name, node) for name, node in nodes.items()
        )
        if not reasons:
            return _unreachable(failures[0])
        return next(filter(None, reasons), "")

    async def close(self) -> None:
        """Close the connections."""
        await self._nodes.close()

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._call_s):
                yield
        except FAILURES as exc:
            raise Unavailable("journal") from exc

    async def _call_in_group(self, key: bytes, *arguments: Any) -> Any:
        """Send a command that needs the consumer group, which is created when it is missing."""
        try:
            return await self._nodes.call(key, *arguments)
        except redis.exceptions.ResponseError as exc:
            if not str(exc).startswith("NOGROUP"):
                raise
        try:
            await self._nodes.call(key, "XGROUP", "CREATE", key, _GROUP, "0", "MKSTREAM")
        except redis.exceptions.ResponseError as exc:
            # Another drainer created it meanwhile.
            if not str(exc).startswith("BUSYGROUP"):
                raise
        return await self._nodes.call(key, *arguments)

    async def _primaries(self) -> dict[str, Client]:
        async with self._bounded():
            return await self._nodes.primaries()

    async def _depth_of(self, shard: int) -> tuple[int, int]:
        streams = [_stream(shard, lane) for lane in get_args(LaneName)]
        async with self._bounded():
            entries, oldest_ms = await scripting.run(self._nodes, _DEPTH, streams, [])
        return entries, oldest_ms

    async def _fill_of(self, node: Client) -> float:
        async with self._bounded():
            memory = await node.info("memory")
        used, bound = int(memory["used_memory"]), int(memory["maxmemory"])
        # Without a bound there is no share of it: ``fitness`` reports that.
        return used / bound if bound else 0.0

    async def _unfit_reason(self, name: str, node: Client) -> str:
        server = f"the journal's server {name}"
        async with self._bounded():
            try:
                config = await node.config_get(*_REQUIRED_CONFIG, "maxmemory")
            except redis.exceptions.ResponseError:
                return (
                    f"{server} does not let its settings be read: allow its user CONFIG GET "
                    "(ACL +config|get), or set journal_url to a server that does"
                )
            state = await node.info("persistence", "replication")
        wrong = [
            f"{name} to {right} (it is {config.get(name) or 'unknown'})"
            for name, right in _REQUIRED_CONFIG.items()
            if config.get(name) != right
        ]
        if config.get("maxmemory", "0") == "0":
            wrong.append("maxmemory to what it may use (it has no bound)")
        if wrong:
            return f"{server} may lose what it acknowledges: set {', '.join(wrong)}"
        if state["role"] != "master":
            return f"{server} is a replica: set journal_url to its primary"
        if state["aof_last_write_status"] != "ok":
            return f"{server} cannot write its file: free space on its disk (its setting dir)"
        return ""


def _hash_tag(shard: int) -> bytes:
    # The braces are a hash tag: the keys of one call are on one node of a cluster.
    return b"tidegate:{journal%d}" % shard


def _stream(shard: int, lane: LaneName) -> bytes:
    return _hash_tag(shard) + b":" + lane.encode()


def _reads(entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[ReadEntry]:
    return [
        ReadEntry(entry_id.decode(), fields.get(b"envelope", b"")) for entry_id, fields in entries
    ]


def _unreachable(exc: BaseException) -> str:
    why = type(exc.__cause__ or exc).__name__
    return f"the journal's server does not answer ({why}): start it, or correct journal_url"


async def _gather(asking: Iterable[Awaitable[T]]) -> tuple[list[T], list[BaseException]]:
    """Await them together; return the answers, and the failures."""
    results = await asyncio.gather(*asking, return_exceptions=True)
    return (
        [each for each in results if not isinstance(each, BaseException)],
        [each for each in results if isinstance(each, BaseException)],
    )
