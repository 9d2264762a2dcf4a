"""The response cache: pages of the last minute, served while lists are shed.

A client that had a page within the last minute gets it again with its age, for the same key and
the same target: that costs no query. It costs more than a rejection, as the key is authenticated,
so the number of such answers per second has a limit.
"""

from collections import OrderedDict

from msgspec import Struct

from gateway.runtime.clock import Clock

TTL_S = 60.0
ANSWERS_PER_S_MAX = 50
_PAGES_MAX = 256
_PAGE_BYTES_MAX = 256 * 1024
_BYTES_MAX = 16 * 1024 * 1024


class _Page(Struct, frozen=True):
    body: bytes
    age_s: int
    stored_at_s: float


class ResponseCache:
    """Caches answers by key id and request target; bounded in number, bytes and time."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._pages: OrderedDict[tuple[str, str], _Page] = OrderedDict()
        self._bytes = 0
        # Until when a page of the target is cached for any key: ``may_answer`` knows no key yet.
        self._until_s: dict[str, float] = {}
        self._second = 0
        self._answers = 0

    def put(self, key_id: str, target: str, body: bytes, age_s: int) -> None:
        """Cache an answer that is ``age_s`` seconds old already."""
        if len(body) > _PAGE_BYTES_MAX:
            return
        now_s = self._clock.monotonic_s()
        self._drop((key_id, target))
        self._pages[key_id, target] = _Page(body, age_s, now_s)
        self._bytes += len(body)
        self._until_s[target] = now_s + TTL_S
        while len(self._pages) > _PAGES_MAX or self._bytes > _BYTES_MAX:
            self._drop(next(iter(self._pages)))
        if len(self._until_s) > 2 * _PAGES_MAX:
            cached = {target for _, target in self._pages}
            self._until_s = {each: at for each, at in self._until_s.items() if each in cached}

    def may_answer(self, target: str) -> bool:
        """Return whether a page of this target is cached for any key and the limit is not reached.

        Counts against the limit: ask once for each request.
        """
        now_s = self._clock.monotonic_s()
        if self._until_s.get(target, 0.0) <= now_s:
            return False
        if int(now_s) != self._second:
            self._second, self._answers = int(now_s), 0
        self._answers += 1
        return self._answers <= ANSWERS_PER_S_MAX

    def get(self, key_id: str, target: str) -> tuple[bytes, int] | None:
        """Return the cached answer, or None, and its age in whole seconds (at least 1)."""
        page = self._pages.get((key_id, target))
        if page is None:
            return None
        age_s = page.age_s + self._clock.monotonic_s() - page.stored_at_s
        if age_s > TTL_S:
            return None
        return page.body, max(1, int(age_s + 0.999))

    def _drop(self, key: tuple[str, str]) -> None:
        page = self._pages.pop(key, None)
        if page is not None:
            self._bytes -= len(page.body)
