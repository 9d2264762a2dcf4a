"""What is said on a machine while the ledger is away: it counts, survives, and is brought in."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.domain.modes import Mode, Order
from gateway.runtime.clock import SystemClock
from gateway.stores.drawer import Change, Drawer
from gateway.stores.postgres.said_here import SaidHere
from gateway.stores.postgres.switches import Switches
from tests.stores.support import Database


def change(target: str = "order_lists", **changes: object) -> Change:
    plain = {"word": "shed", "for_s": 600.0, "reason": "rebuild", "at": datetime.now(UTC)}
    return Change(target, **{**plain, **changes})  # type: ignore[arg-type]


@pytest.fixture
def drawer(tmp_path: Path) -> Drawer:
    return Drawer(directory=tmp_path / "control")


@pytest.fixture
def switches(ledger: Database) -> Switches:
    return Switches(pool=ledger)


@pytest.fixture
def here(drawer: Drawer, switches: Switches) -> SaidHere:
    return SaidHere(drawer=drawer, switches=switches, clock=SystemClock())


def shown(modes: list[Mode]) -> list[tuple[str, str]]:
    return [(mode.target, mode.word) for mode in modes]


def test_an_empty_drawer_says_nothing(here: SaidHere, drawer: Drawer) -> None:
    known = [Mode("order_lists", "shed", "r", "a", 5.0)]
    assert here.over(known) == known
    assert not drawer.directory.exists()


def test_the_newer_word_lies_over_what_is_known(here: SaidHere, drawer: Drawer) -> None:
    drawer.put(change(at=datetime.now(UTC) - timedelta(seconds=30)))
    drawer.put(change(word="admit", at=datetime.now(UTC) - timedelta(seconds=10)))
    drawer.put(change("tier2", word=None, at=datetime.now(UTC)))
    known = [Mode("order_lists", "shed", "r", "a", 5.0), Mode("tier2", "shed", "r", "a", 5.0)]
    (mode,) = here.over(known)
    assert (mode.target, mode.word) == ("order_lists", "admit")
    assert 500 < mode.left_s <= 600


def test_its_time_runs_out(here: SaidHere, drawer: Drawer) -> None:
    drawer.put(change(for_s=60.0, at=datetime.now(UTC) - timedelta(seconds=61)))
    assert here.over([]) == []


def test_a_time_that_is_yet_to_come_stretches_nothing(here: SaidHere, drawer: Drawer) -> None:
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
    drawer: Drawer, here: SaidHere, ledger: Database, content: bytes
) -> None:
    drawer.directory.mkdir(parents=True)
    (drawer.directory / "1.change").write_bytes(content)
    assert here.over([]) == []
    await here.bring_in()
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 0


def test_whose_file_it_is_says_who_wrote_it(drawer: Drawer) -> None:
    drawer.put(change(actor="somebody else"))
    (kept,) = drawer.every()
    assert kept.actor == drawer.directory.owner()


async def test_it_is_brought_in_once_with_its_audit_row(
    drawer: Drawer, here: SaidHere, switches: Switches, ledger: Database
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
    drawer: Drawer, here: SaidHere, ledger: Database
) -> None:
    said = change()
    drawer.put(said)
    await here.bring_in()
    drawer.put(said)
    await here.bring_in()
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_what_the_ledger_heard_later_stays(
    drawer: Drawer, here: SaidHere, switches: Switches, ledger: Database
) -> None:
    early = datetime.now(UTC) - timedelta(seconds=100)
    await switches.set(Order("order_lists", "admit", 60.0, "r", "ann"))
    await switches.set(Order("tier2", "admit", 60.0, "r", "ann"))
    drawer.put(change(at=early))
    drawer.put(change("tier2", word=None, at=early))
    await here.bring_in()
    assert shown(await switches.every()) == [("order_lists", "admit"), ("tier2", "admit")]
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 4


async def test_only_one_process_brings_in(drawer: Drawer, here: SaidHere, ledger: Database) -> None:
    drawer.put(change())
    with drawer.taking() as mine:
        await here.bring_in()
        assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 0
        assert len(list(mine)) == 1
