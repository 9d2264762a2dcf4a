"""The primary as readers see it: its log position, or that it is unavailable."""

import asyncio

import asyncpg
from msgspec import Struct

from gateway.runtime.clock import Clock
from gateway.stores.postgres.read_limiter import ANSWER_S, Pool, acquired, terminated_after
from gateway.stores.postgres.statements import sql

_POSITION = sql("primary_position")
#: Seconds without a call to a primary that did not answer.
_PAUSE_S = 1.0
#: The errors of a server that is unavailable, or no primary (or replica) any more.
FAILURES = (
    TimeoutError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class LogPosition(Struct, frozen=True):
    """The flushed LSN and the timeline, asked for at ``asked_at_s`` of the monotonic clock."""

    flushed: str
    timeline: int
    asked_at_s: float


class Primary:
    """Asked for its log position by all reads: those that come meanwhile share the next call."""

    def __init__(self, *, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._unavailable_until_s = 0.0
        self._running: asyncio.Task[LogPosition | None] | None = None
        self._next: asyncio.Task[LogPosition | None] | None = None
        #: The timeline it was last seen on; None when it never answered.
        self.timeline: int | None = None

    async def position(self) -> LogPosition | None:
        """Return a position asked for after this call began; None: the primary is unavailable."""
        if self._clock.monotonic_s() < self._unavailable_until_s:
            return None
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(
                self._ask_after(self._running), name="primary position"
            )
        # One reader that is cancelled must not cancel those that wait for the same answer.
        return await asyncio.shield(self._next)

    async def _ask_after(
        self, before: "asyncio.Task[LogPosition | None] | None"
    ) -> LogPosition | None:
        if before is not None:
            await asyncio.wait({before})
        self._running, self._next = self._next, None
        asked_at_s = self._clock.monotonic_s()
        if asked_at_s < self._unavailable_until_s:
            return None
        try:
            flushed, self.timeline = await self._flushed()
        except FAILURES:
            self._unavailable_until_s = self._clock.monotonic_s() + _PAUSE_S
            return None
        return LogPosition(flushed, self.timeline, asked_at_s)

    async def _flushed(self) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ANSWER_S
        async with acquired(self._pool) as connection:
            with terminated_after(connection, until_s - loop.time()):
                record = await connection.fetchrow(_POSITION)
        assert record is not None, "primary_position.sql returns one row"
        return record[0], record[1]
