"""The client of a merchant's inventory: one question, one small answer, no patience.

    POST {inventory_url}   {"channel": "web", "items": [{"sku": "A-1", "quantity": 2}]}
    200                    {"unavailable": ["A-1"]}

Anything else, and anything later, counts as no answer; so does what is compressed, which could
unfold to any size.
"""

import aiohttp
import msgspec
from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.domain.orders import Submission

#: Every SKU of the largest order, and many that nobody ordered.
_ANSWER_BYTES_MAX = 64 * 1024


class _Line(Struct):
    sku: str
    quantity: int


class _Question(Struct):
    channel: str
    items: list[_Line]


class _Said(Struct):
    unavailable: list[str]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Said).decode


class HttpInventory:
    """Asks over HTTP. ``close`` it; until the first question it opens nothing."""

    def __init__(self, *, url: str, token: str, call_s: float, calls_max: int) -> None:
        """``token``: sent as a bearer's where it is not empty. ``calls_max``: at once."""
        self._url = url
        self._headers = {
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "tidegate",
        }
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._call_s = call_s
        self._calls_max = calls_max
        self._session: aiohttp.ClientSession | None = None

    async def missing(self, submission: Submission) -> list[str]:
        """Return the SKUs that can not be had, of whatever order. Raises ``Unavailable``."""
        lines = [_Line(item.sku, item.quantity) for item in submission.items]
        question = _encode(_Question(submission.channel, lines))
        try:
            async with self._opened().post(
                self._url, data=question, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise Unavailable("inventory")
                body = await self._body(response)
            said = _decode(body).unavailable
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as exc:
            # ValueError: what is no JSON, no UTF-8 or no such answer; Recursion: nested too deep.
            raise Unavailable("inventory") from exc
        return said

    async def close(self) -> None:
        """Give up what is being asked."""
        if self._session is not None:
            await self._session.close()

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > _ANSWER_BYTES_MAX:
                raise Unavailable("inventory")
        return bytes(body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._calls_max),
                timeout=aiohttp.ClientTimeout(total=self._call_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                auto_decompress=False,
            )
        return self._session
