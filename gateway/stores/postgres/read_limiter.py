"""The limits of reads: how many at once, how many wait, and for how long."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import asyncpg

from gateway.domain.errors import Unavailable
from gateway.runtime.recent import Recent

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

#: Seconds that a server may take to accept a connection, or to report its log position. One that
#: takes longer counts as unavailable: a person waits for the read.
ANSWER_S = 0.3
#: Reads waiting for a connection to a server, and the seconds that each waits. In a longer queue
#: reads would time out before their turn.
WAITING_MAX = 64
WAIT_S = 0.25


class ReadLimiter:
    """A concurrency limit of ``at_once``; a few more wait briefly, and the rest is rejected."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._waiting = 0
        #: Seconds that reads of the last ten seconds waited; a rejected one counts as the longest.
        self.waits_s = Recent(window_s=10.0)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot. Raises ``Unavailable`` when none is free in time."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if self._free.locked() and self._waiting >= WAITING_MAX:
            self.waits_s.add(WAIT_S, began_s)
            raise Unavailable("postgres")
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free.acquire()
        except TimeoutError as exc:
            raise Unavailable("postgres") from exc
        finally:
            self._waiting -= 1
            self.waits_s.add(loop.time() - began_s, loop.time())
        try:
            yield
        finally:
            self._free.release()


@asynccontextmanager
async def acquired(pool: Pool) -> AsyncIterator[Connection]:
    """Acquire a connection, opened if need be. Raises TimeoutError after ``ANSWER_S``."""
    async with pool.acquire(timeout=ANSWER_S) as connection:
        yield connection


@contextmanager
def terminated_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Terminate the connection when the block takes longer; what waits raises asyncpg's error.

    Cancelling is not enough: a server that went silent does not even answer a cancellation.
    """
    ending = asyncio.get_running_loop().call_later(max(seconds, 0.0), connection.terminate)
    try:
        yield
    finally:
        ending.cancel()
