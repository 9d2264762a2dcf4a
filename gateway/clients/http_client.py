"""The one client for outbound HTTP. It trusts neither the server nor, where asked, the address.

Every call has a deadline, and every answer a bound in bytes. No redirect is followed, no proxy of
the environment is used, no cookie is kept, and nothing compressed is accepted, which could unfold
to any size.
"""

import ssl
from collections.abc import Mapping
from typing import Literal

import aiohttp
from msgspec import Struct

from gateway.clients import address_guard
from gateway.runtime.circuit_breaker import CircuitBreaker
from gateway.runtime.clock import Clock

_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "tidegate"}
#: Content codings that compress nothing: none, and what servers send there by mistake.
_PLAIN = frozenset({"", "identity", "none", "utf-8"})


class Answer(Struct, frozen=True):
    """An HTTP answer. ``body`` is empty unless the status is one of success (2xx)."""

    status: int
    body: bytes


class CallFailed(Exception):
    """There is no answer that can be used. Its text is safe to log: it quotes no server."""


class CallBreaker(Struct, frozen=True):
    """A circuit breaker over the calls of a client, and the clock that it is asked with."""

    breaker: CircuitBreaker
    clock: Clock


class HttpClient:
    """Calls servers over HTTP. ``close`` it; until the first call it opens nothing."""

    def __init__(
        self,
        *,
        call_s: float,
        answer_bytes_max: int,
        connections_max: int,
        is_public_only: bool,
        is_https_only: bool,
        is_reusing: bool,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        call_breaker: CallBreaker | None = None,
    ) -> None:
        """Prepare a client.

        ``call_s``: deadline of a call from the look-up of the name to the last byte.
        ``connections_max``: at once; further calls wait, within their deadline.
        ``is_public_only``: connect to addresses of the public internet alone.
        ``is_reusing``: keep connections open for the next call.
        ``headers``: sent with every call. ``tls``: instead of the system's authorities.
        ``call_breaker``: calls fail at once while it is open. An error of the server (5xx) and a
        call without an answer count as failures. None: every call is made.
        """
        self._call_s = call_s
        self._answer_bytes_max = answer_bytes_max
        self._connections_max = connections_max
        self._is_public_only = is_public_only
        self._is_https_only = is_https_only
        self._is_reusing = is_reusing
        self._headers = {**_HEADERS, **(headers or {})}
        self._tls = tls
        self._call_breaker = call_breaker
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str) -> Answer:
        """Return the answer to a GET. Raises ``CallFailed``."""
        return await self._call("GET", url, None, {})

    async def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer to a POST, sent with these headers too. Raises ``CallFailed``."""
        return await self._call("POST", url, body, headers or {})

    async def close(self) -> None:
        """Abandon the calls that are running."""
        if self._session is not None:
            await self._session.close()

    async def _call(
        self,
        method: Literal["GET", "POST"],
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        if self._is_https_only and not url.startswith("https://"):
            raise CallFailed("not https")
        if self._call_breaker is None:
            return await self._send(method, url, body, headers)
        clock = self._call_breaker.clock
        permit = self._call_breaker.breaker.ask(clock.monotonic_s())
        if permit is None:
            raise CallFailed("the circuit breaker is open")
        try:
            answer = await self._send(method, url, body, headers)
        except CallFailed:
            permit.fail(clock.monotonic_s())
            raise
        except BaseException:
            permit.withdraw()
            raise
        if answer.status >= 500:
            permit.fail(clock.monotonic_s())
        else:
            permit.succeed(clock.monotonic_s())
        return answer

    async def _send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        try:
            async with self._opened().request(
                method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                ssl=self._tls or True,
            ) as response:
                if not 200 <= response.status < 300:
                    return Answer(response.status, b"")
                if response.headers.get("Content-Encoding", "").strip().lower() not in _PLAIN:
                    raise CallFailed("the answer is compressed, which was not accepted")
                return Answer(response.status, await self._body(response))
        except aiohttp.ClientConnectorError as exc:
            if isinstance(exc.os_error, address_guard.NonPublicAddress):
                raise CallFailed("the address is not public") from exc
            raise CallFailed(type(exc).__name__) from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            # OSError: time-outs too. ValueError: what is no URL. Their text may quote the server.
            raise CallFailed(type(exc).__name__) from exc

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._answer_bytes_max:
                raise CallFailed(f"the answer has more than {self._answer_bytes_max} bytes")
        return bytes(body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections_max,
                    force_close=not self._is_reusing,
                    socket_factory=(
                        address_guard.open_public_socket if self._is_public_only else None
                    ),
                ),
                timeout=aiohttp.ClientTimeout(total=self._call_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                auto_decompress=False,
                trust_env=False,
            )
        return self._session
