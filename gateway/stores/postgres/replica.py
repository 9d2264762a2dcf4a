"""A replica: whether it follows the primary, its replica lag, and the age of stale answers.

Its answer is current when it is a standby on the primary's timeline and has replayed what the
primary had flushed. One that was left behind at a failover may be further in its log than the
new primary and still hold another history: the position alone proves nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from gateway.domain.errors import Unavailable
from gateway.runtime.clock import Clock
from gateway.runtime.recent import Recent
from gateway.stores.postgres.primary import FAILURES, LogPosition
from gateway.stores.postgres.read_limiter import (
    ANSWER_S,
    Connection,
    Pool,
    ReadLimiter,
    acquired,
    terminated_after,
)
from gateway.stores.postgres.statements import sql

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]

_TIMELINE, _HAS_REPLAYED, _AGE, _LAG = map(
    sql, ("replica_timeline", "has_replayed", "replica_age", "replica_lag")
)
#: Seconds without a call to a replica that is silent, lags, or follows another timeline.
_PAUSE_S = 1.0
#: Seconds that a replica's timeline is used without asking again. A failover takes longer, and
#: shows in the primary's own timeline at once.
_TIMELINE_S = 1.0
_POLL_S = 0.002
#: Errors of one query, which say nothing about the server.
_QUERY_FAILURES = (asyncpg.QueryCanceledError, asyncpg.SerializationError)


class ReplicaBehind(Exception):
    """The replica answers, but has not replayed far enough."""


def follows(primary_timeline: int, timeline: int, *, is_standby: bool) -> bool:
    """Return whether what a replica has replayed is a part of the primary's history."""
    return is_standby and timeline == primary_timeline


class Replica:
    """One replica; ``wait_s``: seconds that a read waits for it to catch up."""

    def __init__(self, *, pool: Pool, clock: Clock, wait_s: float) -> None:
        self._pool = pool
        self._clock = clock
        self._wait_s = wait_s
        self._limiter = ReadLimiter(pool.get_max_size())
        self._silent_until_s = 0.0
        self._behind_until_s = 0.0
        # The timeline it last shared with the primary, and until when that is used.
        self._compared: int | None = None
        self._compared_until_s = 0.0
        self._caught_up_s: float | None = None
        #: Whether it was seen on an older timeline than the primary's: its history is another.
        self.is_left_behind = False

    @property
    def waits_s(self) -> Recent:
        """Seconds that reads waited for a connection to it."""
        return self._limiter.waits_s

    @property
    def is_answering(self) -> bool:
        """Whether it may be called at all."""
        return self._silent_until_s <= self._clock.monotonic_s()

    @property
    def may_be_current(self) -> bool:
        """Whether it may be asked for a current answer."""
        return self.is_answering and self._behind_until_s <= self._clock.monotonic_s()

    async def read(self, work: Work[T], position: LogPosition, until_s: float) -> T:
        """Return the work's result, which knows everything up to ``position``.

        Raises ``ReplicaBehind``, ``Unavailable`` or one of ``FAILURES``, after which it is not
        asked for ``_PAUSE_S``.
        """
        async with self._limiter.slot():
            try:
                async with acquired(self._pool) as connection:
                    with terminated_after(connection, self._wait_s + ANSWER_S):
                        await self._catch_up(connection, position)
                    return await _done(work, connection, until_s)
            except ReplicaBehind:
                self._behind_until_s = self._clock.monotonic_s() + _PAUSE_S
                raise
            except FAILURES as exc:
                self._note(exc)
                raise

    async def read_stale(
        self, work: Work[T], primary_timeline: int | None, until_s: float
    ) -> tuple[T, float]:
        """Return the work's result and its age in seconds: what is older than that is in it.

        Raises ``ReplicaBehind`` on another history, ``Unavailable``, or one of ``FAILURES``.
        """
        async with self._limiter.slot():
            try:
                async with acquired(self._pool) as connection:
                    with terminated_after(connection, ANSWER_S):
                        if primary_timeline is not None and primary_timeline != self._compared:
                            await self._compare(connection, primary_timeline)
                        if self.is_left_behind:
                            raise ReplicaBehind
                        age_s = await self._age_s(connection)
                    return await _done(work, connection, until_s), age_s
            except FAILURES as exc:
                self._note(exc)
                raise

    async def lag_s(self) -> float | None:
        """Return the replica lag in seconds; None when it is unavailable or left behind."""
        if self.is_left_behind:
            return None
        try:
            async with acquired(self._pool) as connection:
                with terminated_after(connection, ANSWER_S):
                    return float(await connection.fetchval(_LAG))
        except FAILURES:
            return None

    async def _catch_up(self, connection: Connection, position: LogPosition) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._wait_s
        if position.timeline != self._compared or self._compared_until_s <= position.asked_at_s:
            await self._compare(connection, position.timeline)
            if self._compared is None:
                raise ReplicaBehind
        # Replay gives no event to wait for: it must be polled.
        while not await connection.fetchval(_HAS_REPLAYED, position.flushed):
            if loop.time() + _POLL_S > until_s:
                raise ReplicaBehind
            await asyncio.sleep(_POLL_S)
        self._caught_up_s = position.asked_at_s

    async def _compare(self, connection: Connection, primary_timeline: int) -> None:
        is_standby, timeline = await connection.fetchrow(_TIMELINE)
        is_following = follows(primary_timeline, timeline, is_standby=is_standby)
        self.is_left_behind = timeline < primary_timeline
        self._compared = primary_timeline if is_following else None
        self._compared_until_s = self._clock.monotonic_s() + _TIMELINE_S

    async def _age_s(self, connection: Connection) -> float:
        now_s = self._clock.monotonic_s()
        age_s = float(await connection.fetchval(_AGE))
        # Nothing may have been written for long: it still has what it had caught up with.
        return age_s if self._caught_up_s is None else min(age_s, now_s - self._caught_up_s)

    def _note(self, exc: BaseException) -> None:
        if not isinstance(exc, _QUERY_FAILURES):
            self._silent_until_s = self._clock.monotonic_s() + _PAUSE_S


async def _done(work: Work[T], connection: Connection, until_s: float) -> T:
    left_s = until_s - asyncio.get_running_loop().time()
    if left_s <= 0:
        raise Unavailable("postgres")
    with terminated_after(connection, left_s):
        return await work(connection)
