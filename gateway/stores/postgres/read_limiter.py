"""Connections lent for reading: to so many at once, and for so long."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import asyncpg

from gateway.domain.errors import Unavailable
from gateway.runtime.recent import Recent

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

#: Seconds that a server may take to be connected to, or to say how far it is. One that takes
#: longer counts as away: a person waits for the read.
ANSWER_S = 0.3
#: Reads waiting for a connection to a server, and how long each waits. A queue longer than this
#: empties later than its reads are given up.
WAITING_MAX = 64
WAIT_S = 0.25


class ReadLimiter:
    """Lets ``at_once`` through; a few more wait briefly and the rest is refused at once."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._waiting = 0
        #: Seconds that reads of the last ten seconds waited; those sent away waited the longest.
        self.waits_s = Recent(window_s=10.0)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the places. Raises ``Unavailable`` when there is none in time."""
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
    """Lend a connection, made if need be. Raises TimeoutError when that takes too long."""
    async with pool.acquire(timeout=ANSWER_S) as connection:
        yield connection


@contextmanager
def terminated_after(connection: Connection, seconds: float) -> Iterator[None]:
    """End the connection when the block takes longer; what waits for it raises asyncpg's error.

    To cancel does not do: a server that went silent does not even answer a cancellation.
    """
    ending = asyncio.get_running_loop().call_later(max(seconds, 0.0), connection.terminate)
    try:
        yield
    finally:
        ending.cancel()
