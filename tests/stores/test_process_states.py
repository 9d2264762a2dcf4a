"""Heartbeats through a real Valkey: what its keys hold, its faults, one server and a cluster.

What is received, and how it ages: ``contracts/test_process_states.py``.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from gateway.domain.errors import Unavailable
from gateway.overload import heartbeats
from gateway.overload.heartbeats import EXPIRES_S, Heartbeats
from gateway.stores.redis import process_states as stored
from gateway.stores.redis import scripting
from gateway.stores.redis.process_states import ProcessStates
from tests.domain.support import NOW
from tests.overload.test_admission import Ticked
from tests.support.patience import HANG_S
from tests.support.valkey_cluster import Server, cluster_in, server_in

CALL_S = 0.5
KEYS = [b"tidegate:{load}:heard", b"tidegate:{load}:backs", b"tidegate:{load}:states"]
SEEN, BACKS, STATES = KEYS


@pytest.fixture
def server(module_valkey: Server) -> Server:
    module_valkey.client.flushall()
    return module_valkey


@pytest.fixture
async def states(server: Server) -> AsyncIterator[ProcessStates]:
    opened = ProcessStates(url=server.url, call_s=CALL_S, expires_s=EXPIRES_S)
    yield opened
    await opened.close()


async def publish(states: ProcessStates, process: str, back: float = 0.5) -> dict[float, float]:
    """Publish; return the back load of the others with its age."""
    answer = await states.publish(process, back=back, state=f"state of {process}".encode())
    return {each.back: each.age_s for each in answer}


async def shown(states: ProcessStates) -> dict[bytes, float]:
    return {each.state: each.age_s for each in await states.published()}


def push_back(server: Server, process: str, seconds: float) -> None:
    """Make a process as if it was last seen so much earlier."""
    server.client.zincrby(SEEN, -seconds * 1000, process)


async def test_an_exchange_is_one_round_trip(states: ProcessStates, server: Server) -> None:
    def reads() -> int:
        return int(server.client.info("stats")["total_reads_processed"])

    for name in ("a", "b"):
        await publish(states, name)
    before = reads()
    for _ in range(10):
        await publish(states, "a")
    assert reads() == before + 10 + 1, "the last one is this question"


async def test_a_snapshot_ages_and_expires_after_three_seconds(
    states: ProcessStates, server: Server
) -> None:
    await publish(states, "old", 0.9)
    push_back(server, "old", 2.0)
    (age_s,) = (await publish(states, "b", 0.1)).values()
    assert 2.0 <= age_s < 2.8
    assert 2.0 <= (await shown(states))[b"state of old"] < 2.9
    push_back(server, "old", 1.1)
    assert set(await shown(states)) == {b"state of b"}, "also before it was removed"
    assert await publish(states, "b", 0.1) == {}
    assert [server.client.zcard(SEEN), *(server.client.hlen(k) for k in KEYS[1:])] == [1, 1, 1]


async def test_a_snapshot_from_the_future_is_ignored(states: ProcessStates, server: Server) -> None:
    """The server's clock was set back, or another server took over."""
    await publish(states, "ahead", 0.9)
    push_back(server, "ahead", -3600.0)
    assert await shown(states) == {}
    assert await publish(states, "b") == {}
    assert server.client.zcard(SEEN) == 1
    assert set(await publish(states, "ahead", 0.9)) == {0.5}
    assert set(await publish(states, "b")) == {0.9}


async def test_when_all_are_gone_nothing_is_left(states: ProcessStates, server: Server) -> None:
    await publish(states, "a")
    assert all(0 < server.client.pttl(key) <= EXPIRES_S * 1000 for key in KEYS)


async def test_no_more_are_read_than_the_bound(
    states: ProcessStates, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "COUNT_MAX", 4)
    for n in range(9):
        await publish(states, f"p{n}", n / 10)
        push_back(server, f"p{n}", (9 - n) / 10)
    assert set(await publish(states, "last")) == {0.6, 0.7, 0.8}
    assert len(await shown(states)) == 4
    for n in range(9):
        push_back(server, f"p{n}", 3.0)
    for _ in range(3):
        await publish(states, "last")
    assert server.client.zcard(SEEN) == 1, "expired ones are removed bit by bit"


@pytest.mark.parametrize("lost", KEYS)
async def test_evicted_keys_are_there_again_after_an_exchange(
    states: ProcessStates, server: Server, lost: bytes
) -> None:
    for name in ("a", "b", "dead"):
        await publish(states, name)
    server.client.delete(lost)
    await publish(states, "a", 0.1)
    await publish(states, "b", 0.2)
    assert 0.2 in await publish(states, "a", 0.1)
    assert {b"state of a", b"state of b"} <= set(await shown(states))
    push_back(server, "dead", 3600.0) if lost != SEEN else None
    await publish(states, "a")
    assert [server.client.zcard(SEEN), *(server.client.hlen(k) for k in KEYS[1:])] == [2, 2, 2]


async def test_what_is_no_number_is_ignored(states: ProcessStates, server: Server) -> None:
    await publish(states, "a", 0.3)
    await publish(states, "stranger")
    server.client.hset(BACKS, "stranger", "\x00much")
    assert set(await publish(states, "b")) == {0.3}


async def test_a_server_that_answers_with_an_error_is_unavailable(
    states: ProcessStates, server: Server
) -> None:
    server.client.set(SEEN, "a plain value")
    with pytest.raises(Unavailable):
        await publish(states, "a")
    with pytest.raises(Unavailable):
        await shown(states)


async def test_a_frozen_server_times_out(states: ProcessStates, server: Server) -> None:
    await publish(states, "a")
    with server.frozen():
        async with asyncio.timeout(HANG_S):
            with pytest.raises(Unavailable):
                await publish(states, "a")
    async with asyncio.timeout(HANG_S):
        while True:
            try:
                await publish(states, "a")
                break
            except Unavailable:
                await asyncio.sleep(0.02)


@pytest.mark.servers
async def test_two_processes_over_a_server_that_dies_and_comes_back(tmp_path: Path) -> None:
    with server_in(tmp_path) as server:
        opened = [
            ProcessStates(url=server.url, call_s=CALL_S, expires_s=EXPIRES_S) for _ in range(2)
        ]
        ticked = [Ticked(), Ticked()]
        answer = [
            Heartbeats(
                states=states,
                loads=each.peer_loads,
                admission=each.admission,
                identity=heartbeats.identity(role="all", port=1, started_at=NOW, version="1"),
                clock=each.clock,
            )
            for states, each in zip(opened, ticked, strict=True)
        ]

        async def go(seconds: float) -> float:
            """Return what the second one takes for the load of what lies behind."""
            for _ in range(round(seconds / 0.5)):
                for each, telling in zip(ticked, answer, strict=True):
                    each.tick(0.5)
                    await telling.exchange()
            return ticked[1].admission.load.back

        ticked[0].journal.fill = 0.9
        assert await go(2.0) > 0.9
        server.kill()
        await go(EXPIRES_S + 0.5)
        assert ticked[1].peer_loads.count(ticked[1].clock.at_s) == 0
        assert await go(12.0) < 0.05
        assert ticked[0].admission.load.back > 0.9
        server.start()
        assert await go(2.0) > 0.9
        ticked[0].journal.fill = 0.0
        assert await go(30.0) < 0.05
        for states in opened:
            await states.close()


@pytest.mark.servers
async def test_on_a_cluster_all_keys_are_on_one_node(tmp_path: Path) -> None:
    assert len({key_slot(key) for key in KEYS}) == 1
    with cluster_in(tmp_path) as nodes:
        opened = [ProcessStates(url=node.url, call_s=CALL_S, expires_s=EXPIRES_S) for node in nodes]
        for n, states in enumerate(opened):
            await publish(states, f"p{n}", n / 10)
        for states in opened:
            assert len(await shown(states)) == 3
        assert set(await publish(opened[0], "p0", 0.0)) == {0.1, 0.2}
        assert sorted(node.client.dbsize() for node in nodes) == [0, 0, 3]
        for states in opened:
            await states.close()


@pytest.mark.parametrize("answer", [None, [1], [[b"0.5"]], [[b"0.5", None]]])
async def test_an_odd_answer_counts_as_none(
    states: ProcessStates, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    async def odd(*_: object) -> object:
        return answer

    monkeypatch.setattr(scripting, "run", odd)
    with pytest.raises(Unavailable):
        await states.publish("p", back=0.0, state=b"{}")
    with pytest.raises(Unavailable):
        await states.published()
