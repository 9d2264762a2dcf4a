"""The journal's streams in memory, as ``gateway.stores.redis.journal_streams`` appends to them."""

from collections import defaultdict
from collections.abc import Sequence

from gateway.domain.errors import Unavailable
from gateway.domain.journaling import Entry, LaneName
from gateway.stores.redis.journal_streams import Depth


class FakeJournalStreams:
    """Envelopes by shard and lane. Claims do not expire.

    ``claimed``: every claim is taken already, with this value under it.
    """

    def __init__(self, *, shards: int = 1, claimed: bytes | None = None) -> None:
        self.shards = shards
        self.is_away = False
        self.appended: defaultdict[tuple[int, LaneName], list[bytes]] = defaultdict(list)
        #: What was to be appended, whether it was or not.
        self.offered: list[Entry] = []
        self._claimed = claimed
        self._claims: dict[tuple[int, bytes], bytes] = {}

    async def append(
        self, shard: int, lane: LaneName, entries: Sequence[Entry]
    ) -> list[list[bytes | None] | None]:
        self._answer()
        self.offered += entries
        return [self._append(shard, lane, entry) for entry in entries]

    async def depth(self) -> Depth:
        self._answer()
        return Depth(entries=sum(map(len, self.appended.values())), oldest_s=0.0, fill=0.0)

    async def fill(self) -> float:
        self._answer()
        return 0.0

    async def fitness(self) -> str:
        return "the journal's server does not answer" if self.is_away else ""

    def _append(self, shard: int, lane: LaneName, entry: Entry) -> list[bytes | None] | None:
        claims = [(shard, digest) for digest, _ in entry.claims]
        existing = [self._claims.get(claim, self._claimed) for claim in claims]
        if any(value is not None for value in existing) and not entry.is_forced:
            return existing
        self.appended[shard, lane].append(entry.envelope)
        for claim in claims:
            self._claims.setdefault(claim, entry.claim_value)
        return None

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable("journal")
