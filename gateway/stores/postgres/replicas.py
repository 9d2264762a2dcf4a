"""Reads go to a replica that has caught up, else to the primary.

What was acknowledged before a read began is seen by it: the primary is asked how far its log is
flushed (one cheap call), and the replica must have replayed that far. A replica that does not
get there within ``wait_s`` is left alone for a while.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from msgspec import Struct
from prometheus_client import Counter

from gateway.domain.errors import Unavailable
from gateway.runtime.clock import Clock
from gateway.stores.postgres import faults

_READS = Counter(
    "tidegate_reads",
    "Reads by who answered; a growing share of the primary tells of replicas that lag.",
    ["where"],
)
_PAUSE_S = 1.0
_POLL_S = 0.002
_FLUSHED = "SELECT pg_current_wal_flush_lsn()::text"
_HAS_REPLAYED = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
# Nothing received that is not replayed: no lag, however long ago the last transaction was.
_LAG_S = """
SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0)
       END::float8
"""


class _Replica(Struct):
    pool: "asyncpg.Pool[asyncpg.Record]"
    paused_until_s: float = 0.0


class Readers:
    """Gives out connections for reading."""

    def __init__(
        self,
        *,
        primary: "asyncpg.Pool[asyncpg.Record]",
        replicas: Sequence["asyncpg.Pool[asyncpg.Record]"],
        clock: Clock,
        wait_s: float,
        query_s: float,
    ) -> None:
        self._primary = primary
        self._replicas = [_Replica(pool) for pool in replicas]
        self._clock = clock
        self._wait_s = wait_s
        self._query_s = query_s
        self._turn = 0
        #: Reads through this object by who answered; ``/metrics`` has the sum of all.
        self.reads = {"replica": 0, "primary": 0}
        self._given_up: set[asyncio.Task[bool]] = set()

    @asynccontextmanager
    async def reader(
        self,
    ) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        """Lend a connection that sees everything acknowledged before this call.

        Raises ``Unavailable`` when neither a replica nor the primary answers in time.
        """
        try:
            with faults.translated():
                async with asyncio.timeout(self._query_s):
                    replica = self._next()
                    if replica is not None:
                        flushed = await self._primary.fetchval(_FLUSHED)
                        if await self._has_caught_up(replica, flushed):
                            self._count("replica")
                            async with replica.pool.acquire() as connection:
                                yield connection
                            return
                    self._count("primary")
                    async with self._primary.acquire() as connection:
                        yield connection
        except TimeoutError as exc:
            raise Unavailable("postgres") from exc

    async def lag_s(self) -> float | None:
        """Return the least lag of the replicas in seconds; None when none answers."""
        lags = []
        for replica in self._replicas:
            try:
                async with asyncio.timeout(self._query_s):
                    lags.append(float(await replica.pool.fetchval(_LAG_S)))
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                continue
        return min(lags, default=None)

    def _count(self, where: str) -> None:
        self.reads[where] += 1
        _READS.labels(where).inc()

    def _next(self) -> _Replica | None:
        now = self._clock.monotonic_s()
        for _ in self._replicas:
            self._turn = (self._turn + 1) % len(self._replicas)
            if self._replicas[self._turn].paused_until_s <= now:
                return self._replicas[self._turn]
        return None

    async def _has_caught_up(self, replica: _Replica, flushed: str) -> bool:
        asking = asyncio.get_running_loop().create_task(_replays(replica, flushed))
        await asyncio.wait({asking}, timeout=self._wait_s)
        if asking.done() and asking.result():
            return True
        replica.paused_until_s = self._clock.monotonic_s() + _PAUSE_S
        # Told to stop and not waited for: a silent replica does not even answer that.
        asking.cancel()
        self._given_up.add(asking)
        asking.add_done_callback(self._given_up.discard)
        return False


async def _replays(replica: _Replica, flushed: str) -> bool:
    """Return True once the replica has replayed so far, False when it can not be asked."""
    try:
        # Replay gives no event to wait for: it must be asked.
        while not await replica.pool.fetchval(_HAS_REPLAYED, flushed):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        return True
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
