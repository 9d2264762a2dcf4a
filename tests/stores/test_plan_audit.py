"""Steps of plans in the audit log: each that begins ends, and both are written once."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.overrides import Action, OverrideRequest
from gateway.domain.plans import Plan, Step
from gateway.stores.postgres import audit, plan_audit
from gateway.stores.postgres.overrides import OverrideStore
from tests.stores.support import Database
from tests.support.patience import HANG_S

Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
BEGIN = ("tidegate", "plan.begin", "tier3")
END = ("tidegate", "plan.end", "tier3")


@pytest.fixture
def store(ledger: Database) -> OverrideStore:
    return OverrideStore(pool=ledger)


@pytest.fixture
async def admin(ledger: Database, superuser_url: str) -> AsyncIterator[Admin]:
    connection = await asyncpg.connect(superuser_url)
    yield connection
    assert await audit.first_break(connection) is None
    await connection.close()


def step(
    target: str = "tier3",
    *,
    begins_min: float = 0.0,
    ends_min: float = 60.0,
    action: Action = "shed",
    now: datetime | None = None,
) -> Step:
    now = now or datetime.now(UTC)
    begin, end = (now + timedelta(minutes=minutes) for minutes in (begins_min, ends_min))
    return Step(target=target, action=action, from_at=begin, until=end, reason="it opens")


def plan(*planned: Step, name: str = "sale") -> Plan:
    return Plan(name=name, steps=planned or [step()])


async def audited(ledger: Database) -> list[tuple[str, str, str]]:
    """Return the audit rows of steps: actor, action, target."""
    rows = await ledger.fetch(
        "SELECT actor, action, subject FROM audit_log"
        " WHERE action IN ('plan.begin', 'plan.end') ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def details(ledger: Database, action: str) -> list[str]:
    rows = await ledger.fetch("SELECT detail FROM audit_log WHERE action = $1 ORDER BY id", action)
    return [row["detail"] for row in rows]


async def later(admin: Admin, minutes: float) -> None:
    """Have all steps begin and end so much sooner, by the database's clock."""
    await admin.execute(
        "UPDATE planned SET from_at = from_at - $1::interval, until = until - $1::interval",
        timedelta(minutes=minutes),
    )


async def test_a_step_begins_and_ends_with_a_row_each(
    store: OverrideStore, ledger: Database, admin: Admin
) -> None:
    await store.set_plan(plan(step(begins_min=30, ends_min=60)), actor="ann")
    await store.every()
    assert await audited(ledger) == []
    await later(admin, 31)
    await store.every()
    await store.every()
    assert await audited(ledger) == [BEGIN]
    await later(admin, 30)
    assert await store.every() == []
    await store.every()
    assert await audited(ledger) == [BEGIN, END]
    (begun,), (ended,) = await details(ledger, "plan.begin"), await details(ledger, "plan.end")
    assert begun.startswith("sale: shed 20")
    assert begun.endswith(": it opens")
    assert ended.endswith(": it opens")


async def test_of_many_readers_at_once_one_audits(
    store: OverrideStore, ledger: Database, pools_of_four: list[Database], admin: Admin
) -> None:
    for minutes, rows in ((31, 1), (30, 2)):
        if rows == 1:
            await store.set_plan(plan(step(begins_min=30, ends_min=60)), actor="ann")
        await later(admin, minutes)
        looking = [OverrideStore(pool=pool).every() for pool in pools_of_four for _ in range(3)]
        seen = await asyncio.gather(*looking)
        assert len({len(overrides) for overrides in seen}) == 1
        assert len(await audited(ledger)) == rows


@pytest.fixture
async def pools_of_four(superuser_url: str) -> AsyncIterator[list[Database]]:
    pools = [await asyncpg.create_pool(superuser_url, min_size=3, max_size=3) for _ in range(4)]
    yield pools
    for pool in pools:
        pool.terminate()


async def test_a_step_that_no_reader_saw_gets_both_rows_late(
    store: OverrideStore, ledger: Database, admin: Admin
) -> None:
    await store.set_plan(plan(step(ends_min=10), step(begins_min=10, ends_min=20)), actor="ann")
    await later(admin, 60 * 24 * 9)
    # Old steps are removed with the next plan, but not before they are audited.
    await store.set_plan(plan(step("tier4", begins_min=5), name="other"), actor="ann")
    assert [each.target for each in await store.every()] == ["tier4"]
    assert await audited(ledger) == [BEGIN, END, BEGIN, END]
    await store.drop_plan("other", actor="ann")
    assert await store.planned() == []


async def test_where_nothing_begins_or_ends_a_read_is_one_statement(
    store: OverrideStore, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.set(OverrideRequest("order_lists", "shed", 60.0, "r", "ann"))
    await store.set_plan(plan(step(ends_min=10), step(begins_min=10, ends_min=20)), actor="ann")
    await later(admin, 15)
    await store.every()

    def fail(**_: float) -> None:
        raise AssertionError("nothing has changed")

    monkeypatch.setattr(store, "changing", fail)
    assert len(await store.every()) == 2


async def test_a_plan_that_is_dropped_ends_what_had_begun(
    store: OverrideStore, ledger: Database, admin: Admin
) -> None:
    over, runs, comes = (
        step(ends_min=10),
        step(begins_min=10),
        step("tier4", begins_min=90, ends_min=99),
    )
    await store.set_plan(plan(over, runs, comes), actor="ann")
    await later(admin, 15)
    await store.every()
    assert await audited(ledger) == [BEGIN, END, BEGIN]
    await store.drop_plan("sale", actor="bob")
    await store.every()
    assert await audited(ledger) == [BEGIN, END, BEGIN, ("bob", "plan.end", "tier3")]
    assert await details(ledger, "plan.drop") == ["3 steps: 1 over, 1 running, 1 to come"]
    assert (await details(ledger, "plan.end"))[-1].endswith(": it opens; its plan was dropped")


async def test_dropping_a_plan_audits_what_no_reader_saw(
    store: OverrideStore, ledger: Database, admin: Admin
) -> None:
    await store.set_plan(plan(step(ends_min=10), step(begins_min=10)), actor="ann")
    await later(admin, 15)
    await store.drop_plan("sale", actor="bob")
    assert await audited(ledger) == [BEGIN, END, BEGIN, ("bob", "plan.end", "tier3")]


async def test_a_plan_that_is_dropped_and_set_again_begins_again(
    store: OverrideStore, ledger: Database, admin: Admin
) -> None:
    same = plan(step())
    for _ in range(2):
        await store.set_plan(same, actor="ann")
        await store.every()
        await store.drop_plan("sale", actor="ann")
    assert await audited(ledger) == 2 * [BEGIN, ("ann", "plan.end", "tier3")]


async def test_a_step_that_stays_in_a_plan_continues(
    store: OverrideStore, ledger: Database, admin: Admin
) -> None:
    now = datetime.now(UTC) - timedelta(minutes=1)
    await store.set_plan(plan(step(now=now)), actor="ann")
    await store.every()
    longer = step(ends_min=90, now=now), step("tier4", begins_min=50, now=now)
    assert await store.set_plan(plan(*longer), actor="bob")
    await store.every()
    assert await audited(ledger) == [BEGIN]
    await later(admin, 100)
    await store.every()
    assert sorted(await audited(ledger)) == sorted(
        [BEGIN, END, ("tidegate", "plan.begin", "tier4"), ("tidegate", "plan.end", "tier4")]
    )


@pytest.mark.parametrize("changes", [{"target": "tier4"}, {"action": "admit"}, {"begins_min": -1}])
async def test_a_step_removed_from_its_plan_ends(
    store: OverrideStore, ledger: Database, admin: Admin, changes: dict[str, Any]
) -> None:
    other = step(**changes)
    await store.set_plan(plan(step()), actor="ann")
    await store.every()
    await store.set_plan(plan(other), actor="bob")
    await store.every()
    assert await audited(ledger) == [
        BEGIN, ("bob", "plan.end", "tier3"), ("tidegate", "plan.begin", other.target),
    ]  # fmt: skip
    assert (await details(ledger, "plan.end"))[0].endswith("; its plan was replaced")


async def test_a_step_that_was_over_and_is_made_longer_begins_again(
    store: OverrideStore, ledger: Database, admin: Admin
) -> None:
    now = datetime.now(UTC) - timedelta(minutes=30)
    await store.set_plan(plan(step(ends_min=60, now=now)), actor="ann")
    await admin.execute("UPDATE planned SET until = now() - interval '1 second'")
    await store.set_plan(plan(step(ends_min=60, now=now)), actor="ann")
    await store.every()
    assert await audited(ledger) == [BEGIN, END, BEGIN]


async def test_what_exceeds_one_read_is_audited_by_the_next(
    store: OverrideStore, ledger: Database, admin: Admin
) -> None:
    n = 0
    while n < plan_audit.AT_ONCE_MAX + 50:
        many = [step(begins_min=m, ends_min=m + 1) for m in range(n, n + 50)]
        await store.set_plan(plan(*many, name=f"p{n}"), actor="ann")
        n += 50
    await later(admin, n + 1)
    for looks in range(1, 3):
        await store.every()
        assert len(await audited(ledger)) == min(n, looks * plan_audit.AT_ONCE_MAX) * 2
    assert await audited(ledger) == n * [BEGIN, END]


async def test_what_cannot_be_audited_now_is_active_and_audited_later(
    store: OverrideStore, ledger: Database, admin: Admin
) -> None:
    """A read-only moment keeps no process from reading the overrides."""
    await store.set_plan(plan(step(), step("tier4", begins_min=-2, ends_min=1)), actor="ann")
    await store.set(OverrideRequest("order_lists", "shed", 60.0, "r", "ann"))
    await later(admin, 1)
    await admin.execute("UPDATE switches SET until = now() - interval '1 second'")
    name = json.dumps(await admin.fetchval("SELECT current_database()"))
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        await ledger.expire_connections()
        assert [each.target for each in await store.every()] == ["tier3"]
        with pytest.raises(Unavailable):
            await store.drop_plan("sale", actor="ann")
        assert await audited(ledger) == []
    finally:
        await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await ledger.expire_connections()
    await store.every()
    assert sorted(await audited(ledger)) == [
        BEGIN, ("tidegate", "plan.begin", "tier4"), ("tidegate", "plan.end", "tier4"),
    ]  # fmt: skip


async def test_a_mark_is_stored_with_its_row(
    store: OverrideStore, ledger: Database, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies between the two leaves neither."""
    await store.set_plan(plan(step()), actor="ann")
    write = audit.append_all

    async def die(*_: Any) -> None:
        raise Unavailable("postgres")

    monkeypatch.setattr(audit, "append_all", die)
    await store.every()
    assert await audited(ledger) == []
    monkeypatch.setattr(audit, "append_all", write)
    await store.every()
    assert await audited(ledger) == [BEGIN]


async def test_a_locked_step_delays_no_other_reader(
    store: OverrideStore, ledger: Database, admin: Admin
) -> None:
    await store.set_plan(plan(step(), step("tier4")), actor="ann")
    async with admin.transaction():
        await admin.execute("SELECT 1 FROM planned WHERE target = 'tier3' FOR UPDATE")
        async with asyncio.timeout(HANG_S):
            await store.every()
        assert await audited(ledger) == [("tidegate", "plan.begin", "tier4")]
    await store.every()
    assert (await audited(ledger))[1:] == [BEGIN]
