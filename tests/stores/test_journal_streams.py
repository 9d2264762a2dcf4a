"""The streams of the journal on one server that syncs every write: whole, and read once."""

import asyncio
from collections.abc import AsyncIterator
from itertools import chain
from typing import get_args

import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.journaling import Entry, LaneName
from gateway.stores.redis.journal_streams import JournalStreams, ReadEntry
from ops.harness.ports import free_port
from tests.support.valkey_cluster import Server

CALL_S = 0.5
PLACEMENTS = "tidegate:{journal0}:placements"


@pytest.fixture
def server(module_valkey: Server) -> Server:
    """The module's server, emptied, scripts too."""
    module_valkey.client.flushall()
    module_valkey.client.script_flush()
    return module_valkey


@pytest.fixture
async def streams(server: Server) -> AsyncIterator[JournalStreams]:
    opened = JournalStreams(url=server.url, shards=4, call_s=CALL_S)
    yield opened
    await opened.close()


def entry(
    n: int, *claims: bytes, known: bytes = b"", is_forced: bool = False, size: int = 0
) -> Entry:
    envelope = b"envelope-%d" % n + bytes(size)
    return Entry(envelope, tuple((each, 77) for each in claims), known or b"id-%d" % n, is_forced)


async def put(streams: JournalStreams, *entries: Entry) -> list[list[bytes | None] | None]:
    return await streams.append(0, "placements", entries)


async def fetch(
    streams: JournalStreams, consumer: str = "one", count: int = 1000
) -> list[ReadEntry]:
    return await streams.read(0, "placements", consumer=consumer, count=count)


def envelopes(reads: list[ReadEntry]) -> list[bytes]:
    return [each.envelope for each in reads]


def ids(reads: list[ReadEntry]) -> list[str]:
    return [each.entry_id for each in reads]


def claims_of(server: Server) -> list[bytes]:
    return sorted(key.rpartition(b":")[2] for key in server.client.keys("*:claim:*"))


# --- appending ---


async def test_entries_are_read_in_the_order_they_were_appended(streams: JournalStreams) -> None:
    assert await put(streams, *(entry(n) for n in range(3))) == [None] * 3
    assert await put(streams, entry(3)) == [None]
    assert envelopes(await fetch(streams)) == [b"envelope-%d" % n for n in range(4)]


async def test_a_repeat_gets_the_claimed_value_and_leaves_nothing(
    streams: JournalStreams, server: Server
) -> None:
    await put(streams, entry(1, b"a", b"b"))
    assert await put(streams, entry(2, b"c", b"b", b"a")) == [[None, b"id-1", b"id-1"]]
    assert claims_of(server) == [b"a", b"b"]
    assert len(await fetch(streams)) == 1


async def test_a_later_entry_sees_the_claims_of_an_earlier_one_of_the_same_call(
    streams: JournalStreams,
) -> None:
    batch = [entry(1, b"a"), entry(2, b"b", b"a"), entry(3, b"b"), entry(4, b"b", b"c")]
    assert await put(streams, *batch) == [None, [None, b"id-1"], None, [b"id-3", None]]
    assert envelopes(await fetch(streams)) == [b"envelope-1", b"envelope-3"]


async def test_a_forced_entry_is_appended_and_changes_no_taken_claim(
    streams: JournalStreams, server: Server
) -> None:
    await put(streams, entry(1, b"a"))
    assert await put(streams, entry(2, b"a", b"b", is_forced=True)) == [None]
    assert await put(streams, entry(3, b"a", b"b")) == [[b"id-1", b"id-2"]]
    assert len(await fetch(streams)) == 2


async def test_claims_expire(streams: JournalStreams, server: Server) -> None:
    await put(streams, Entry(b"e", ((b"a", 77), (b"b", 0)), b"id"))
    assert 70 < server.client.ttl("tidegate:{journal0}:claim:a") <= 77
    assert server.client.pttl("tidegate:{journal0}:claim:b") <= 1000


async def test_of_many_who_claim_the_same_at_once_one_is_appended(streams: JournalStreams) -> None:
    outcomes = await asyncio.gather(*(put(streams, entry(n, b"a")) for n in range(20)))
    assert sorted(each == [None] for each in outcomes) == [False] * 19 + [True]
    (kept,) = await fetch(streams)
    assert kept.envelope == b"envelope-%d" % outcomes.index([None])


async def test_lanes_have_streams_and_shards_have_claims_of_their_own(
    streams: JournalStreams,
) -> None:
    for shard in range(4):
        assert await streams.append(shard, "placements", [entry(1, b"a")]) == [None]
        assert await streams.append(shard, "follow_ups", [entry(2, b"b")]) == [None]
    for shard in range(4):
        assert envelopes(
            await streams.read(shard, "follow_ups", consumer="one", count=10)
        ) == [b"envelope-2"]  # fmt: skip


async def test_the_largest_batch_is_taken(server: Server) -> None:
    streams = JournalStreams(url=server.url, shards=1, call_s=10)
    batch = [entry(n, b"a%d" % n, size=256 * 1024 if n < 15 else 1024) for n in range(200)]
    assert await put(streams, *batch) == [None] * 200
    assert envelopes(await fetch(streams)) == [each.envelope for each in batch]
    await streams.close()


async def test_nothing_to_append_calls_no_server() -> None:
    streams = JournalStreams(url=f"redis://127.0.0.1:{free_port()}/0", shards=1, call_s=CALL_S)
    assert await put(streams) == []
    await streams.settle(0, "placements", [])


# --- draining ---


async def test_reading_does_not_wait_and_gives_nothing_twice(streams: JournalStreams) -> None:
    assert await fetch(streams) == []
    await put(streams, *(entry(n) for n in range(3)))
    assert envelopes(await fetch(streams, count=2)) == [b"envelope-0", b"envelope-1"]
    assert envelopes(await fetch(streams, "two")) == [b"envelope-2"]
    assert await fetch(streams) == []


async def test_drainers_that_read_at_once_share_the_entries(streams: JournalStreams) -> None:
    await put(streams, *(entry(n) for n in range(300)))

    async def drain(consumer: str) -> list[ReadEntry]:
        taken: list[ReadEntry] = []
        while more := await fetch(streams, consumer, 7):
            taken += more
            await streams.settle(0, "placements", ids(more))
        return taken

    shares = await asyncio.gather(*(drain(f"drainer-{n}") for n in range(5)))
    assert sum(map(bool, shares)) > 1
    taken = envelopes(list(chain(*shares)))
    assert sorted(taken) == sorted(b"envelope-%d" % n for n in range(300))
    assert (await streams.depth()).entries == 0


async def test_what_is_settled_is_gone_and_what_is_not_stays(
    streams: JournalStreams, server: Server
) -> None:
    await put(streams, *(entry(n) for n in range(3)))
    read = await fetch(streams, count=2)
    await streams.settle(0, "placements", ids(read)[:1])
    await streams.settle(0, "placements", ids(read)[:1])
    unread = server.client.xrevrange(PLACEMENTS, count=1)[0][0].decode()
    await streams.settle(0, "placements", [unread])
    assert (await streams.depth()).entries == 2
    assert await streams.take_over(0, "placements", consumer="two", idle_s=0, count=9) == read[1:]
    assert len(await fetch(streams)) == 1


async def test_what_a_dead_drainer_had_in_hand_is_taken_over(
    streams: JournalStreams, server: Server
) -> None:
    await put(streams, *(entry(n) for n in range(30)))
    held = await fetch(streams, "dead")

    async def take(consumer: str = "living") -> list[ReadEntry]:
        return await streams.take_over(0, "placements", consumer=consumer, idle_s=30, count=2)

    assert await take() == []
    last = ids(held)[-3:]
    server.client.xclaim(PLACEMENTS, "drainers", "dead", 0, last, idle=31_000)
    assert await take() == held[-3:-1]
    assert await take("other") == held[-1:]
    assert await take() == []


async def test_a_drainer_takes_over_from_itself_what_it_never_received(
    streams: JournalStreams,
) -> None:
    await put(streams, entry(1))
    read = await fetch(streams, "one")
    assert await streams.take_over(0, "placements", consumer="one", idle_s=0, count=9) == read


async def test_taking_over_where_there_is_nothing_gives_nothing(streams: JournalStreams) -> None:
    assert await streams.take_over(0, "placements", consumer="one", idle_s=0, count=9) == []


async def test_an_entry_of_somebody_else_is_read_as_no_bytes(
    streams: JournalStreams, server: Server
) -> None:
    server.client.xadd(PLACEMENTS, {"what": "ever"})
    (read,) = await fetch(streams)
    assert read.envelope == b""


# --- wiped, stopped, full ---


async def test_when_all_is_wiped_in_the_middle_everybody_goes_on(
    streams: JournalStreams, server: Server
) -> None:
    await put(streams, entry(1, b"a"), entry(2))
    held = await fetch(streams, count=1)
    server.client.flushall()
    assert await fetch(streams) == []
    server.client.flushall()
    assert await streams.take_over(0, "placements", consumer="one", idle_s=0, count=9) == []
    server.client.flushall()
    await streams.settle(0, "placements", ids(held))
    assert (await streams.depth()).entries == 0
    assert await put(streams, entry(3, b"a")) == [None]
    assert envelopes(await fetch(streams)) == [b"envelope-3"]


async def test_after_a_wipe_an_old_id_removes_no_new_entry(
    streams: JournalStreams, server: Server
) -> None:
    await put(streams, entry(1))
    (held,) = await fetch(streams)
    server.client.flushall()
    server.client.xadd(PLACEMENTS, {"envelope": "new"}, id=held.entry_id)
    await streams.settle(0, "placements", [held.entry_id])
    assert envelopes(await fetch(streams)) == [b"new"]


async def test_a_server_without_the_scripts_gets_them_again(
    streams: JournalStreams, server: Server
) -> None:
    for n in range(3):
        server.client.script_flush()
        assert await put(streams, entry(n)) == [None]


async def test_what_was_appended_survives_a_crash_and_the_next_call_succeeds(
    streams: JournalStreams, server: Server
) -> None:
    await put(streams, entry(1, b"a"), entry(2))
    held = await fetch(streams, count=1)
    server.kill()
    with pytest.raises(Unavailable):
        await put(streams, entry(3))
    server.start()
    assert await put(streams, entry(4, b"a")) == [[b"id-1"]]
    server.kill()
    server.start()
    # The loop hears of the end of the connection in one turn and tells of it in the next.
    for _ in range(2):
        await asyncio.sleep(0)
    assert envelopes(await fetch(streams)) == [b"envelope-2"]
    assert await streams.take_over(0, "placements", consumer="two", idle_s=0, count=1) == held


async def test_a_full_server_takes_nothing_of_a_batch_and_can_still_be_drained(
    streams: JournalStreams, server: Server
) -> None:
    await put(streams, entry(1, b"a"), entry(2))
    with server.set_to(maxmemory="1"):
        for lane in get_args(LaneName):
            with pytest.raises(Unavailable):
                await streams.append(0, lane, [entry(3, b"b"), entry(4, b"c")])
        assert claims_of(server) == [b"a"]
        assert await put(streams, entry(5, b"a")) == [[b"id-1"]]
        assert (await streams.depth()).entries == 2
        assert len(await fetch(streams, "dead")) == 2
        held = await streams.take_over(0, "placements", consumer="one", idle_s=0, count=9)
        await streams.settle(0, "placements", ids(held))
        assert (await streams.depth()).entries == 0
    assert await put(streams, entry(3, b"b")) == [None]


async def test_a_batch_during_which_the_memory_runs_out_is_stored_whole(
    streams: JournalStreams, server: Server
) -> None:
    used = int(server.client.info("memory")["used_memory"])
    kept = rejected = 0
    with server.set_to(maxmemory=str(used + 3_000_000)):
        for batch in range(40):
            try:
                await put(
                    streams, *(entry(n, b"%d-%d" % (batch, n), size=20_000) for n in range(20))
                )
                kept += 1
            except Unavailable:
                rejected += 1
    assert kept > 2
    assert rejected > 2
    assert server.client.xlen(PLACEMENTS) == kept * 20
    assert len(claims_of(server)) == kept * 20


async def test_a_key_that_is_no_stream_rejects_the_batch_as_a_whole(
    streams: JournalStreams, server: Server
) -> None:
    server.client.set(PLACEMENTS, "no stream")
    with pytest.raises(Unavailable):
        await put(streams, entry(1, b"a"), entry(2, b"b"))
    assert claims_of(server) == []


async def test_a_frozen_server_times_out_and_answers_are_never_mixed_up(
    streams: JournalStreams, server: Server
) -> None:
    await asyncio.gather(*(put(streams, entry(n, b"a")) for n in range(4)))
    with server.frozen():
        outcomes = await asyncio.gather(
            *(put(streams, entry(n), entry(n)) for n in range(10, 14)),
            fetch(streams), streams.depth(), streams.settle(0, "placements", ["1-1"]),
            return_exceptions=True,
        )  # fmt: skip
        assert {type(each) for each in outcomes} == {Unavailable}
        assert "does not answer" in await streams.fitness()
    for n in range(20, 30):
        assert await put(streams, entry(n, b"b%d" % n)) == [None]
        assert await put(streams, entry(n, b"b%d" % n)) == [[b"id-%d" % n]]
    # Of what was not acknowledged, each batch of two was stored as a whole, or not at all.
    assert (server.client.xlen(PLACEMENTS) - 1 - 10) in (0, 2, 4, 6, 8)


async def test_a_call_that_is_cancelled_by_its_caller_mixes_up_nothing(
    streams: JournalStreams, server: Server
) -> None:
    await put(streams, entry(1, b"a"))
    with server.frozen():
        leaving = asyncio.create_task(put(streams, entry(2, b"a")))
        await asyncio.sleep(0.05)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    assert await put(streams, entry(3, b"b"), entry(4)) == [None, None]
    assert await put(streams, entry(5, b"b")) == [[b"id-3"]]


# --- looking ---


async def test_the_depth_counts_what_is_not_settled_in_all_streams(streams: JournalStreams) -> None:
    empty = await streams.depth()
    assert (empty.entries, empty.oldest_s) == (0, 0)
    assert 0 < empty.fill < 1
    for shard in range(4):
        await streams.append(shard, "follow_ups", [entry(1), entry(2)])
    await put(streams, entry(3))
    read = await fetch(streams)
    assert (await streams.depth()).entries == 9
    await streams.settle(0, "placements", ids(read))
    assert (await streams.depth()).entries == 8


async def test_the_oldest_entry_has_an_age(streams: JournalStreams, server: Server) -> None:
    seconds, _ = server.client.time()
    server.client.xadd(PLACEMENTS, {"envelope": "old"}, id=f"{(seconds - 100) * 1000}-0")
    await streams.append(3, "follow_ups", [entry(1)])
    assert 99 < (await streams.depth()).oldest_s < 110


async def test_the_fill_is_the_share_of_the_memory_that_is_used(
    streams: JournalStreams, server: Server
) -> None:
    used = int(server.client.info("memory")["used_memory"])
    with server.set_to(maxmemory=str(used * 2)):
        assert 0.4 < await streams.fill() < 0.75


async def test_a_server_set_up_right_is_fit(streams: JournalStreams) -> None:
    assert await streams.fitness() == ""


@pytest.mark.parametrize(
    ("name", "value", "reported"),
    [
        ("appendonly", "no", "set appendonly to yes (it is no)"),
        ("appendfsync", "everysec", "set appendfsync to always (it is everysec)"),
        ("no_appendfsync_on_rewrite", "yes", "set no-appendfsync-on-rewrite to no (it is yes)"),
        ("maxmemory_policy", "allkeys-lru", "set maxmemory-policy to noeviction (it is allkeys"),
        ("maxmemory", "0", "set maxmemory to what it may use"),
    ],
)
async def test_a_server_set_up_wrong_is_unfit_and_the_sentence_names_the_setting(
    streams: JournalStreams, server: Server, name: str, value: str, reported: str
) -> None:
    with server.set_to(**{name: value}):
        assert reported in await streams.fitness()
    assert await streams.fitness() == ""


async def test_a_replica_is_unfit(streams: JournalStreams, server: Server) -> None:
    server.client.replicaof("127.0.0.1", free_port())
    try:
        assert "is a replica" in await streams.fitness()
        with pytest.raises(Unavailable):
            await put(streams, entry(1))
    finally:
        server.client.replicaof("NO", "ONE")


async def test_a_server_that_hides_its_settings_is_unfit(server: Server) -> None:
    server.client.acl_setuser(
        "app", enabled=True, passwords=["+secret"], keys="*", commands=["+@all", "-config"]
    )
    url = server.url.replace("redis://", "redis://app:secret@")
    streams = JournalStreams(url=url, shards=1, call_s=CALL_S)
    assert await put(streams, entry(1)) == [None]
    assert "allow its user CONFIG GET" in await streams.fitness()
    await streams.close()
    server.client.acl_deluser("app")


async def test_where_no_server_listens_everything_is_unavailable() -> None:
    streams = JournalStreams(url=f"redis://127.0.0.1:{free_port()}/0", shards=2, call_s=CALL_S)
    assert "does not answer" in await streams.fitness()
    for call in (put(streams, entry(1)), fetch(streams), streams.depth(), streams.fill()):
        with pytest.raises(Unavailable):
            await call
    await streams.close()
