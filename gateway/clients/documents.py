"""Fetches the public documents that a message can only be judged with.

An adapter has checked the address against its own closed list of hosts; here it is fetched with
care all the same, because whoever posts a message chooses it, before anything is proved:

- https only, no redirect is followed, no proxy, no cookie, nothing compressed;
- a deadline for the whole of it, and a bound on its bytes;
- one fetch per address however many messages wait for it, and few addresses at once;
- what came of it is remembered for a while, so that a flood of messages that name an address
  is not a flood of requests to it. What an adapter believes, it keeps for longer by itself.
"""

import asyncio
import logging
import ssl

import aiohttp
from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.runtime.clock import Clock
from gateway.runtime.logs import Seldom

_log = logging.getLogger(__name__)
# An address that does not answer is asked for with every message that names it.
_log.addFilter(Seldom(10.0))

DOCUMENT_BYTES_MAX = 64 * 1024
#: A provider waits 5 s for everything together, and the commit needs its part of them.
FETCH_S = 2.0
REMEMBERED_S = 30.0
#: Together with the bytes of one: 2 MiB at most.
REMEMBERED_MAX = 32
FETCHES_MAX = 4


class _Outcome(Struct, frozen=True):
    """What came of a fetch; no content: it failed."""

    content: bytes | None
    until_s: float


class Documents:
    """Small public documents by their address. ``close`` it; until a fetch it opens nothing."""

    def __init__(
        self, *, clock: Clock, tls: ssl.SSLContext | None = None, fetch_s: float = FETCH_S
    ) -> None:
        self._clock = clock
        self._tls = tls
        self._fetch_s = fetch_s
        self._session: aiohttp.ClientSession | None = None
        self._fetching: dict[str, asyncio.Task[bytes | None]] = {}
        self._outcomes: dict[str, _Outcome] = {}
        self._is_closed = False

    async def fetch(self, url: str) -> bytes:
        """Return the document. Raises ``Unavailable`` when it can not be had now."""
        outcome = self._outcomes.get(url)
        if outcome is not None and self._clock.monotonic_s() < outcome.until_s:
            return self._content(outcome.content)
        task = self._fetching.get(url)
        if task is None:
            if self._is_closed or len(self._fetching) >= FETCHES_MAX:
                raise _unavailable()
            task = asyncio.create_task(self._fetch(url), name="fetch a document")
            self._fetching[url] = task
            task.add_done_callback(lambda _: self._fetching.pop(url, None))
        # Whoever leaves does not end it for the others that wait.
        await asyncio.wait({task})
        return self._content(None if task.cancelled() else task.result())

    async def close(self) -> None:
        """Give up what is being fetched, and whoever waits for it."""
        self._is_closed = True
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _fetch(self, url: str) -> bytes | None:
        content = None
        try:
            content = await self._get(url)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            # ValueError: an address that is none. The text of an error may quote what was sent.
            why = str(error) if isinstance(error, _Unfit) else type(error).__name__
            _log.warning("a document could not be fetched", extra={"url": url, "why": why})
        self._remember(url, content)
        return content

    async def _get(self, url: str) -> bytes:
        if not url.startswith("https://"):
            raise _Unfit("not https")
        session = self._opened()
        async with session.get(url, allow_redirects=False, ssl=self._tls or True) as response:
            if response.status != 200:
                raise _Unfit(f"status {response.status}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise _Unfit("compressed, which nobody asked for")
            content = bytearray()
            async for piece in response.content.iter_any():
                content += piece
                if len(content) > DOCUMENT_BYTES_MAX:
                    raise _Unfit(f"more than {DOCUMENT_BYTES_MAX} bytes")
            return bytes(content)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=FETCHES_MAX, force_close=True),
                timeout=aiohttp.ClientTimeout(total=self._fetch_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity", "User-Agent": "tidegate"},
                auto_decompress=False,
            )
        return self._session

    def _remember(self, url: str, content: bytes | None) -> None:
        self._outcomes.pop(url, None)
        while len(self._outcomes) >= REMEMBERED_MAX:
            del self._outcomes[next(iter(self._outcomes))]
        self._outcomes[url] = _Outcome(content, self._clock.monotonic_s() + REMEMBERED_S)

    @staticmethod
    def _content(content: bytes | None) -> bytes:
        if content is None:
            raise _unavailable()
        return content


class _Unfit(ValueError):
    """It answers, and not with a document."""


def _unavailable() -> Unavailable:
    return Unavailable("the document of a message", retry_after_s=REMEMBERED_S)
