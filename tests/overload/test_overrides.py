"""Overrides in a process: read, merged, expired, and stored for a start without the ledger."""

import asyncio

import msgspec
import pytest

from gateway.domain.errors import TidegateError, Unavailable
from gateway.domain.override_changes import OverrideChange
from gateway.domain.overrides import Override
from gateway.overload.overrides import Overrides
from tests.domain.support import NOW
from tests.support.fakes.clock import ManualClock
from tests.support.fakes.overrides import FakeLocalOverrides, FakeOverrideStore
from tests.support.patience import HANG_S

SHED = Override("order_lists", "shed", "r", "ann", 60.0)
SHED_HERE = OverrideChange("order_lists", "shed", 60.0, "r", NOW, "ann")


class Site:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = FakeOverrideStore(self.clock)
        self.local = FakeLocalOverrides(self.ledger, self.clock)
        self.overrides = Overrides(ledger=self.ledger, local=self.local, clock=self.clock)


async def test_an_override_is_active_after_a_refresh() -> None:
    site = Site()
    site.ledger.overrides = [SHED]
    assert site.overrides.actions == {}
    await site.overrides.refresh()
    assert site.overrides.actions == {"order_lists": "shed"}
    site.ledger.overrides = []
    await site.overrides.refresh()
    assert site.overrides.actions == {}


async def test_an_override_expires_by_itself_and_not_before() -> None:
    site = Site()
    site.ledger.overrides = [SHED]
    await site.overrides.refresh()
    site.clock.at_s += 59.9
    site.overrides.tick(site.clock.at_s)
    assert site.overrides.actions
    site.clock.at_s += 0.1
    site.overrides.tick(site.clock.at_s)
    assert site.overrides.actions == {}
    assert site.overrides.current() == []


async def test_without_the_ledger_known_overrides_stay_active_until_their_end() -> None:
    site = Site()
    site.ledger.overrides = [SHED]
    await site.overrides.refresh()
    site.ledger.is_away = True
    site.clock.at_s += 50.0
    await site.overrides.refresh()
    assert site.overrides.actions == {"order_lists": "shed"}
    assert [each.left_s for each in site.overrides.current()] == [10.0]
    site.clock.at_s += 10.0
    await site.overrides.refresh()
    assert site.overrides.actions == {}


async def test_local_overrides_are_active_without_the_ledger_and_flushed_later() -> None:
    site = Site()
    site.ledger.is_away = True
    site.local.put(SHED_HERE)
    await site.overrides.refresh()
    assert site.overrides.actions == {"order_lists": "shed"}
    assert site.local.flushes == 0
    site.ledger.is_away = False
    await site.overrides.refresh()
    assert site.local.flushes == 1


async def test_an_override_stays_active_during_its_flush() -> None:
    """It leaves the spool then, and the ledger was read before."""
    site = Site()
    site.ledger.is_away = True
    site.local.put(SHED_HERE)
    await site.overrides.refresh()
    site.ledger.is_away = False
    await site.overrides.refresh()
    assert site.local.changes == []
    assert site.overrides.actions == {"order_lists": "shed"}


async def test_a_slow_flush_delays_nothing_and_its_overrides_stay_active() -> None:
    site = Site()
    site.ledger.overrides = [msgspec.structs.replace(SHED, target="order_reads")]
    site.local.put(SHED_HERE)
    site.local.gate.clear()
    both = {"order_lists": "shed", "order_reads": "shed"}
    looking = asyncio.create_task(site.overrides.refresh())
    async with asyncio.timeout(HANG_S):
        while site.overrides.actions != both:
            await asyncio.sleep(0.01)
        await looking
        await site.overrides.refresh()
    assert site.local.flushes == 1, "it goes on"
    site.local.gate.set()
    while site.local.changes:
        await asyncio.sleep(0)
    # A refresh right now does not find it in the spool any more.
    site.ledger.gate.clear()
    await site.overrides.refresh()
    assert site.overrides.actions == both
    assert {each.target for each in site.local.stored} == set(both)
    site.ledger.gate.set()
    site.ledger.overrides = []
    # The first has the answer to the question that was waiting, which is older.
    await site.overrides.refresh()
    await site.overrides.refresh()
    assert site.overrides.actions == {}


async def test_a_start_without_the_ledger_uses_what_was_stored_last() -> None:
    before = Site()
    before.ledger.overrides = [SHED]
    await before.overrides.refresh()
    site = Site()
    site.ledger.is_away = True
    site.local.stored = before.local.stored
    await site.overrides.refresh()
    assert site.overrides.actions == {"order_lists": "shed"}
    site.clock.at_s += 61.0
    await site.overrides.refresh()
    assert site.overrides.actions == {}
    site.ledger.is_away = False
    site.ledger.overrides = [msgspec.structs.replace(SHED, target="order_reads")]
    await site.overrides.refresh()
    assert site.overrides.actions == {"order_reads": "shed"}


async def test_only_what_changes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    site.ledger.overrides = [SHED]
    await site.overrides.refresh()
    caplog.clear()
    site.ledger.overrides = [SHED, msgspec.structs.replace(SHED, target="order_reads")]
    await site.overrides.refresh()
    assert [record.getMessage() for record in caplog.records] == ["operators: order_reads is shed"]


async def test_a_silent_ledger_delays_nothing_and_its_late_answer_is_used() -> None:
    site = Site()
    site.ledger.overrides = [SHED]
    site.ledger.gate.clear()
    site.local.put(msgspec.structs.replace(SHED_HERE, target="order_reads"))
    site.local.fault = Unavailable("postgres")
    async with asyncio.timeout(HANG_S):
        await site.overrides.refresh()
    assert site.overrides.actions == {"order_reads": "shed"}
    site.clock.at_s += 20.0
    site.ledger.gate.set()
    await site.overrides.refresh()
    assert site.overrides.actions == {"order_lists": "shed", "order_reads": "shed"}
    # The time left is counted from the question, not from the answer.
    assert {each.target: each.left_s for each in site.overrides.current()}["order_lists"] == 40.0


async def test_planned_steps_begin_and_end_without_the_ledger() -> None:
    site = Site()
    step = msgspec.structs.replace(SHED, plan="sale", starts_s=30.0, left_s=90.0)
    site.ledger.overrides = [step]
    await site.overrides.refresh()
    site.ledger.is_away = True
    active = []
    for _ in range(10):
        active.append(bool(site.overrides.actions))
        site.clock.at_s += 10.0
        site.overrides.tick(site.clock.at_s)
    assert active == [False] * 3 + [True] * 6 + [False]


async def test_an_early_tier_has_no_feature_overridden() -> None:
    site = Site()
    site.ledger.overrides = [msgspec.structs.replace(SHED, target="tier3", action="early")]
    await site.overrides.refresh()
    assert not site.overrides.actions
    assert site.overrides.early_tiers == frozenset({3})


async def test_several_refreshes_may_run_at_once() -> None:
    site = Site()
    site.ledger.overrides = [SHED]
    site.ledger.gate.clear()
    looking = [asyncio.create_task(site.overrides.refresh()) for _ in range(3)]
    await asyncio.sleep(0)
    site.ledger.gate.set()
    await asyncio.gather(*looking)
    assert site.overrides.actions == {"order_lists": "shed"}


async def test_no_fault_of_the_ledger_or_the_spool_ends_the_refreshing() -> None:
    site = Site()
    site.ledger.overrides = [SHED]
    for fault in (Unavailable("postgres"), TidegateError("contended"), PermissionError("spool")):
        site.local.fault = fault
        await site.overrides.refresh()
        assert site.overrides.actions == {"order_lists": "shed"}
    site.ledger.fault = TidegateError("contended")
    await site.overrides.refresh()
    assert site.overrides.actions == {"order_lists": "shed"}
