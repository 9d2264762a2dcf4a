"""Processes that know of each other: what lies behind one is behind all, and no longer than it is.

Their Redis is a table with a clock; the real one is in tests/stores/test_process_states.py.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import pytest

from gateway.domain import features
from gateway.domain.errors import Unavailable
from gateway.domain.features import TIERS
from gateway.overload import peers
from gateway.overload.admission import TICK_S, Slot
from gateway.overload.load import BACK, LoadFigure
from gateway.overload.peers import KEPT_S, TELL_S, Peers, Process, Tier
from tests.domain.support import NOW
from tests.overload.test_admission import Ticked


@dataclass
class Told:
    back: float
    age_s: float


class ToldStates:
    """Keeps what is told, with when."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.told: dict[str, tuple[float, float, bytes]] = {}
        self.is_away = False

    async def publish(self, process: str, *, back: float, state: bytes) -> Sequence[Told]:
        if self.is_away:
            raise Unavailable("redis")
        self.told[process] = (back, self.at_s, state)
        return [
            Told(back, self.at_s - told_s)
            for name, (back, told_s, _) in self.told.items()
            if name != process and self.at_s - told_s <= KEPT_S
        ]


class Fleet:
    """Processes that tick together and tell each other, ``TELL_S`` apart."""

    def __init__(self, count: int) -> None:
        self.states = ToldStates()
        self.ticked = [Ticked() for _ in range(count)]
        self.peers = [
            Peers(
                states=self.states,
                heard=each.heard,
                overload=each.overload,
                committer=each.committer,
                modes=each.modes,
                who=peers.who(role="all", port=8080 + n, started_at=NOW, version="1"),
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
            if n % round(TELL_S / TICK_S) == 0:
                for number, telling in enumerate(self.peers):
                    if number not in self.silent:
                        await telling.exchange()

    def backs(self) -> list[float]:
        return [round(each.overload.load.back, 2) for each in self.ticked]


async def test_what_lies_behind_one_sheds_the_lesser_of_all_and_no_core() -> None:
    fleet = Fleet(3)
    await fleet.go(1.0)
    assert fleet.backs() == [0.0, 0.0, 0.0]
    fleet.ticked[0].journal.fill = 0.9
    await fleet.go(2.0)
    for other in fleet.ticked[1:]:
        assert other.overload.load.signal == "peers"
        assert other.overload.load.figure == pytest.approx(1.0, abs=0.02)
        assert other.overload.load.front < 0.1
        assert other.refused(features.ORDER_LISTS) == 100
        assert other.refused(features.ORDER_READS) == 100
        assert other.refused(features.ORDER_SUBMISSION) == 0
        assert other.refused(features.CALLBACKS) == 0


@pytest.mark.parametrize("count", [2, 5])
async def test_processes_do_not_keep_each_other_dark(count: int) -> None:
    fleet = Fleet(count)
    for each in fleet.ticked:
        each.journal.fill = each.journal.oldest_s = 30.0
    await fleet.go(5.0)
    assert min(fleet.backs()) > 1.0
    for each in fleet.ticked:
        each.journal.fill = each.journal.oldest_s = 0.0
    await fleet.go(40.0)
    assert max(fleet.backs()) < 0.05
    for each in fleet.ticked:
        assert [breaker.state for breaker in each.overload.tiers.values()] == ["closed"] * 4
        assert each.refused(features.ORDER_LISTS) == 0


async def test_what_was_heard_is_never_told() -> None:
    fleet = Fleet(2)
    fleet.ticked[0].journal.fill = 0.9
    await fleet.go(3.0)
    assert fleet.ticked[1].overload.load.back > 0.9
    process = fleet.peers[1].state()
    assert process.back == 0.0
    assert process.shares["peers"] > 0.9
    assert fleet.states.told[_key(fleet, 1)][0] == 0.0


async def test_one_that_dies_is_believed_for_three_seconds() -> None:
    fleet = Fleet(2)
    fleet.ticked[0].journal.fill = 0.9
    await fleet.go(2.0)
    fleet.silent = {0}
    await fleet.go(KEPT_S - 2 * TELL_S)
    assert fleet.ticked[1].heard.back(fleet.ticked[1].clock.at_s) > 0.9
    await fleet.go(2 * TELL_S)
    assert fleet.ticked[1].heard.back(fleet.ticked[1].clock.at_s) == 0.0


async def test_without_redis_what_was_heard_ages_and_what_is_seen_here_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fleet = Fleet(2)
    fleet.ticked[0].journal.fill = 0.9
    await fleet.go(2.0)
    with caplog.at_level(logging.INFO, "gateway.overload.peers"):
        fleet.states.is_away = True
        await fleet.go(KEPT_S)
        assert fleet.ticked[1].heard.back(fleet.ticked[1].clock.at_s) == 0.0
        await fleet.go(15.0)
        # Neither open nor shut: the one that sees nothing takes all, the other still sheds.
        assert fleet.ticked[1].overload.load.figure < 0.05
        assert fleet.ticked[0].refused(features.ORDER_LISTS) == 100
        fleet.ticked[1].journal.fill = 0.9
        await fleet.go(1.0)
        assert fleet.ticked[1].overload.load.signal == "jfill"
        fleet.states.is_away = False
        await fleet.go(1.0)
    said = [record.getMessage() for record in caplog.records if "heard" in record.getMessage()]
    assert said == [
        "other processes can not be heard; the load is what is seen here",
        "other processes can not be heard; the load is what is seen here",
        "other processes can be heard again",
        "other processes can be heard again",
    ], "one line of each for each change"


async def test_an_answer_that_took_long_is_as_old_as_its_question() -> None:
    fleet = Fleet(1)
    (ticked,), (telling,) = fleet.ticked, fleet.peers

    class Slow(ToldStates):
        async def publish(self, process: str, *, back: float, state: bytes) -> Sequence[Told]:
            ticked.clock.at_s += 2.0
            return [Told(0.9, 0.5)]

    telling._states = Slow()
    await telling.exchange()
    assert ticked.heard.back(ticked.clock.at_s) == 0.9
    assert ticked.heard.back(ticked.clock.at_s + KEPT_S - 2.5) == 0.0


async def test_a_hanging_redis_holds_up_nobody_and_the_task_ends_when_told() -> None:
    fleet = Fleet(1)
    asked = asyncio.Event()

    class Hanging(ToldStates):
        async def publish(self, process: str, *, back: float, state: bytes) -> Sequence[Told]:
            asked.set()
            await asyncio.sleep(0.2)
            raise Unavailable("redis")

    fleet.peers[0]._states = Hanging()
    stopping = asyncio.Event()
    running = asyncio.create_task(fleet.peers[0].run(stopping))
    await asked.wait()
    fleet.ticked[0].tick(1.0)
    assert isinstance(fleet.ticked[0].overload.ask(features.ORDER_LISTS), Slot)
    stopping.set()
    await asyncio.wait_for(running, 5.0)


async def test_what_is_told_is_read_again_as_it_was() -> None:
    fleet = Fleet(2)
    ticked = fleet.ticked[1]
    ticked.modes.words["order_lists"] = "shed"
    for _ in range(60):
        ticked.refused(features.ORDER_LISTS, of=5)
        ticked.refused(features.CALLBACKS, of=10)
        ticked.tick()
    ticked.committer.waiting = 7
    await fleet.peers[1].exchange()
    read = peers.decoded(fleet.states.told[_key(fleet, 1)][2])
    assert read == fleet.peers[1].state()
    assert read is not None
    assert (read.port, read.waiting, read.said) == (8081, 7, {"order_lists": "shed"})
    assert [each.tier for each in read.tiers] == list(TIERS)
    assert read.refused_per_s["3"] == pytest.approx(100)
    assert read.accepted_per_s == pytest.approx(200)
    assert read.started_at == NOW


@pytest.mark.parametrize("state", [b"", b"{}", b"\xff", b'{"host":1}', b"[]", b"null"])
def test_what_can_not_be_read_is_nothing(state: bytes) -> None:
    assert peers.decoded(state) is None


def test_what_another_version_tells_more_is_read_over() -> None:
    told = msgspec.to_builtins(_process()) | {"more": 1, "signal": "unheard-of"}
    read = peers.decoded(msgspec.json.encode(told))
    assert read is not None
    assert read.signal == "unheard-of"


@pytest.mark.parametrize(
    ("fronts", "p75"), [([], 0.0), ([0.5], 0.5), ([0.4, 0.1, 0.3, 0.2], 0.3), ([0.1, 0.9], 0.9)]
)
def test_a_summary(fronts: list[float], p75: float) -> None:
    told = [_process(front=front, load=front + 0.1, back=front / 2) for front in fronts]
    found = peers.summary(told)
    assert (found.processes, found.front_p75) == (len(fronts), p75)
    assert found.load_highest == pytest.approx(max(fronts) + 0.1 if fronts else 0.0)
    assert found.back_worst == pytest.approx(max(fronts) / 2 if fronts else 0.0)


def test_a_summary_adds_up_what_is_done_and_names_the_worst_of_each_tier() -> None:
    one = msgspec.structs.replace(
        _process(), waiting=3, accepted_per_s=1.25, refused_per_s={"2": 1.0, "4": 0.25},
        tiers=[Tier(2, "shedding", 0.4), Tier(4, "open", 1.0)],
    )  # fmt: skip
    other = msgspec.structs.replace(
        _process(), waiting=4, accepted_per_s=2.5, refused_per_s={"4": 2.5, "9": 7.0},
        tiers=[Tier(2, "shedding", 0.6), Tier(9, "open", 1.0)],
    )  # fmt: skip
    found = peers.summary([one, other])
    assert (found.waiting, found.accepted_per_s) == (7, 3.8)
    assert found.refused_per_s == 10.8, "also of tiers that only another version knows"
    assert found.refused_per_s_by_tier == {"0": 0.0, "1": 0.0, "2": 1.0, "3": 0.0, "4": 2.8}
    assert found.dark == {"0": 0.0, "1": 0.0, "2": 0.6, "3": 0.0, "4": 1.0}
    nobody = peers.summary([])
    assert set(nobody.dark.values()) | set(nobody.refused_per_s_by_tier.values()) == {0.0}


@pytest.mark.parametrize("signal", sorted(set(BACK) - {"peers", "dbpool"}))
def test_what_lies_behind_all_is_told_and_neither_what_others_told_nor_what_readers_here_wait_for(
    signal: Literal["jage", "jfill", "dbbatch"],
) -> None:
    load = LoadFigure().take({signal: BACK[signal].at_100, "peers": 1.25}, 0.0)
    alone = LoadFigure().take({signal: BACK[signal].at_100}, 0.0)
    assert load.own_back == alone.own_back == alone.back > 0
    assert load.back > load.own_back


def _key(fleet: Fleet, number: int) -> str:
    return fleet.peers[number]._who.key


def _process(*, front: float = 0.1, load: float = 0.1, back: float = 0.0) -> Process:
    process = Fleet(1).peers[0].state()
    return msgspec.structs.replace(process, front=front, load=load, back=back)
