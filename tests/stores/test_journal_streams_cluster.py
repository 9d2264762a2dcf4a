"""The journal's streams on a cluster of three: spread, and each node alone in its misfortune."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.crc import key_slot

from gateway.domain.errors import Unavailable
from gateway.domain.journaling import Entry
from gateway.stores.redis.journal_streams import JournalStreams
from tests.support.patience import HANG_S
from tests.support.valkey_cluster import Server

CALL_S = 0.5
SHARDS = 8


@pytest.fixture
def nodes(module_cluster: list[Server]) -> list[Server]:
    """The module's cluster, emptied."""
    for node in module_cluster:
        node.client.flushall()
    return module_cluster


@pytest.fixture
async def streams(nodes: list[Server]) -> AsyncIterator[JournalStreams]:
    opened = JournalStreams(url=nodes[0].url, shards=SHARDS, call_s=CALL_S)
    yield opened
    await opened.close()


async def put(
    streams: JournalStreams, shard: int, *claims: bytes
) -> list[list[bytes | None] | None]:
    entry = Entry(b"envelope", tuple((each, 60) for each in claims), b"id")
    return await streams.append(shard, "placements", [entry])


def shards_of(node: Server) -> set[int]:
    """The shards that this node has, by its own word."""
    rows = node.client.execute_command("CLUSTER", "SLOTS")
    ranges = [range(row[0], row[1] + 1) for row in rows if row[2][1] == node.port]
    slots = {shard: key_slot(b"{journal%d}" % shard) for shard in range(SHARDS)}
    return {shard for shard, slot in slots.items() if any(slot in each for each in ranges)}


async def goes_on(streams: JournalStreams, shard: int) -> None:
    """A whole round of this shard works, from the claim to the end."""
    assert await put(streams, shard, b"round") == [None]
    assert await put(streams, shard, b"round") == [[b"id"]]
    read = await streams.read(shard, "placements", consumer="one", count=10)
    await streams.settle(shard, "placements", [each.entry_id for each in read])
    assert read


async def until_back(streams: JournalStreams, shards: set[int]) -> None:
    async with asyncio.timeout(HANG_S):
        for shard in shards:
            while True:
                try:
                    await put(streams, shard)
                    break
                except Unavailable:
                    await asyncio.sleep(0.02)


async def test_the_shards_are_spread_over_the_nodes_and_all_work(
    streams: JournalStreams, nodes: list[Server]
) -> None:
    for shard in range(SHARDS):
        await goes_on(streams, shard)
        await put(streams, shard)
    assert all(node.client.dbsize() > 0 for node in nodes)
    depth = await streams.depth()
    assert depth.entries == SHARDS
    assert 0 < depth.fill < 1
    assert await streams.fitness() == ""


async def test_any_node_may_be_the_one_that_is_named(nodes: list[Server]) -> None:
    for node in nodes:
        streams = JournalStreams(url=node.url, shards=SHARDS, call_s=CALL_S)
        for shard in range(SHARDS):
            await put(streams, shard, b"claim")
        await streams.close()
    assert sum(node.client.dbsize() for node in nodes) == 2 * SHARDS


async def test_the_fullest_node_counts(streams: JournalStreams, nodes: list[Server]) -> None:
    used = int(nodes[1].client.info("memory")["used_memory"])
    with nodes[1].set_to(maxmemory=str(used * 5 // 4)):
        assert await streams.fill() > 0.7
    assert await streams.fill() < 0.7


async def test_one_node_that_is_set_up_wrong_is_named(
    streams: JournalStreams, nodes: list[Server]
) -> None:
    with nodes[2].set_to(appendfsync="everysec"):
        reported = await streams.fitness()
    assert f":{nodes[2].port} may lose what it acknowledges: set appendfsync to always" in reported


async def test_the_shards_of_a_killed_node_are_unavailable_and_the_others_go_on(
    streams: JournalStreams, nodes: list[Server]
) -> None:
    dead = shards_of(nodes[2])
    assert 0 < len(dead) < SHARDS
    for shard in range(SHARDS):
        await put(streams, shard, b"before")
    nodes[2].kill()
    try:
        for shard in range(SHARDS):
            if shard in dead:
                with pytest.raises(Unavailable):
                    await put(streams, shard)
            else:
                await goes_on(streams, shard)
        assert await streams.fitness() == ""
        assert await streams.fill() < 1
        with pytest.raises(Unavailable):
            await streams.depth()
    finally:
        nodes[2].start()
    await until_back(streams, dead)
    for shard in dead:
        assert await put(streams, shard, b"before") == [[b"id"]]


async def test_a_frozen_node_delays_no_other(streams: JournalStreams, nodes: list[Server]) -> None:
    """Also when it is the one that is named, and while its own shards are being asked."""
    dead = shards_of(nodes[0])
    # Whoever waited for the frozen one would not be answered within this test.
    endless = JournalStreams(url=nodes[0].url, shards=SHARDS, call_s=2 * HANG_S)
    for shard in range(SHARDS):
        await put(endless, shard)
        await put(streams, shard)
    with nodes[0].frozen():
        knocking = [asyncio.create_task(put(endless, shard)) for shard in dead]
        async with asyncio.timeout(HANG_S):
            for _ in range(5):
                for shard in set(range(SHARDS)) - dead:
                    await put(endless, shard)
        assert not any(task.done() for task in knocking)
        for shard in dead:
            with pytest.raises(Unavailable):
                await put(streams, shard)
        assert await streams.fitness() == ""
    await asyncio.gather(*knocking)
    await endless.close()
    await until_back(streams, dead)


async def test_a_shard_that_has_moved_is_followed(
    streams: JournalStreams, nodes: list[Server]
) -> None:
    shard = min(shards_of(nodes[0]))
    slot = key_slot(b"{journal%d}" % shard)
    for each in range(SHARDS):
        await put(streams, each)
    nodes[0].client.flushall()

    def move(to: Server) -> None:
        name = to.client.execute_command("CLUSTER", "MYID").decode()
        for node in (to, *nodes):
            node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)

    move(nodes[1])
    await goes_on(streams, shard)
    nodes[1].client.flushall()
    move(nodes[0])
    await goes_on(streams, shard)
