"""The shelf: pages of the last minute, for the time in which lists are refused.

Whoever asked for a page within the last minute, with the same key, may have it once more, with its
age: that costs no query. It costs more than a refusal, as the key is asked for again, so only so
many are given a second.
"""

from collections import OrderedDict

from msgspec import Struct

from gateway.runtime.clock import Clock

KEPT_S = 60.0
GIVEN_PER_S = 50
_PAGES_MAX = 256
_PAGE_BYTES_MAX = 256 * 1024
_BYTES_MAX = 16 * 1024 * 1024


class _Page(Struct, frozen=True):
    body: bytes
    age_s: int
    at_s: float


class ResponseCache:
    """Keeps answers by who asked and for what; bounded in number, bytes and time."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._pages: OrderedDict[tuple[str, str], _Page] = OrderedDict()
        self._bytes = 0
        # Until when anybody has a page of this target: where that is asked no key is known yet.
        self._until_s: dict[str, float] = {}
        self._second = 0
        self._given = 0

    def put(self, key_id: str, target: str, body: bytes, age_s: int) -> None:
        """Keep an answer that is ``age_s`` old already."""
        if len(body) > _PAGE_BYTES_MAX:
            return
        now_s = self._clock.monotonic_s()
        self._drop((key_id, target))
        self._pages[key_id, target] = _Page(body, age_s, now_s)
        self._bytes += len(body)
        self._until_s[target] = now_s + KEPT_S
        while len(self._pages) > _PAGES_MAX or self._bytes > _BYTES_MAX:
            self._drop(next(iter(self._pages)))
        if len(self._until_s) > 2 * _PAGES_MAX:
            kept = {target for _, target in self._pages}
            self._until_s = {each: at for each, at in self._until_s.items() if each in kept}

    def is_worth_asking(self, target: str) -> bool:
        """Say whether somebody has a page of this target, and one more may be given now."""
        now_s = self._clock.monotonic_s()
        if self._until_s.get(target, 0.0) <= now_s:
            return False
        if int(now_s) != self._second:
            self._second, self._given = int(now_s), 0
        self._given += 1
        return self._given <= GIVEN_PER_S

    def get(self, key_id: str, target: str) -> tuple[bytes, int] | None:
        """Return an answer of the last minute and its age in seconds, one at least; or None."""
        page = self._pages.get((key_id, target))
        if page is None:
            return None
        age_s = page.age_s + self._clock.monotonic_s() - page.at_s
        if age_s > KEPT_S:
            return None
        return page.body, max(1, int(age_s + 0.999))

    def _drop(self, key: tuple[str, str]) -> None:
        page = self._pages.pop(key, None)
        if page is not None:
            self._bytes -= len(page.body)
