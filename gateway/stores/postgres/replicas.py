"""Reads go to a replica that has caught up, else to the primary, else they are stale and say so.

A read sees what was acknowledged before it began: the primary is asked how far its log is
flushed (one cheap call), and the replica must have replayed that far. A replica that does not
within ``wait_s`` is not asked for a while. Reads on the primary are bounded, so that they take
nothing from commits. While the primary is unavailable, a replica answers with what it has, and
the answer carries its age.
"""

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import Generic, Literal

from msgspec import Struct
from prometheus_client import Counter

from gateway.domain.errors import Unavailable
from gateway.runtime.clock import Clock
from gateway.stores.postgres import errors
from gateway.stores.postgres.primary import FAILURES, Primary
from gateway.stores.postgres.read_limiter import (
    Connection,
    Pool,
    ReadLimiter,
    acquired,
    terminated_after,
)
from gateway.stores.postgres.replica import Replica, ReplicaBehind, T, Work
from gateway.stores.postgres.statements import sql

_READS = Counter(
    "tidegate_reads",
    "Reads by server; a growing share of the primary means that replicas lag, stale reads that "
    "the primary is unavailable.",
    ["where"],
)
#: Reads of which so many waited long: one says nothing of the connections.
_READS_MIN = 3
Where = Literal["replica", "primary", "stale"]


class Answer(Struct, Generic[T], frozen=True):
    """What was read. ``age_s``: what was acknowledged longer ago is in it; None: all is."""

    value: T
    age_s: int | None = None


class Readers:
    """Runs the queries of the read side on the server that answers them best."""

    def __init__(
        self,
        *,
        primary: Pool,
        replicas: Sequence[Pool],
        clock: Clock,
        wait_s: float,
        query_s: float,
    ) -> None:
        self._pool = primary
        self._primary = Primary(pool=primary, clock=clock)
        # One connection is left for look-ups of keys, and for the primary's log position.
        self._limiter = ReadLimiter(max(1, primary.get_max_size() - 1))
        self._replicas = [Replica(pool=pool, clock=clock, wait_s=wait_s) for pool in replicas]
        self._query_s = query_s
        self._first = 0
        #: Reads through this object by server; ``/metrics`` has the sum of all.
        self.reads: dict[Where, int] = {"replica": 0, "primary": 0, "stale": 0}
        for where in self.reads:
            _READS.labels(where)

    async def read(self, work: Work[T]) -> Answer[T]:
        """Run ``work`` on a connection and return its result. It may run twice, and only reads.

        Raises ``Unavailable`` when no server answers in time, or too many reads need the primary.
        """
        until_s = asyncio.get_running_loop().time() + self._query_s
        with errors.translated():
            if not self._replicas:
                return self._answer("primary", await self._on_primary(work, until_s))
            position = await self._primary.position()
            if position is None:
                return await self._stale(work, until_s)
            replica = next((each for each in self._rotated() if each.may_be_current), None)
            if replica is not None:
                try:
                    return self._answer("replica", await replica.read(work, position, until_s))
                except (ReplicaBehind, Unavailable, *FAILURES):
                    pass  # the primary answers, or raises what is wrong
            try:
                return self._answer("primary", await self._on_primary(work, until_s))
            except _PrimaryLost:
                return await self._stale(work, until_s)

    def wait_s(self) -> float:
        """Return the 95th percentile of the seconds that reads waited, of the last ten seconds."""
        now_s = asyncio.get_running_loop().time()
        waits = [self._limiter.waits_s, *(replica.waits_s for replica in self._replicas)]
        return max(waits_s.at(0.95, now_s, backed_by=_READS_MIN) for waits_s in waits)

    async def lag_s(self) -> float | None:
        """Return the least replica lag in seconds; None when no replica is of use."""
        lags = await asyncio.gather(*(replica.lag_s() for replica in self._replicas))
        return min((lag for lag in lags if lag is not None), default=None)

    async def _on_primary(self, work: Work[T], until_s: float) -> T:
        async with self._limiter.slot():
            try:
                with errors.translated():
                    async with acquired(self._pool) as connection:
                        left_s = until_s - asyncio.get_running_loop().time()
                        with terminated_after(connection, left_s):
                            if await _is_standby(connection):
                                raise Unavailable("postgres")
                            return await work(connection)
            except Unavailable as exc:
                raise _PrimaryLost("postgres") from exc

    async def _stale(self, work: Work[T], until_s: float) -> Answer[T]:
        for replica in self._rotated():
            if not replica.is_answering:
                continue
            try:
                value, age_s = await replica.read_stale(work, self._primary.timeline, until_s)
            except (ReplicaBehind, Unavailable, *FAILURES):
                continue
            # At least one: the answer is stale, even where all was there a moment ago.
            return self._answer("stale", value, max(1, math.ceil(age_s)))
        raise Unavailable("postgres")

    def _answer(self, where: Where, value: T, age_s: int | None = None) -> Answer[T]:
        self.reads[where] += 1
        _READS.labels(where).inc()
        return Answer(value, age_s)

    def _rotated(self) -> Iterator[Replica]:
        """Yield each replica once, another one first at each call."""
        self._first += 1
        for n in range(len(self._replicas)):
            yield self._replicas[(self._first + n) % len(self._replicas)]


class _PrimaryLost(Unavailable):
    """The primary did not answer, or is no primary any more; not: too many reads need it."""


async def _is_standby(connection: Connection) -> bool:
    # The server reports it with its answers, so it need not be asked. A connection that was idle
    # since a promotion has not received the report yet.
    if getattr(connection.get_settings(), "in_hot_standby", "off") != "on":
        return False
    return bool(await connection.fetchval(sql("is_standby")))
