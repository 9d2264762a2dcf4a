"""The one client for outbound HTTP. It trusts neither the server nor, where asked, the address.

Every call has a deadline, and every answer a bound in bytes. No redirect is followed, no proxy of
the environment is used, no cookie is kept, and nothing compressed is accepted, which could unfold
to any size. It speaks HTTP/1.1, see ``ops/decisions/0024-outbound-client.md``.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from gateway.clients import outbound_url
from gateway.clients.address_guard import AddressGuard
from gateway.clients.call_failures import CallFailed
from gateway.clients.http_answer import Answer
from gateway.clients.http_pool import HostPool
from gateway.clients.name_lookup import NameLookup
from gateway.clients.outbound_url import Destination
from gateway.runtime.circuit_breaker import CircuitBreaker, Permit
from gateway.runtime.clock import Clock

__all__ = ["Answer", "CallFailed", "HostBreakers", "HttpClient"]

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "tidegate"}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\xa0-\xff]*")
#: Hosts that a client remembers. One that calls more of them forgets those that are not in use.
_HOSTS_MAX = 256

_Host = tuple[bool, str, int]


class HostBreakers:
    """A circuit breaker for each host, and the clock that they are asked with.

    An error of the server (5xx) and a call without an answer count as failures.
    """

    def __init__(self, make: Callable[[], CircuitBreaker], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._breakers: dict[_Host, CircuitBreaker] = {}

    def ask(self, host: _Host) -> Permit | None:
        """Return a permit for a call to this host, or None: do not call."""
        breaker = self._breakers.get(host)
        if breaker is None:
            while len(self._breakers) >= _HOSTS_MAX:
                del self._breakers[next(iter(self._breakers))]
            breaker = self._breakers[host] = self._make()
        return breaker.ask(self._clock.monotonic_s())

    def settle(self, permit: Permit, *, has_failed: bool) -> None:
        """Count the outcome of a call."""
        now_s = self._clock.monotonic_s()
        if has_failed:
            permit.fail(now_s)
        else:
            permit.succeed(now_s)


class HttpClient:
    """Calls servers over HTTP. ``close`` it; until the first call it opens nothing."""

    def __init__(
        self,
        *,
        call_s: float,
        answer_bytes_max: int,
        connections_max: int,
        guard: AddressGuard,
        is_https_only: bool,
        is_reusing: bool,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        breakers: HostBreakers | None = None,
    ) -> None:
        """Prepare a client.

        ``call_s``: deadline of a call from the look-up of the name to the last byte.
        ``connections_max``: to one host at once; further calls wait, within their deadline.
        ``guard``: which addresses it may connect to.
        ``is_reusing``: keep connections open for the next call.
        ``headers``: sent with every call. ``tls``: instead of the system's authorities.
        ``breakers``: calls fail at once while that of their host is open. None: every call is made.
        """
        self._call_s = call_s
        self._answer_bytes_max = answer_bytes_max
        self._connections_max = connections_max
        self._guard = guard
        self._is_https_only = is_https_only
        self._is_reusing = is_reusing
        self._fields = _fields({**_HEADERS, **(headers or {})})
        self._tls = tls
        self._breakers = breakers
        self._lookup = NameLookup()
        self._pools: dict[_Host, HostPool] = {}
        self._is_closed = False

    async def get(self, url: str) -> Answer:
        """Return the answer to a GET. Raises ``CallFailed``."""
        return await self._call("GET", url, b"", "")

    async def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer to a POST, sent with these headers too. Raises ``CallFailed``.

        Where the server closes a kept connection instead of answering, it may get it twice.
        """
        fields = f"{_fields(headers or {})}Content-Length: {len(body)}\r\n"
        return await self._call("POST", url, body, fields)

    async def post_json(
        self, url: str, value: Any, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Do as ``post`` with a value that becomes JSON. Raises ``CallFailed``."""
        content = {"Content-Type": "application/json", **(headers or {})}
        return await self.post(url, msgspec.json.encode(value), headers=content)

    async def reach(self, url: str) -> None:
        """Connect as for a call, and send nothing. Raises ``CallFailed``."""
        host, to = self._destination(url)
        pool = self._pools.get(host) or self._opened(host, to)
        try:
            async with asyncio.timeout(self._call_s):
                await pool.reach()
        except TimeoutError as exc:
            raise CallFailed(f"no connection within {self._call_s:g} s") from exc

    async def close(self) -> None:
        """Abandon the calls that are running."""
        self._is_closed = True
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        await self._lookup.close()

    def _destination(self, url: str) -> tuple[_Host, Destination]:
        if self._is_closed:
            raise CallFailed("the client is closed")
        try:
            to = outbound_url.parse(url)
        except outbound_url.BadUrl as exc:
            raise CallFailed(str(exc)) from exc
        if self._is_https_only and not to.is_tls:
            raise CallFailed("not https")
        return (to.is_tls, to.host, to.port), to

    async def _call(self, method: str, url: str, body: bytes, fields: str) -> Answer:
        host, to = self._destination(url)
        head = (
            f"{method} {to.target} HTTP/1.1\r\nHost: {to.authority}\r\n{self._fields}{fields}\r\n"
        )
        request = head.encode("latin-1") + body
        if self._breakers is None:
            return await self._send(host, to, request)
        permit = self._breakers.ask(host)
        if permit is None:
            raise CallFailed("the circuit breaker is open")
        try:
            answer = await self._send(host, to, request)
        except CallFailed:
            self._breakers.settle(permit, has_failed=True)
            raise
        except BaseException:
            permit.withdraw()
            raise
        self._breakers.settle(permit, has_failed=answer.status >= 500)
        return answer

    async def _send(self, host: _Host, to: Destination, request: bytes) -> Answer:
        pool = self._pools.get(host) or self._opened(host, to)
        try:
            return await pool.exchange(request)
        except TimeoutError as exc:
            raise CallFailed(f"no complete answer within {self._call_s:g} s") from exc

    def _opened(self, host: _Host, to: Destination) -> HostPool:
        if len(self._pools) >= _HOSTS_MAX:
            self._pools = {key: pool for key, pool in self._pools.items() if not pool.is_unused}
        pool = self._pools[host] = HostPool(
            to,
            call_s=self._call_s,
            answer_bytes_max=self._answer_bytes_max,
            connections_max=self._connections_max,
            is_reusing=self._is_reusing,
            guard=self._guard,
            tls=(self._tls or _system_authorities()) if to.is_tls else None,
            lookup=self._lookup,
        )
        return pool


@cache
def _system_authorities() -> ssl.SSLContext:
    """Trust the authorities of the system. Loading them takes tens of milliseconds, once."""
    return ssl.create_default_context()


def _fields(headers: Mapping[str, str]) -> str:
    """Return headers as they are sent. Raises ``ValueError`` for what would break the request."""
    for name, value in headers.items():
        # The first test is quick, and true of nearly all.
        if not (value.isascii() and value.isprintable()) and not _VALUE.fullmatch(value):
            raise ValueError(f"a header is malformed: {name!r}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"a header is malformed: {name!r}")
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
