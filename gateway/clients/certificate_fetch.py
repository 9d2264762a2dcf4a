"""Fetches the public documents that a callback's signature is checked with.

An adapter has checked the URL against its own closed list of hosts. The fetch is careful all the
same, because the sender of a callback chooses the URL before anything is proved:

- https only, and public addresses only (``address_guard.py``);
- a deadline for the whole fetch, and a bound on its bytes (``http_client.py``);
- one fetch per URL however many callbacks wait for it, and few URLs at once;
- outcomes are cached for a while, so that a flood of callbacks that name a URL is not a flood of
  requests to it. An adapter caches what it accepts for longer itself.
"""

import asyncio
import logging
import ssl

from msgspec import Struct

from gateway.clients.address_guard import AddressGuard
from gateway.clients.http_client import CallFailed, HttpClient
from gateway.domain.errors import Unavailable
from gateway.runtime.clock import Clock
from gateway.runtime.logs import Throttle

_log = logging.getLogger(__name__)
# A URL that does not answer is fetched again with later callbacks that name it.
_log.addFilter(Throttle(10.0))

DOCUMENT_BYTES_MAX = 64 * 1024
#: A provider waits 5 s for everything together, and the commit needs its part of them.
FETCH_S = 2.0
CACHE_S = 30.0
#: Together with the bytes of one: 2 MiB at most.
CACHED_MAX = 32
FETCHES_MAX = 4


class _Outcome(Struct, frozen=True):
    """Outcome of a fetch, valid until ``until_s``; without content where it failed."""

    content: bytes | None
    until_s: float


class CertificateFetcher:
    """Small public documents by URL. ``close`` it; until the first fetch it opens nothing."""

    def __init__(
        self,
        *,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        fetch_s: float = FETCH_S,
        guard: AddressGuard | None = None,
    ) -> None:
        self._clock = clock
        self._client = HttpClient(
            call_s=fetch_s,
            answer_bytes_max=DOCUMENT_BYTES_MAX,
            connections_max=FETCHES_MAX,
            guard=guard or AddressGuard(),
            is_https_only=True,
            is_reusing=False,
            tls=tls,
        )
        self._fetching: dict[str, asyncio.Task[bytes | None]] = {}
        self._outcomes: dict[str, _Outcome] = {}
        self._is_closed = False

    async def fetch(self, url: str) -> bytes:
        """Return the document. Raises ``Unavailable`` when it cannot be fetched now."""
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
        # A caller that leaves does not end the fetch for the others that wait.
        await asyncio.wait({task})
        return self._content(None if task.cancelled() else task.result())

    async def close(self) -> None:
        """Abandon the running fetches; their callers get ``Unavailable``."""
        self._is_closed = True
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    async def _fetch(self, url: str) -> bytes | None:
        content, reason = None, ""
        try:
            answer = await self._client.get(url)
        except CallFailed as exc:
            reason = str(exc)
        else:
            if answer.status == 200:
                content = answer.body
            else:
                reason = f"status {answer.status}"
        if content is None:
            _log.warning("a document could not be fetched", extra={"url": url, "why": reason})
        self._cache(url, content)
        return content

    def _cache(self, url: str, content: bytes | None) -> None:
        self._outcomes.pop(url, None)
        while len(self._outcomes) >= CACHED_MAX:
            del self._outcomes[next(iter(self._outcomes))]
        self._outcomes[url] = _Outcome(content, self._clock.monotonic_s() + CACHE_S)

    @staticmethod
    def _content(content: bytes | None) -> bytes:
        if content is None:
            raise _unavailable()
        return content


def _unavailable() -> Unavailable:
    return Unavailable("the document of a message", retry_after_s=CACHE_S)
