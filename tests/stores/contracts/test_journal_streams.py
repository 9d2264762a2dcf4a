"""The journal's streams: appended in order, claimed with the entry, and all of it or nothing."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.journaling import Entry, LaneName
from gateway.stores.redis.journal_streams import Depth, JournalStreams
from tests.support.fakes.journal_streams import FakeJournalStreams
from tests.support.valkey_cluster import Server

from .support import CALL_S, retried

SHARDS = 4


class Streams(Protocol):
    async def append(
        self, shard: int, lane: LaneName, entries: Sequence[Entry]
    ) -> list[list[bytes | None] | None]: ...

    async def depth(self) -> Depth: ...

    async def fill(self) -> float: ...

    async def fitness(self) -> str: ...


class Subject(Protocol):
    @property
    def streams(self) -> Streams: ...

    async def appended(self, shard: int, lane: LaneName) -> list[bytes]:
        """Return the envelopes of a stream, the oldest first. To be called once for each."""
        ...

    def away(self) -> AbstractContextManager[None]:
        """Lend a time in which the store does not answer."""
        ...


@dataclass
class Fake:
    streams: FakeJournalStreams

    async def appended(self, shard: int, lane: LaneName) -> list[bytes]:
        return self.streams.appended[shard, lane]

    @contextmanager
    def away(self) -> Iterator[None]:
        self.streams.is_away = True
        yield
        self.streams.is_away = False


@dataclass
class Real:
    streams: JournalStreams
    server: Server

    async def appended(self, shard: int, lane: LaneName) -> list[bytes]:
        found = await self.streams.read(shard, lane, consumer="one", count=1000)
        return [each.envelope for each in found]

    def away(self) -> AbstractContextManager[None]:
        return self.server.frozen()


@pytest.fixture
async def subject(valkey_or_none: Server | None) -> AsyncIterator[Subject]:
    if valkey_or_none is None:
        yield Fake(FakeJournalStreams(shards=SHARDS))
        return
    streams = JournalStreams(url=valkey_or_none.url, shards=SHARDS, call_s=CALL_S)
    yield Real(streams, valkey_or_none)
    await streams.close()


def entry(n: int, *claims: bytes, is_forced: bool = False) -> Entry:
    claimed = tuple((each, 3600) for each in claims)
    return Entry(b"envelope-%d" % n, claimed, b"value-%d" % n, is_forced)


async def put(subject: Subject, *entries: Entry) -> list[list[bytes | None] | None]:
    return await subject.streams.append(0, "placements", entries)


async def stored(subject: Subject) -> list[bytes]:
    return await subject.appended(0, "placements")


async def test_an_empty_batch_appends_nothing(subject: Subject) -> None:
    assert await put(subject) == []
    assert await stored(subject) == []


async def test_entries_are_appended_in_order(subject: Subject) -> None:
    assert await put(subject, *(entry(n) for n in range(3))) == [None] * 3
    assert await put(subject, entry(3, b"a")) == [None]
    assert await stored(subject) == [b"envelope-%d" % n for n in range(4)]


async def test_a_repeat_gets_what_is_under_its_claims_and_leaves_nothing(subject: Subject) -> None:
    await put(subject, entry(1, b"a", b"b"))
    assert await put(subject, entry(2, b"c", b"b", b"a")) == [[None, b"value-1", b"value-1"]]
    assert await put(subject, entry(3, b"c")) == [None], "the repeat has claimed nothing"
    assert await stored(subject) == [b"envelope-1", b"envelope-3"]


async def test_a_later_entry_sees_the_claims_of_an_earlier_one_of_its_batch(
    subject: Subject,
) -> None:
    batch = [entry(1, b"a"), entry(2, b"b", b"a"), entry(3, b"b"), entry(4, b"b", b"c")]
    assert await put(subject, *batch) == [None, [None, b"value-1"], None, [b"value-3", None]]
    assert await stored(subject) == [b"envelope-1", b"envelope-3"]


async def test_a_forced_entry_is_appended_and_changes_no_taken_claim(subject: Subject) -> None:
    await put(subject, entry(1, b"a"))
    assert await put(subject, entry(2, b"a", b"b", is_forced=True)) == [None]
    assert await put(subject, entry(3, b"a", b"b")) == [[b"value-1", b"value-2"]]
    assert await stored(subject) == [b"envelope-1", b"envelope-2"]


async def test_a_value_may_be_empty(subject: Subject) -> None:
    taken = Entry(b"envelope-1", ((b"a", 3600),), b"")
    assert await put(subject, taken, entry(2, b"a")) == [None, [b""]]


async def test_shards_have_claims_and_lanes_have_streams_of_their_own(subject: Subject) -> None:
    for shard in range(SHARDS):
        assert await subject.streams.append(shard, "placements", [entry(shard, b"a")]) == [None]
        found = await subject.streams.append(shard, "follow_ups", [entry(9, b"a")])
        assert found == [[b"value-%d" % shard]], "claims are those of both lanes"
        assert await subject.streams.append(shard, "follow_ups", [entry(9, b"b")]) == [None]
    for shard in range(SHARDS):
        assert await subject.appended(shard, "placements") == [b"envelope-%d" % shard]
        assert await subject.appended(shard, "follow_ups") == [b"envelope-9"]


async def test_the_depth_is_of_all_shards_and_lanes(subject: Subject) -> None:
    assert await subject.streams.fitness() == ""
    assert (await subject.streams.depth()).entries == 0
    for shard in range(SHARDS):
        await subject.streams.append(shard, "placements", [entry(1), entry(2)])
        await subject.streams.append(shard, "follow_ups", [entry(3)])
    depth = await subject.streams.depth()
    assert depth.entries == 3 * SHARDS
    assert 0.0 <= await subject.streams.fill() < 1.0


async def test_a_store_that_is_away_is_unavailable_and_unfit(subject: Subject) -> None:
    await put(subject, entry(1, b"a"))
    with subject.away():
        with pytest.raises(Unavailable):
            await put(subject, entry(2, b"b"))
        with pytest.raises(Unavailable):
            await subject.streams.depth()
        with pytest.raises(Unavailable):
            await subject.streams.fill()
        assert await subject.streams.fitness()
    assert await retried(lambda: put(subject, entry(3, b"a"))) == [[b"value-1"]]
