"""Overrides: the ledger's, with the time that each has left, and one machine's in front of them."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.override_changes import OverrideChange
from gateway.domain.overrides import Action, Override, OverrideRequest
from gateway.domain.plans import Plan, Step
from gateway.overload.overrides import Ledger, Local
from gateway.stores.override_spool import OverrideSpool
from gateway.stores.postgres.local_overrides import LocalOverrides
from tests.support.fakes.clock import ManualClock
from tests.support.fakes.overrides import FakeLocalOverrides, FakeOverrideStore

from .conftest import RealLedger
from .support import retried

#: More than a test takes.
SLACK_S = 100.0
HOUR_S = 3600.0


class Subject(Protocol):
    @property
    def ledger(self) -> Ledger: ...

    @property
    def local(self) -> Local: ...

    async def set(self, target: str, action: Action, *, for_s: float = HOUR_S) -> None:
        """Set an override in the ledger, which takes two people for some of them."""

    async def plan(self, target: str, *, begins_s: float, ends_s: float) -> None:
        """Set a plan of one step."""

    def put(self, target: str, action: Action | None, *, ago_s: float = 0.0) -> None:
        """Make a change for an hour on this machine."""

    def go(self, seconds: float) -> None:
        """So much time has passed for all of it."""

    def away(self) -> AbstractContextManager[None]:
        """Lend a time in which the ledger does not answer."""
        ...


@dataclass
class Fake:
    clock: ManualClock
    ledger: FakeOverrideStore
    local: FakeLocalOverrides

    async def set(self, target: str, action: Action, *, for_s: float = HOUR_S) -> None:
        self.ledger.put(Override(target, action, "rebuild", "ann", for_s))

    async def plan(self, target: str, *, begins_s: float, ends_s: float) -> None:
        step = Override(target, "shed", "rebuild", "ann", ends_s, plan="sale", starts_s=begins_s)
        self.ledger.put(step)

    def put(self, target: str, action: Action | None, *, ago_s: float = 0.0) -> None:
        at = self.clock.now() - timedelta(seconds=ago_s)
        self.local.put(OverrideChange(target, action, HOUR_S, "rebuild", at, "ann"))

    def go(self, seconds: float) -> None:
        self.clock.at_s += seconds

    @contextmanager
    def away(self) -> Iterator[None]:
        self.ledger.is_away = True
        yield
        self.ledger.is_away = False


class Real:
    def __init__(self, real: RealLedger, directory: Path) -> None:
        self._real = real
        self._clock = ManualClock(datetime.now(UTC))
        self._spool = OverrideSpool(directory=directory / "control")
        self._store = real.gateway.override_store
        self.ledger: Ledger = self._store
        self.local: Local = LocalOverrides(spool=self._spool, store=self._store, clock=self._clock)

    async def set(self, target: str, action: Action, *, for_s: float = HOUR_S) -> None:
        assert await self._store.set(OverrideRequest(target, action, for_s, "rebuild", "ann"))

    async def plan(self, target: str, *, begins_s: float, ends_s: float) -> None:
        begins, ends = (datetime.now(UTC) + timedelta(seconds=each) for each in (begins_s, ends_s))
        step = Step(target=target, action="shed", from_at=begins, until=ends, reason="rebuild")
        await self._store.set_plan(Plan(name="sale", steps=[step]), actor="ann")

    def put(self, target: str, action: Action | None, *, ago_s: float = 0.0) -> None:
        at = self._clock.now() - timedelta(seconds=ago_s)
        self._spool.put(OverrideChange(target, action, HOUR_S, "rebuild", at))

    def go(self, seconds: float) -> None:
        self._clock.at_s += seconds
        earlier = f"- interval '{seconds} seconds'"
        self._real.execute(
            f"UPDATE switches SET set_at = set_at {earlier}, until = until {earlier}",
            f"UPDATE planned SET from_at = from_at {earlier}, until = until {earlier}",
        )

    def away(self) -> AbstractContextManager[None]:
        return self._real.away()


@pytest.fixture
def subject(ledger_or_none: RealLedger | None, tmp_path: Path) -> Subject:
    if ledger_or_none is not None:
        return Real(ledger_or_none, tmp_path)
    clock = ManualClock()
    store = FakeOverrideStore(clock)
    return Fake(clock, store, FakeLocalOverrides(store, clock))


def shown(overrides: Sequence[Override]) -> list[tuple[str, str]]:
    return [(each.target, each.action) for each in overrides]


def left_s(overrides: Sequence[Override]) -> dict[str, float]:
    return {each.target: each.left_s for each in overrides}


async def test_nothing_is_overridden_at_first(subject: Subject) -> None:
    assert await subject.ledger.every() == []
    assert subject.local.merge([]) == []
    assert subject.local.stored_known() == []


async def test_an_override_is_listed_as_it_was_set(subject: Subject) -> None:
    await subject.set("order_lists", "shed")
    (override,) = await subject.ledger.every()
    assert override.left_s == pytest.approx(HOUR_S, abs=SLACK_S)
    assert msgspec.structs.replace(override, left_s=0.0) == Override(
        "order_lists", "shed", "rebuild", "ann", 0.0
    )


async def test_overrides_are_sorted_by_target_and_the_last_of_each_counts(subject: Subject) -> None:
    await subject.set("tier4", "shed")
    await subject.set("order_lists", "shed")
    await subject.set("tier4", "admit")
    assert shown(await subject.ledger.every()) == [("order_lists", "shed"), ("tier4", "admit")]


async def test_the_time_left_falls_and_what_ended_is_not_listed(subject: Subject) -> None:
    await subject.set("order_lists", "shed", for_s=HOUR_S)
    await subject.set("tier4", "shed", for_s=2 * HOUR_S)
    subject.go(HOUR_S / 2)
    found = left_s(await subject.ledger.every())
    assert found == pytest.approx({"order_lists": 1800.0, "tier4": 5400.0}, abs=SLACK_S)
    subject.go(HOUR_S)
    assert shown(await subject.ledger.every()) == [("tier4", "shed")]


async def test_a_planned_step_begins_and_ends(subject: Subject) -> None:
    await subject.set("tier4", "admit", for_s=4 * HOUR_S)
    await subject.plan("tier4", begins_s=HOUR_S, ends_s=3 * HOUR_S)
    now, step = await subject.ledger.every()
    assert (now.plan, now.starts_s, step.plan) == (None, 0.0, "sale")
    assert step.starts_s == pytest.approx(HOUR_S, abs=SLACK_S)
    assert step.left_s == pytest.approx(3 * HOUR_S, abs=SLACK_S)
    assert (now.is_active(), step.is_active()) == (True, False)
    subject.go(2 * HOUR_S)
    _, step = await subject.ledger.every()
    assert step.is_active()
    subject.go(1.5 * HOUR_S)
    assert shown(await subject.ledger.every()) == [("tier4", "admit")]


async def test_a_ledger_that_is_away_is_unavailable_and_loses_nothing(subject: Subject) -> None:
    await subject.set("order_lists", "shed")
    with subject.away(), pytest.raises(Unavailable):
        await subject.ledger.every()
    assert shown(await retried(subject.ledger.every)) == [("order_lists", "shed")]


async def test_a_machines_change_replaces_the_ledgers_override(subject: Subject) -> None:
    await subject.set("order_lists", "shed")
    await subject.set("tier2", "shed")
    await subject.set("tier4", "shed")
    subject.put("order_lists", "admit")
    subject.put("tier2", None)
    merged = subject.local.merge(await subject.ledger.every())
    assert sorted(shown(merged)) == [("order_lists", "admit"), ("tier4", "shed")]


async def test_of_a_machines_changes_the_newest_counts_until_its_end(subject: Subject) -> None:
    subject.put("order_lists", "admit", ago_s=HOUR_S / 4)
    subject.put("order_lists", "shed", ago_s=HOUR_S / 2)
    (override,) = subject.local.merge([])
    assert override.action == "admit"
    assert override.left_s == pytest.approx(2700.0, abs=1.0)
    subject.go(HOUR_S)
    assert subject.local.merge([]) == []


async def test_a_flush_moves_changes_to_the_ledger(subject: Subject) -> None:
    await subject.set("tier2", "shed")
    assert await subject.local.flush() is False
    subject.go(1.0)
    subject.put("tier2", None)
    subject.put("order_lists", "shed", ago_s=HOUR_S / 2)
    assert await subject.local.flush() is True
    (override,) = await subject.ledger.every()
    assert (override.target, override.action) == ("order_lists", "shed")
    assert override.left_s == pytest.approx(1800.0, abs=SLACK_S)
    assert subject.local.merge([]) == []
    assert await subject.local.flush() is False


async def test_what_cannot_be_flushed_stays(subject: Subject) -> None:
    subject.put("order_lists", "shed")
    with subject.away(), pytest.raises(Unavailable):
        await subject.local.flush()
    assert shown(subject.local.merge([])) == [("order_lists", "shed")]
    assert await retried(subject.local.flush) is True
    assert shown(await subject.ledger.every()) == [("order_lists", "shed")]


async def test_what_was_known_is_stored_until_its_end(subject: Subject) -> None:
    plain = Override("order_lists", "shed", "rebuild", "ann", HOUR_S)
    step = Override("tier4", "shed", "rebuild", "ann", 3 * HOUR_S, plan="sale", starts_s=HOUR_S)
    subject.local.store_known([plain, step])
    assert subject.local.stored_known() == [plain, step]
    subject.go(HOUR_S / 2)
    stored = subject.local.stored_known()
    assert [each.left_s for each in stored] == pytest.approx([1800.0, 9000.0], abs=0.01)
    assert [each.starts_s for each in stored] == pytest.approx([0.0, 1800.0], abs=0.01)
    subject.go(HOUR_S)
    assert shown(subject.local.stored_known()) == [("tier4", "shed")]
    subject.local.store_known([])
    assert subject.local.stored_known() == []
