"""Results in memory, as ``gateway.stores.redis.result_cache`` caches them."""

from collections.abc import Mapping, Sequence


class FakeResultCache:
    """The results by digest; nothing expires."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}
        self.is_away = False

    async def look_up(self, digests: Sequence[bytes]) -> Sequence[bytes | None]:
        return [None if self.is_away else self.stored.get(digest) for digest in digests]

    async def store(self, results: Mapping[bytes, bytes]) -> None:
        if not self.is_away:
            self.stored.update(results)
