"""What a process knows of operators' words: heard, ended in time, kept when nobody answers."""

import asyncio

import msgspec
import pytest

from gateway.domain.errors import TidegateError, Unavailable
from gateway.domain.overrides import Override
from gateway.overload.overrides import Overrides
from tests.intake.support import StoppedClock

SHED = Override("order_lists", "shed", "r", "ann", 60.0)


class ToldLedger:
    def __init__(self) -> None:
        self.modes: list[Override] = []
        self.is_away = False
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def every(self) -> list[Override]:
        await self.gate.wait()
        if self.is_away:
            raise Unavailable("postgres")
        if self.fault is not None:
            raise self.fault
        return list(self.modes)


class ToldLocal:
    def __init__(self, ledger: ToldLedger) -> None:
        self.modes: list[Override] = []
        self.kept: list[Override] = []
        self.brought_in = 0
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self._ledger = ledger

    def over(self, known: list[Override]) -> list[Override]:
        return [*known, *self.modes]

    async def bring_in(self) -> bool:
        self.brought_in += 1
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        taken, self.modes = self.modes, []
        self._ledger.modes += taken
        return bool(taken)

    def remember(self, known: list[Override]) -> None:
        self.kept = list(known)

    def recalled(self) -> list[Override]:
        return list(self.kept)


class Site:
    def __init__(self) -> None:
        self.clock = StoppedClock()
        self.ledger = ToldLedger()
        self.local = ToldLocal(self.ledger)
        self.modes = Overrides(ledger=self.ledger, local=self.local, clock=self.clock)


async def test_what_is_said_is_known_after_a_look() -> None:
    site = Site()
    site.ledger.modes = [SHED]
    assert site.modes.words == {}
    await site.modes.look()
    assert site.modes.words == {"order_lists": "shed"}
    site.ledger.modes = []
    await site.modes.look()
    assert site.modes.words == {}


async def test_a_mode_ends_by_itself_and_not_before() -> None:
    site = Site()
    site.ledger.modes = [SHED]
    await site.modes.look()
    site.clock.at_s += 59.9
    site.modes.tick(site.clock.at_s)
    assert site.modes.words
    site.clock.at_s += 0.1
    site.modes.tick(site.clock.at_s)
    assert site.modes.words == {}
    assert site.modes.standing() == []


async def test_while_the_ledger_is_away_the_known_modes_stand_until_their_end() -> None:
    site = Site()
    site.ledger.modes = [SHED]
    await site.modes.look()
    site.ledger.is_away = True
    site.clock.at_s += 50.0
    await site.modes.look()
    assert site.modes.words == {"order_lists": "shed"}
    assert [mode.left_s for mode in site.modes.standing()] == [10.0]
    site.clock.at_s += 10.0
    await site.modes.look()
    assert site.modes.words == {}


async def test_what_is_said_here_counts_without_the_ledger_and_waits_to_be_brought_in() -> None:
    site = Site()
    site.ledger.is_away = True
    site.local.modes = [SHED]
    await site.modes.look()
    assert site.modes.words == {"order_lists": "shed"}
    assert site.local.brought_in == 0
    site.ledger.is_away = False
    await site.modes.look()
    assert site.local.brought_in == 1


async def test_a_word_stands_while_it_is_brought_in() -> None:
    """It leaves the drawer then, and the ledger had been read before."""
    site = Site()
    site.ledger.is_away = True
    site.local.modes = [SHED]
    await site.modes.look()
    site.ledger.is_away = False
    await site.modes.look()
    assert site.local.modes == []
    assert site.modes.words == {"order_lists": "shed"}


async def test_what_is_long_in_being_brought_in_holds_up_nothing_and_stands_meanwhile() -> None:
    site = Site()
    site.ledger.modes = [msgspec.structs.replace(SHED, target="order_reads")]
    site.local.modes = [SHED]
    site.local.gate.clear()
    both = {"order_lists": "shed", "order_reads": "shed"}
    looking = asyncio.create_task(site.modes.look())
    async with asyncio.timeout(0.5):
        while site.modes.words != both:
            await asyncio.sleep(0.01)
    # Within what the local socket gives a process to answer, with time to spare.
    async with asyncio.timeout(1.2):
        await looking
    async with asyncio.timeout(1.2):
        await site.modes.look()
    assert site.local.brought_in == 1, "it goes on"
    site.local.gate.set()
    while site.local.modes:
        await asyncio.sleep(0)
    # Whoever looks right now finds it in the drawer no more.
    site.ledger.gate.clear()
    await site.modes.look()
    assert site.modes.words == both
    assert {mode.target for mode in site.local.kept} == set(both)
    site.ledger.gate.set()
    site.ledger.modes = []
    await site.modes.look()
    assert site.modes.words == {}


async def test_who_starts_while_the_ledger_is_away_knows_what_it_said_last() -> None:
    before = Site()
    before.ledger.modes = [SHED]
    await before.modes.look()
    site = Site()
    site.ledger.is_away = True
    site.local.kept = before.local.kept
    await site.modes.look()
    assert site.modes.words == {"order_lists": "shed"}
    site.clock.at_s += 61.0
    await site.modes.look()
    assert site.modes.words == {}
    site.ledger.is_away = False
    site.ledger.modes = [msgspec.structs.replace(SHED, target="order_reads")]
    await site.modes.look()
    assert site.modes.words == {"order_reads": "shed"}


async def test_only_what_changes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    site.ledger.modes = [SHED]
    await site.modes.look()
    caplog.clear()
    site.ledger.modes = [SHED, msgspec.structs.replace(SHED, target="order_reads")]
    await site.modes.look()
    assert [record.getMessage() for record in caplog.records] == [
        "operators: order_reads is to be refused"
    ]


async def test_a_silent_ledger_holds_up_nothing_and_is_heard_when_it_speaks() -> None:
    site = Site()
    site.ledger.modes = [SHED]
    site.ledger.gate.clear()
    site.local.modes = [msgspec.structs.replace(SHED, target="order_reads")]
    site.local.fault = Unavailable("postgres")
    async with asyncio.timeout(5):
        await site.modes.look()
    assert site.modes.words == {"order_reads": "shed"}
    site.clock.at_s += 20.0
    site.ledger.gate.set()
    await site.modes.look()
    assert site.modes.words == {"order_lists": "shed", "order_reads": "shed"}
    # What was left of it is counted from when it was asked, not from when it was heard.
    assert {mode.target: mode.left_s for mode in site.modes.standing()}["order_lists"] == 40.0


async def test_what_is_planned_begins_and_ends_by_itself_also_without_the_ledger() -> None:
    site = Site()
    step = msgspec.structs.replace(SHED, plan="sale", starts_s=30.0, left_s=90.0)
    site.ledger.modes = [step]
    await site.modes.look()
    site.ledger.is_away = True
    said = []
    for _ in range(10):
        said.append(bool(site.modes.words))
        site.clock.at_s += 10.0
        site.modes.tick(site.clock.at_s)
    assert said == [False] * 3 + [True] * 6 + [False]


async def test_a_tier_that_goes_early_is_no_forced_feature() -> None:
    site = Site()
    site.ledger.modes = [msgspec.structs.replace(SHED, target="tier3", word="early")]
    await site.modes.look()
    assert not site.modes.words
    assert site.modes.early == frozenset({3})


async def test_two_may_look_at_once() -> None:
    site = Site()
    site.ledger.modes = [SHED]
    site.ledger.gate.clear()
    looking = [asyncio.create_task(site.modes.look()) for _ in range(3)]
    await asyncio.sleep(0)
    site.ledger.gate.set()
    await asyncio.gather(*looking)
    assert site.modes.words == {"order_lists": "shed"}


async def test_no_fault_of_the_ledger_or_the_drawer_ends_the_looking() -> None:
    site = Site()
    site.ledger.modes = [SHED]
    for fault in (Unavailable("postgres"), TidegateError("contended"), PermissionError("drawer")):
        site.local.fault = fault
        await site.modes.look()
        assert site.modes.words == {"order_lists": "shed"}
    site.ledger.fault = TidegateError("contended")
    await site.modes.look()
    assert site.modes.words == {"order_lists": "shed"}
