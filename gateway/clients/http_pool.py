"""The connections to one host: how many, which are kept, and to which address they go."""

import asyncio
import ssl

from gateway.clients.address_guard import AddressGuard
from gateway.clients.call_failures import CallFailed, ConnectionGone, of_connecting
from gateway.clients.http_answer import Answer
from gateway.clients.http_connection import Connection
from gateway.clients.name_lookup import NameLookup
from gateway.clients.outbound_url import Destination

#: Seconds an idle connection is kept. Many servers close theirs after 5 to 60 s.
_IDLE_S = 15.0
#: Seconds a connection is used. A name may lead elsewhere by then, and a server may want rest.
_AGE_S = 300.0
#: Seconds between two looks at the deadlines; less where calls are short.
_TICK_S_MAX = 0.25
#: Seconds that one address may take while others of the host are left to be tried.
_ADDRESS_S = 2.0


class HostPool:
    """Connections to one scheme, host and port."""

    def __init__(
        self,
        destination: Destination,
        *,
        call_s: float,
        answer_bytes_max: int,
        connections_max: int,
        is_reusing: bool,
        guard: AddressGuard,
        tls: ssl.SSLContext | None,
        lookup: NameLookup,
    ) -> None:
        """``call_s``: of an exchange, from now to the last byte; late by a tick at most."""
        self._destination = destination
        self._call_s = call_s
        self._tick_s = min(call_s / 20, _TICK_S_MAX)
        self._answer_bytes_max = answer_bytes_max
        self._is_reusing = is_reusing
        self._guard = guard
        self._tls = tls
        self._lookup = lookup
        self._slots = asyncio.Semaphore(connections_max)
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._calls = 0
        self._loop = asyncio.get_running_loop()
        self._expiring: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._sweep: asyncio.TimerHandle | None = None

    async def exchange(self, request: bytes) -> Answer:
        """Send a request on a connection of its own. Raises ``CallFailed`` or ``TimeoutError``.

        A kept connection that the server closed meanwhile is replaced; where it did so after it
        had the request, the server gets it twice.
        """
        until_s = self._loop.time() + self._call_s
        self._calls += 1
        if self._expiring is None:
            self._expiring = self._loop.call_later(self._tick_s, self._expire)
        try:
            await self._take_slot(until_s)
            try:
                return await self._exchange(request, until_s)
            finally:
                self._slots.release()
        finally:
            self._calls -= 1

    async def _take_slot(self, until_s: float) -> None:
        if self._slots.locked():
            async with asyncio.timeout_at(until_s):
                await self._slots.acquire()
        else:
            await self._slots.acquire()

    async def _exchange(self, request: bytes, until_s: float) -> Answer:
        while (connection := self._kept()) is not None:
            try:
                return await connection.exchange(request, self._answer_bytes_max, until_s)
            except ConnectionGone:
                continue
            finally:
                self._release(connection)
        async with asyncio.timeout_at(until_s):
            connection = await self._connect()
        try:
            return await connection.exchange(request, self._answer_bytes_max, until_s)
        finally:
            self._release(connection)

    def _expire(self) -> None:
        """Hold the calls to their deadlines: a timer for each would cost more than its call."""
        now_s = self._loop.time()
        for connection in self._open:
            connection.expire(now_s)
        self._expiring = self._loop.call_later(self._tick_s, self._expire) if self._calls else None

    async def reach(self) -> None:
        """Open a connection, and keep it where connections are kept. Raises ``CallFailed``."""
        self._release(await self._connect())

    def close(self) -> None:
        """Close every connection; calls that wait for one, or for an answer, fail."""
        self._is_closed = True
        for timer in (self._sweep, self._expiring):
            if timer is not None:
                timer.cancel()
        self._idle.clear()
        for connection in self._open:
            connection.abort()
        self._open.clear()

    @property
    def is_unused(self) -> bool:
        """Whether it has no connection and no call."""
        return not self._open and not self._calls

    def _kept(self) -> Connection | None:
        """Return the connection that was used last, if one is open still. Raises ``CallFailed``."""
        if self._is_closed:
            raise CallFailed("the client is closed")
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            self._open.discard(connection)
        return None

    def _release(self, connection: Connection) -> None:
        now_s = self._loop.time()
        is_old = now_s - connection.opened_s > _AGE_S
        if not self._is_reusing or is_old or not connection.is_open or self._is_closed:
            connection.abort()
            self._open.discard(connection)
            return
        connection.idle_since_s = now_s
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_IDLE_S, self._close_idle)

    def _close_idle(self) -> None:
        """Close what nobody used for a while: the connections at the front."""
        before_s = self._loop.time() - _IDLE_S
        count = sum(each.idle_since_s <= before_s for each in self._idle)
        for connection in self._idle[:count]:
            connection.close()
            self._open.discard(connection)
        del self._idle[:count]
        self._sweep = self._loop.call_later(_IDLE_S, self._close_idle) if self._idle else None

    async def _connect(self) -> Connection:
        """Connect to the first address that is permitted and answers: to exactly the one checked.

        Raises ``CallFailed``.
        """
        to = self._destination
        found = [to.host] if to.is_address else await self._lookup.addresses(to.host)
        refusals = [self._guard.refusal(to.host, each, is_tls=to.is_tls) for each in found]
        addresses = [each for each, why in zip(found, refusals, strict=True) if not why]
        if not addresses:
            raise CallFailed(refusals[0])
        failure: OSError = OSError()
        for left, address in enumerate(addresses, start=1 - len(addresses)):
            try:
                # The last one has all of the call's time.
                async with asyncio.timeout(_ADDRESS_S if left else None):
                    return await self._connect_to(address)
            except OSError as exc:
                failure = exc
        raise of_connecting(failure) from failure

    async def _connect_to(self, address: str) -> Connection:
        to = self._destination
        # An address, so that nothing is looked up again; the name is for the certificate alone.
        _, connection = await self._loop.create_connection(
            Connection,
            address,
            to.port,
            ssl=self._tls if to.is_tls else None,
            server_hostname=to.host if to.is_tls else None,
        )
        self._open.add(connection)
        return connection
