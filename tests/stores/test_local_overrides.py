"""What is said on a machine while the ledger is away: it counts, survives, and is brought in."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.domain.overrides import Override, OverrideRequest
from gateway.runtime.clock import SystemClock
from gateway.stores.override_spool import OverrideSpool, SpooledChange
from gateway.stores.postgres.local_overrides import LocalOverrides
from gateway.stores.postgres.overrides import OverrideStore
from tests.stores.support import Database
from tests.web.support import ManualClock


def change(target: str = "order_lists", **changes: object) -> SpooledChange:
    plain = {"word": "shed", "for_s": 600.0, "reason": "rebuild", "at": datetime.now(UTC)}
    return SpooledChange(target, **{**plain, **changes})  # type: ignore[arg-type]


@pytest.fixture
def drawer(tmp_path: Path) -> OverrideSpool:
    return OverrideSpool(directory=tmp_path / "control")


@pytest.fixture
def switches(ledger: Database) -> OverrideStore:
    return OverrideStore(pool=ledger)


@pytest.fixture
def here(drawer: OverrideSpool, switches: OverrideStore) -> LocalOverrides:
    return LocalOverrides(drawer=drawer, switches=switches, clock=SystemClock())


def shown(modes: list[Override]) -> list[tuple[str, str]]:
    return [(mode.target, mode.word) for mode in modes]


def test_an_empty_drawer_says_nothing(here: LocalOverrides, drawer: OverrideSpool) -> None:
    known = [Override("order_lists", "shed", "r", "a", 5.0)]
    assert here.over(known) == known
    assert not drawer.directory.exists()


def test_the_newer_word_lies_over_what_is_known(
    here: LocalOverrides, drawer: OverrideSpool
) -> None:
    drawer.put(change(at=datetime.now(UTC) - timedelta(seconds=30)))
    drawer.put(change(word="admit", at=datetime.now(UTC) - timedelta(seconds=10)))
    drawer.put(change("tier2", word=None, at=datetime.now(UTC)))
    known = [
        Override("order_lists", "shed", "r", "a", 5.0),
        Override("tier2", "shed", "r", "a", 5.0),
    ]
    (mode,) = here.over(known)
    assert (mode.target, mode.word) == ("order_lists", "admit")
    assert 500 < mode.left_s <= 600


def test_its_time_runs_out(here: LocalOverrides, drawer: OverrideSpool) -> None:
    drawer.put(change(for_s=60.0, at=datetime.now(UTC) - timedelta(seconds=61)))
    assert here.over([]) == []


def test_a_time_that_is_yet_to_come_stretches_nothing(
    here: LocalOverrides, drawer: OverrideSpool
) -> None:
    drawer.put(change(for_s=60.0, at=datetime.now(UTC) + timedelta(days=1)))
    (mode,) = here.over([])
    assert mode.left_s <= 60


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{}",
        b"[" * 5000,
        b'{"x":' + b"[" * 4000,
        b'{"target":"order_lists","word":"shed","for_s":60,"reason":"r","at":"0001-01-01T00:00:00+14:00"}',
        json.dumps({"target": "x", "word": "shed", "for_s": 1, "reason": "r"}).encode(),
        b'{"target":"callbacks","word":"shed","for_s":60,"reason":"r","at":"2026-11-24T10:00:00Z"}',
        b'{"target":"order_lists","word":"shed","for_s":99999,"reason":"r","at":"2026-11-24T10:00:00Z"}',
        b'{"target":"order_lists","word":"shed","for_s":60,"reason":"r","at":"2026-11-24T10:00:00"}',
    ],
)
async def test_what_nobody_may_order_alone_or_at_all_is_not_heard(
    drawer: OverrideSpool, here: LocalOverrides, ledger: Database, content: bytes
) -> None:
    drawer.directory.mkdir(parents=True)
    (drawer.directory / "1.change").write_bytes(content)
    assert here.over([]) == []
    await here.bring_in()
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 0


def test_whose_file_it_is_says_who_wrote_it(drawer: OverrideSpool) -> None:
    drawer.put(change(actor="somebody else"))
    (kept,) = drawer.every()
    assert kept.actor == drawer.directory.owner()


async def test_it_is_brought_in_once_with_its_audit_row(
    drawer: OverrideSpool, here: LocalOverrides, switches: OverrideStore, ledger: Database
) -> None:
    drawer.put(change(at=datetime.now(UTC) - timedelta(seconds=100)))
    drawer.put(change("tier2", word="admit"))
    await here.bring_in()
    await here.bring_in()
    assert drawer.every() == []
    modes = await switches.every()
    assert shown(modes) == [("order_lists", "shed"), ("tier2", "admit")]
    # It ends when it would have ended here.
    assert 400 < modes[0].left_s <= 500
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 2


async def test_a_process_that_dies_before_it_clears_up_leaves_no_second_row(
    drawer: OverrideSpool, here: LocalOverrides, ledger: Database
) -> None:
    said = change()
    drawer.put(said)
    await here.bring_in()
    drawer.put(said)
    await here.bring_in()
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_what_the_ledger_heard_later_stays(
    drawer: OverrideSpool, here: LocalOverrides, switches: OverrideStore, ledger: Database
) -> None:
    early = datetime.now(UTC) - timedelta(seconds=100)
    await switches.set(OverrideRequest("order_lists", "admit", 60.0, "r", "ann"))
    await switches.set(OverrideRequest("tier2", "admit", 60.0, "r", "ann"))
    drawer.put(change(at=early))
    drawer.put(change("tier2", word=None, at=early))
    await here.bring_in()
    assert shown(await switches.every()) == [("order_lists", "admit"), ("tier2", "admit")]
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 4


async def test_only_one_process_brings_in(
    drawer: OverrideSpool, here: LocalOverrides, ledger: Database
) -> None:
    drawer.put(change())
    with drawer.taking() as mine:
        await here.bring_in()
        assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 0
        assert len(list(mine)) == 1


def test_what_is_no_change_is_put_aside_and_stands_in_nobodys_way(
    here: LocalOverrides, drawer: OverrideSpool
) -> None:
    drawer.put(change("order_reads"))
    for n in range(150):
        (drawer.directory / f"0-{n}.change").write_text("junk")
    drawer.put(change())
    # A look takes so many at most.
    found = [here.over([]) for _ in range(2)][-1]
    assert {mode.target for mode in found} == {"order_lists", "order_reads"}
    assert len(list(drawer.directory.glob("*.bad"))) == 150


def test_what_the_ledger_said_is_kept_for_who_starts_without_it(
    here: LocalOverrides, drawer: OverrideSpool
) -> None:
    known = [
        Override("order_lists", "shed", "r", "ann", 600.0),
        Override("callbacks", "shed", "r", "ann", 300.0, second="ben"),
        Override("tier4", "shed", "r", "ann", 900.0, plan="sale", starts_s=300.0),
        Override("order_reads", "admit", "r", "ann", 0.01),
    ]
    here.remember(known)
    before = (drawer.directory / "known").stat().st_mtime_ns
    here.remember(known)
    assert (drawer.directory / "known").stat().st_mtime_ns == before, "nothing had changed"
    time.sleep(0.02)
    found = here.recalled()
    assert [mode.target for mode in found] == ["order_lists", "callbacks", "tier4"]
    assert 599 < found[0].left_s < 600
    assert found[1].second == "ben"
    assert 299 < found[2].starts_s < 300


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", b"[]", b"[" * 100_000, b'[{"mode":{"target":"x"}}]', b"\xff", b"{}"],
)
def test_a_damaged_memory_of_the_ledger_is_none(
    here: LocalOverrides, drawer: OverrideSpool, content: bytes
) -> None:
    drawer.directory.mkdir()
    (drawer.directory / "known").write_bytes(content)
    assert here.recalled() == []


def test_a_change_that_is_dated_ahead_ends_all_the_same(
    drawer: OverrideSpool, switches: OverrideStore
) -> None:
    """A clock that was set back may not stretch it."""
    clock = ManualClock()
    here = LocalOverrides(drawer=drawer, switches=switches, clock=clock)
    drawer.put(change(for_s=60.0, at=clock.now() + timedelta(hours=1)))
    (mode,) = here.over([])
    assert mode.left_s == 60.0
    clock.elapsed_s += 59.0
    assert [mode.left_s for mode in here.over([])] == [1.0]
    clock.elapsed_s += 1.0
    assert here.over([]) == []


def test_what_differs_by_the_reading_alone_is_not_written_again(
    here: LocalOverrides, drawer: OverrideSpool
) -> None:
    """Whatever the end is: none may lie where two readings always differ."""
    for tenths in range(100):
        known = Override("order_lists", "shed", "r", "ann", 600.0 + tenths / 10)
        here.remember([known])
        written = (drawer.directory / "known").stat().st_mtime_ns
        here.remember([msgspec.structs.replace(known, left_s=known.left_s + 0.02)])
        assert (drawer.directory / "known").stat().st_mtime_ns == written
    here.remember([msgspec.structs.replace(known, left_s=known.left_s + 60)])
    assert 665 < here.recalled()[0].left_s < 671


def test_what_can_not_be_kept_is_told_once(switches: OverrideStore, tmp_path: Path) -> None:
    (tmp_path / "control").write_text("a file where the directory should be")
    drawer = OverrideSpool(directory=tmp_path / "control")
    here = LocalOverrides(drawer=drawer, switches=switches, clock=SystemClock())
    known = [Override("order_lists", "shed", "r", "ann", 600.0)]
    with pytest.raises(OSError, match="control"):
        here.remember(known)
    here.remember(known)
