"""Overrides made on a machine without the ledger: active, stored, and flushed later."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.domain.override_changes import OverrideChange
from gateway.domain.overrides import Override, OverrideRequest
from gateway.runtime.clock import SystemClock
from gateway.stores.override_spool import OverrideSpool
from gateway.stores.postgres.local_overrides import LocalOverrides
from gateway.stores.postgres.overrides import OverrideStore
from tests.stores.support import Database
from tests.support.fakes.clock import ManualClock
from tests.support.patience import HANG_S


def change(target: str = "order_lists", **changes: object) -> OverrideChange:
    plain = {"action": "shed", "for_s": 600.0, "reason": "rebuild", "at": datetime.now(UTC)}
    return OverrideChange(target, **{**plain, **changes})  # type: ignore[arg-type]


@pytest.fixture
def spool(tmp_path: Path) -> OverrideSpool:
    return OverrideSpool(directory=tmp_path / "control")


@pytest.fixture
def store(ledger: Database) -> OverrideStore:
    return OverrideStore(pool=ledger)


@pytest.fixture
def here(spool: OverrideSpool, store: OverrideStore) -> LocalOverrides:
    return LocalOverrides(spool=spool, store=store, clock=SystemClock())


def shown(overrides: list[Override]) -> list[tuple[str, str]]:
    return [(override.target, override.action) for override in overrides]


def test_an_empty_spool_changes_nothing(here: LocalOverrides, spool: OverrideSpool) -> None:
    known = [Override("order_lists", "shed", "r", "a", 5.0)]
    assert here.merge(known) == known
    assert not spool.directory.exists()


def test_newer_changes_replace_the_ledgers_overrides(
    here: LocalOverrides, spool: OverrideSpool
) -> None:
    spool.put(change(at=datetime.now(UTC) - timedelta(seconds=30)))
    spool.put(change(action="admit", at=datetime.now(UTC) - timedelta(seconds=10)))
    spool.put(change("tier2", action=None, at=datetime.now(UTC)))
    known = [
        Override("order_lists", "shed", "r", "a", 5.0),
        Override("tier2", "shed", "r", "a", 5.0),
    ]
    (override,) = here.merge(known)
    assert (override.target, override.action) == ("order_lists", "admit")
    assert 500 < override.left_s <= 600


def test_a_change_expires(here: LocalOverrides, spool: OverrideSpool) -> None:
    spool.put(change(for_s=60.0, at=datetime.now(UTC) - timedelta(seconds=61)))
    assert here.merge([]) == []


def test_a_change_dated_ahead_lasts_no_longer(here: LocalOverrides, spool: OverrideSpool) -> None:
    spool.put(change(for_s=60.0, at=datetime.now(UTC) + timedelta(days=1)))
    (override,) = here.merge([])
    assert override.left_s <= 60


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
async def test_invalid_changes_are_ignored(
    spool: OverrideSpool, here: LocalOverrides, ledger: Database, content: bytes
) -> None:
    spool.directory.mkdir(parents=True)
    (spool.directory / "1.change").write_bytes(content)
    assert here.merge([]) == []
    await here.flush()
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 0


def test_the_actor_is_the_owner_of_the_file(spool: OverrideSpool) -> None:
    spool.put(change(actor="somebody else"))
    (stored,) = spool.every()
    assert stored.actor == spool.directory.owner()


async def test_a_change_is_flushed_once_with_its_audit_row(
    spool: OverrideSpool, here: LocalOverrides, store: OverrideStore, ledger: Database
) -> None:
    spool.put(change(at=datetime.now(UTC) - timedelta(seconds=100)))
    spool.put(change("tier2", action="admit"))
    await here.flush()
    await here.flush()
    assert spool.every() == []
    overrides = await store.every()
    assert shown(overrides) == [("order_lists", "shed"), ("tier2", "admit")]
    # It ends when it would have ended here.
    assert 400 < overrides[0].left_s <= 500
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 2


async def test_a_process_that_dies_before_the_unlink_leaves_no_second_row(
    spool: OverrideSpool, here: LocalOverrides, ledger: Database
) -> None:
    made = change()
    spool.put(made)
    await here.flush()
    spool.put(made)
    await here.flush()
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_later_overrides_of_the_ledger_stay(
    spool: OverrideSpool, here: LocalOverrides, store: OverrideStore, ledger: Database
) -> None:
    early = datetime.now(UTC) - timedelta(seconds=100)
    await store.set(OverrideRequest("order_lists", "admit", 60.0, "r", "ann"))
    await store.set(OverrideRequest("tier2", "admit", 60.0, "r", "ann"))
    spool.put(change(at=early))
    spool.put(change("tier2", action=None, at=early))
    await here.flush()
    assert shown(await store.every()) == [("order_lists", "admit"), ("tier2", "admit")]
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 4


async def test_only_one_process_flushes(
    spool: OverrideSpool, here: LocalOverrides, ledger: Database
) -> None:
    spool.put(change())
    with spool.lent() as mine:
        await here.flush()
        assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 0
        assert len(list(mine)) == 1


def test_invalid_files_are_set_aside_and_block_nothing(
    here: LocalOverrides, spool: OverrideSpool
) -> None:
    spool.put(change("order_reads"))
    for n in range(150):
        (spool.directory / f"0-{n}.change").write_text("junk")
    spool.put(change())
    # A read takes so many at most.
    found = [here.merge([]) for _ in range(2)][-1]
    assert {override.target for override in found} == {"order_lists", "order_reads"}
    assert len(list(spool.directory.glob("*.bad"))) == 150


def test_the_ledgers_overrides_are_stored_for_a_start_without_it(
    here: LocalOverrides, spool: OverrideSpool
) -> None:
    known = [
        Override("order_lists", "shed", "r", "ann", 600.0),
        Override("callbacks", "shed", "r", "ann", 300.0, approved_by="ben"),
        Override("tier4", "shed", "r", "ann", 900.0, plan="sale", starts_s=300.0),
        Override("order_reads", "admit", "r", "ann", 0.01),
    ]
    here.store_known(known)
    before = (spool.directory / "known").stat().st_mtime_ns
    here.store_known(known)
    assert (spool.directory / "known").stat().st_mtime_ns == before, "nothing had changed"
    time.sleep(0.02)
    found = here.stored_known()
    assert [override.target for override in found] == ["order_lists", "callbacks", "tier4"]
    assert 600 - HANG_S < found[0].left_s < 600
    assert found[1].approved_by == "ben"
    assert 300 - HANG_S < found[2].starts_s < 300


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", b"[]", b"[" * 100_000, b'[{"mode":{"target":"x"}}]', b"\xff", b"{}"],
)
def test_a_damaged_store_of_the_ledgers_overrides_is_empty(
    here: LocalOverrides, spool: OverrideSpool, content: bytes
) -> None:
    spool.directory.mkdir()
    (spool.directory / "known").write_bytes(content)
    assert here.stored_known() == []


def test_a_change_dated_ahead_expires(spool: OverrideSpool, store: OverrideStore) -> None:
    """A clock that was set back may not stretch it."""
    clock = ManualClock()
    here = LocalOverrides(spool=spool, store=store, clock=clock)
    spool.put(change(for_s=60.0, at=clock.now() + timedelta(hours=1)))
    (override,) = here.merge([])
    assert override.left_s == 60.0
    clock.at_s += 59.0
    assert [override.left_s for override in here.merge([])] == [1.0]
    clock.at_s += 1.0
    assert here.merge([]) == []


def test_ends_that_differ_by_the_reading_alone_are_not_written_again(
    here: LocalOverrides, spool: OverrideSpool
) -> None:
    """Whatever the end: there is none at which two readings always differ."""
    for tenths in range(100):
        known = Override("order_lists", "shed", "r", "ann", 600.0 + tenths / 10)
        here.store_known([known])
        written = (spool.directory / "known").stat().st_mtime_ns
        here.store_known([msgspec.structs.replace(known, left_s=known.left_s + 0.02)])
        assert (spool.directory / "known").stat().st_mtime_ns == written
    here.store_known([msgspec.structs.replace(known, left_s=known.left_s + 60)])
    assert 665 < here.stored_known()[0].left_s < 671


def test_a_failed_store_raises_once(store: OverrideStore, tmp_path: Path) -> None:
    (tmp_path / "control").write_text("a file where the directory should be")
    spool = OverrideSpool(directory=tmp_path / "control")
    here = LocalOverrides(spool=spool, store=store, clock=SystemClock())
    known = [Override("order_lists", "shed", "r", "ann", 600.0)]
    with pytest.raises(OSError, match="control"):
        here.store_known(known)
    here.store_known(known)


def test_what_an_earlier_version_stored_is_read(spool: OverrideSpool) -> None:
    spool.directory.mkdir()
    (spool.directory / "1.change").write_bytes(
        b'{"target":"order_lists","word":"shed","for_s":60.0,"reason":"r",'
        b'"at":"2026-11-24T10:00:00Z","actor":""}'
    )
    (found,) = spool.every()
    assert (found.target, found.action, found.for_s) == ("order_lists", "shed", 60.0)
    now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    (spool.directory / "known").write_bytes(
        b'[{"mode":{"target":"callbacks","word":"shed","reason":"r","actor":"ann","left_s":60.0,'
        b'"second":"ben","is_asked":false,"plan":null,"starts_s":0.0},'
        b'"begins_at":"2026-11-24T10:00:00Z","ends_at":"2026-11-24T10:01:00Z"}]'
    )
    (known,) = spool.stored_known(now)
    assert (known.action, known.approved_by, known.left_s) == ("shed", "ben", 60.0)
    spool.store_known([known], now)
    assert json.loads((spool.directory / "known").read_bytes())[0]["mode"]["word"] == "shed"
