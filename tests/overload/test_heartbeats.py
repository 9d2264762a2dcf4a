"""Heartbeats: back load of one process counts for all, and expires.

Their Redis is a fake with a clock of its own.
"""

import asyncio
import json
import logging
from typing import Literal

import msgspec
import pytest

from gateway.domain import features
from gateway.domain.errors import Unavailable
from gateway.domain.features import TIERS
from gateway.overload import cluster_view, heartbeats
from gateway.overload.concurrency import Slot
from gateway.overload.heartbeats import EXPIRES_S, HEARTBEAT_S, Heartbeats, PublishedProcess
from gateway.overload.load import BACK, LoadFigure
from gateway.overload.signals import TICK_S
from gateway.overload.snapshot import TierSnapshot
from gateway.stores.redis.process_states import PeerLoad
from tests.domain.support import NOW
from tests.overload.test_admission import Ticked
from tests.support.fakes.process_states import FakeProcessStates
from tests.support.patience import HANG_S


class Cluster:
    """Processes that tick together and send heartbeats each ``HEARTBEAT_S``."""

    def __init__(self, count: int) -> None:
        self.states = FakeProcessStates()
        self.ticked = [Ticked() for _ in range(count)]
        self.peers = [
            Heartbeats(
                states=self.states,
                loads=each.peer_loads,
                admission=each.admission,
                identity=heartbeats.identity(
                    role="all", port=8080 + n, started_at=NOW, version="1"
                ),
                clock=each.clock,
            )
            for n, each in enumerate(self.ticked)
        ]
        self.silent: set[int] = set()

    async def go(self, seconds: float) -> None:
        for n in range(round(seconds / TICK_S)):
            self.states.at_s += TICK_S
            for each in self.ticked:
                each.tick()
            if n % round(HEARTBEAT_S / TICK_S) == 0:
                for number, telling in enumerate(self.peers):
                    if number not in self.silent:
                        await telling.exchange()

    def backs(self) -> list[float]:
        return [round(each.admission.load.back, 2) for each in self.ticked]


async def test_back_load_of_one_sheds_tiers_2_to_4_of_all_and_no_core() -> None:
    cluster = Cluster(3)
    await cluster.go(1.0)
    assert cluster.backs() == [0.0, 0.0, 0.0]
    cluster.ticked[0].journal.fill = 0.9
    await cluster.go(2.0)
    for other in cluster.ticked[1:]:
        assert other.admission.load.signal == "peers"
        assert other.admission.load.figure == pytest.approx(1.0, abs=0.02)
        assert other.admission.load.front < 0.1
        assert other.rejected(features.ORDER_LISTS) == 100
        assert other.rejected(features.ORDER_READS) == 100
        assert other.rejected(features.ORDER_SUBMISSION) == 0
        assert other.rejected(features.CALLBACKS) == 0


@pytest.mark.parametrize("count", [2, 5])
async def test_processes_do_not_keep_each_other_shed(count: int) -> None:
    cluster = Cluster(count)
    for each in cluster.ticked:
        each.journal.fill = each.journal.oldest_s = 30.0
    await cluster.go(5.0)
    assert min(cluster.backs()) > 1.0
    for each in cluster.ticked:
        each.journal.fill = each.journal.oldest_s = 0.0
    await cluster.go(40.0)
    assert max(cluster.backs()) < 0.05
    for each in cluster.ticked:
        assert [breaker.state for breaker in each.admission.breakers.values()] == ["admitting"] * 4
        assert each.rejected(features.ORDER_LISTS) == 0


async def test_received_load_is_never_published() -> None:
    cluster = Cluster(2)
    cluster.ticked[0].journal.fill = 0.9
    await cluster.go(3.0)
    assert cluster.ticked[1].admission.load.back > 0.9
    process = cluster.peers[1].published()
    assert process.back == 0.0
    assert process.shares["peers"] > 0.9
    assert cluster.states.stored[_key(cluster, 1)][0] == 0.0


async def test_the_load_of_a_dead_process_expires_after_three_seconds() -> None:
    cluster = Cluster(2)
    cluster.ticked[0].journal.fill = 0.9
    await cluster.go(2.0)
    cluster.silent = {0}
    await cluster.go(EXPIRES_S - 2 * HEARTBEAT_S)
    assert cluster.ticked[1].peer_loads.worst(cluster.ticked[1].clock.at_s) > 0.9
    await cluster.go(2 * HEARTBEAT_S)
    assert cluster.ticked[1].peer_loads.worst(cluster.ticked[1].clock.at_s) == 0.0


async def test_without_redis_received_load_expires_and_own_load_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster(2)
    cluster.ticked[0].journal.fill = 0.9
    await cluster.go(2.0)
    with caplog.at_level(logging.INFO, "gateway.overload.heartbeats"):
        cluster.states.is_away = True
        await cluster.go(EXPIRES_S)
        assert cluster.ticked[1].peer_loads.worst(cluster.ticked[1].clock.at_s) == 0.0
        await cluster.go(15.0)
        # Neither open nor shut: the one that sees nothing takes all, the other still sheds.
        assert cluster.ticked[1].admission.load.figure < 0.05
        assert cluster.ticked[0].rejected(features.ORDER_LISTS) == 100
        cluster.ticked[1].journal.fill = 0.9
        await cluster.go(1.0)
        assert cluster.ticked[1].admission.load.signal == "jfill"
        cluster.states.is_away = False
        await cluster.go(1.0)
    logged = [r.getMessage() for r in caplog.records if r.getMessage().startswith("peers")]
    assert logged == [
        "peers cannot be reached; the load is what this process measures",
        "peers cannot be reached; the load is what this process measures",
        "peers can be reached again",
        "peers can be reached again",
    ], "one line of each for each change"


async def test_a_slow_answer_is_as_old_as_its_question() -> None:
    cluster = Cluster(1)
    (ticked,), (telling,) = cluster.ticked, cluster.peers

    class Slow(FakeProcessStates):
        async def publish(self, process: str, *, back: float, state: bytes) -> list[PeerLoad]:
            ticked.clock.at_s += 2.0
            return [PeerLoad(0.9, 0.5)]

    telling._states = Slow()
    await telling.exchange()
    assert ticked.peer_loads.worst(ticked.clock.at_s) == 0.9
    assert ticked.peer_loads.worst(ticked.clock.at_s + EXPIRES_S - 2.5) == 0.0


async def test_a_hanging_redis_delays_no_request_and_the_task_can_be_stopped() -> None:
    cluster = Cluster(1)
    asked = asyncio.Event()

    class Hanging(FakeProcessStates):
        async def publish(self, process: str, *, back: float, state: bytes) -> list[PeerLoad]:
            asked.set()
            await asyncio.sleep(0.2)
            raise Unavailable("redis")

    cluster.peers[0]._states = Hanging()
    stopping = asyncio.Event()
    running = asyncio.create_task(cluster.peers[0].run(stopping))
    await asked.wait()
    cluster.ticked[0].tick(1.0)
    assert isinstance(cluster.ticked[0].admission.admit(features.ORDER_LISTS), Slot)
    stopping.set()
    await asyncio.wait_for(running, HANG_S)


async def test_a_published_process_is_decoded_as_it_was() -> None:
    cluster = Cluster(2)
    ticked = cluster.ticked[1]
    ticked.overrides.actions["order_lists"] = "shed"
    for _ in range(60):
        ticked.rejected(features.ORDER_LISTS, of=5)
        ticked.rejected(features.CALLBACKS, of=10)
        ticked.tick()
    ticked.committer.waiting = 7
    await cluster.peers[1].exchange()
    read = heartbeats.decoded(cluster.states.stored[_key(cluster, 1)][2])
    assert read == cluster.peers[1].published()
    assert read is not None
    assert (read.port, read.waiting, read.actions) == (8081, 7, {"order_lists": "shed"})
    assert [each.tier for each in read.tiers] == list(TIERS)
    assert read.rejected_per_s["3"] == pytest.approx(100)
    assert read.accepted_per_s == pytest.approx(200)
    assert read.started_at == NOW


@pytest.mark.parametrize("state", [b"", b"{}", b"\xff", b'{"host":1}', b"[]", b"null"])
def test_unreadable_states_are_none(state: bytes) -> None:
    assert heartbeats.decoded(state) is None


def test_unknown_fields_of_another_version_are_ignored() -> None:
    newer = msgspec.to_builtins(_process()) | {"more": 1, "signal": "unheard-of"}
    read = heartbeats.decoded(msgspec.json.encode(newer))
    assert read is not None
    assert read.signal == "unheard-of"


@pytest.mark.parametrize(
    ("fronts", "p75"), [([], 0.0), ([0.5], 0.5), ([0.4, 0.1, 0.3, 0.2], 0.3), ([0.1, 0.9], 0.9)]
)
def test_a_summary(fronts: list[float], p75: float) -> None:
    processes = [_process(front=front, load=front + 0.1, back=front / 2) for front in fronts]
    found = cluster_view.summary(processes)
    assert (found.processes, found.front_p75) == (len(fronts), p75)
    assert found.load_highest == pytest.approx(max(fronts) + 0.1 if fronts else 0.0)
    assert found.back_worst == pytest.approx(max(fronts) / 2 if fronts else 0.0)


def test_a_summary_has_sums_and_the_worst_of_each_tier() -> None:
    one = msgspec.structs.replace(
        _process(), waiting=3, accepted_per_s=1.25, rejected_per_s={"2": 1.0, "4": 0.25},
        tiers=[TierSnapshot(2, "shedding_some", 0.4), TierSnapshot(4, "shedding_all", 1.0)],
    )  # fmt: skip
    other = msgspec.structs.replace(
        _process(), waiting=4, accepted_per_s=2.5, rejected_per_s={"4": 2.5, "9": 7.0},
        tiers=[TierSnapshot(2, "shedding_some", 0.6), TierSnapshot(9, "shedding_all", 1.0)],
    )  # fmt: skip
    found = cluster_view.summary([one, other])
    assert (found.waiting, found.accepted_per_s) == (7, 3.8)
    assert found.rejected_per_s == 10.8, "also of tiers that only another version knows"
    assert found.rejected_per_s_by_tier == {"0": 0.0, "1": 0.0, "2": 1.0, "3": 0.0, "4": 2.8}
    assert found.rejected_share == {"0": 0.0, "1": 0.0, "2": 0.6, "3": 0.0, "4": 1.0}
    empty = cluster_view.summary([])
    assert set(empty.rejected_share.values()) | set(empty.rejected_per_s_by_tier.values()) == {0.0}


@pytest.mark.parametrize("signal", sorted(set(BACK) - {"peers", "dbpool"}))
def test_own_back_load_excludes_received_load_and_waits_of_own_reads(
    signal: Literal["jage", "jfill", "dbbatch"],
) -> None:
    load = LoadFigure().take({signal: BACK[signal].at_100, "peers": 1.25}, 0.0)
    alone = LoadFigure().take({signal: BACK[signal].at_100}, 0.0)
    assert load.own_back == alone.own_back == alone.back > 0
    assert load.back > load.own_back


def _key(cluster: Cluster, number: int) -> str:
    return cluster.peers[number].key


def _process(*, front: float = 0.1, load: float = 0.1, back: float = 0.0) -> PublishedProcess:
    process = Cluster(1).peers[0].published()
    return msgspec.structs.replace(process, front=front, load=load, back=back)


def test_the_published_names_stay() -> None:
    """Other versions read them from Redis, and programs from ``tidegate load --json``."""
    process = _process()
    encoded = json.loads(msgspec.json.encode(process))
    assert set(encoded) == {
        "host", "pid", "role", "port", "started_at", "version", "load", "front", "back", "signal",
        "shares", "tiers", "said", "slots_limit", "slots_in_use", "in_flight_limit", "waiting",
        "accepted_per_s", "refused_per_s",
    }  # fmt: skip
    assert [set(each) for each in encoded["tiers"]] == [{"tier", "admission", "share", "state"}] * 5
    assert set(encoded["refused_per_s"]) == {"0", "1", "2", "3", "4"}
    summary = json.loads(msgspec.json.encode(cluster_view.summary([process])))
    assert set(summary) == {
        "processes", "load_highest", "front_p75", "back_worst", "accepted_per_s", "refused_per_s",
        "refused_per_s_by_tier", "shed", "dark", "waiting",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "earlier"),
    [("admitting", "closed"), ("shedding_some", "shedding"), ("shedding_all", "open"),
     ("recovering", "recovering"), ("of another version", "of another version")],
)  # fmt: skip
def test_a_tier_is_published_in_the_words_of_now_and_of_before(word: str, earlier: str) -> None:
    published = msgspec.json.encode(TierSnapshot(3, word, 0.5))
    assert json.loads(published) == {"tier": 3, "admission": word, "share": 0.5, "state": earlier}
    assert msgspec.json.decode(published, type=TierSnapshot) == TierSnapshot(3, word, 0.5)


def test_what_an_earlier_version_published_is_read() -> None:
    state = (
        b'{"host":"h","pid":1,"role":"all","port":8080,"started_at":"2026-11-24T10:00:00Z",'
        b'"version":"0.1.0","load":0.5,"front":0.5,"back":0.25,"signal":"lag","shares":{"lag":0.5},'
        b'"tiers":[{"tier":3,"state":"open","share":1.0}],"said":{"order_lists":"shed"},'
        b'"slots_limit":128,"slots_in_use":2,"in_flight_limit":null,"waiting":3,'
        b'"accepted_per_s":10.0,"refused_per_s":{"3":4.0}}'
    )
    read = heartbeats.decoded(state)
    assert read is not None
    assert (read.host, read.back, read.actions) == ("h", 0.25, {"order_lists": "shed"})
    assert read.tiers == [TierSnapshot(3, "shedding_all", 1.0)]
    assert read.rejected_per_s == {"3": 4.0}
    without = msgspec.json.encode({k: v for k, v in json.loads(state).items() if k != "said"})
    assert heartbeats.decoded(without) == msgspec.structs.replace(read, actions={})
