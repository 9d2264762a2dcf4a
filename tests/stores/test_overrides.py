"""Overrides in the ledger: each change with its audit row, by the database's clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from gateway.domain.overrides import Action, InvalidOverride, OverrideRequest
from gateway.domain.plans import Plan, Step
from gateway.stores.postgres import audit
from gateway.stores.postgres.overrides import OverrideStore
from gateway.stores.postgres.statements import sql
from tests.stores.support import Database
from tests.support.patience import HANG_S


@pytest.fixture
def store(ledger: Database) -> OverrideStore:
    return OverrideStore(pool=ledger)


@pytest.fixture
async def admin(
    ledger: Database, superuser_url: str
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(superuser_url)
    yield connection
    await connection.close()


def order(target: str = "order_lists", **changes: object) -> OverrideRequest:
    plain = {"action": "shed", "for_s": 60.0, "reason": "rebuild", "actor": "ann"}
    return OverrideRequest(target, **{**plain, **changes})  # type: ignore[arg-type]


async def audited(ledger: Database) -> list[tuple[str, str, str]]:
    rows = await ledger.fetch("SELECT actor, action, subject FROM audit_log ORDER BY id")
    return [tuple(row) for row in rows]


async def test_an_override_is_active_with_its_time_left_and_an_audit_row(
    store: OverrideStore, ledger: Database
) -> None:
    assert await store.set(order())
    (override,) = await store.every()
    assert (override.target, override.action, override.reason, override.actor) == (
        "order_lists", "shed", "rebuild", "ann",
    )  # fmt: skip
    assert 50 < override.left_s <= 60
    assert await audited(ledger) == [("ann", "switch.set", "order_lists")]


async def test_the_last_override_counts(store: OverrideStore) -> None:
    await store.set(order())
    await store.set(order(action="admit", actor="bob", for_s=120.0))
    (override,) = await store.every()
    assert (override.action, override.actor) == ("admit", "bob")
    assert override.left_s > 100


async def test_an_override_is_cleared_once(store: OverrideStore, ledger: Database) -> None:
    await store.set(order())
    assert await store.clear("order_lists", actor="bob")
    assert await store.every() == []
    assert not await store.clear("order_lists", actor="bob")
    assert [action for _, action, _ in await audited(ledger)] == ["switch.set", "switch.clear"]


async def test_what_ends_by_itself_is_removed_with_one_audit_row(
    store: OverrideStore, ledger: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await store.set(order())
    await admin.execute("UPDATE switches SET until = now() - interval '1 second'")
    seen = await asyncio.gather(*(store.every() for _ in range(4)))
    assert seen == [[]] * 4
    assert await ledger.fetchval("SELECT count(*) FROM switches") == 0
    assert [action for _, action, _ in await audited(ledger)] == ["switch.set", "switch.end"]
    assert await audit.first_break(admin) is None


@pytest.fixture
async def orphaned(
    admin: "asyncpg.Connection[asyncpg.Record]",
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Has commits wait for a standby that is lost."""

    async def wait_for(names: str) -> None:
        await admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        await admin.execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(HANG_S):
            while await admin.fetchval("SHOW synchronous_standby_names") != names:
                await asyncio.sleep(0.02)

    yield lambda: wait_for("lost")
    await wait_for("")


async def due(store: OverrideStore, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Set one active override and another that has just ended."""
    await store.set(order())
    await store.set(order("tier4"))
    await admin.execute(
        "UPDATE switches SET until = now() - interval '1 second' WHERE target = 'tier4'"
    )


async def test_a_locked_audit_log_keeps_no_reader_from_the_overrides(
    store: OverrideStore,
    ledger: Database,
    admin: "asyncpg.Connection[asyncpg.Record]",
    caplog: pytest.LogCaptureFixture,
) -> None:
    await due(store, admin)
    async with admin.transaction():
        await admin.execute(sql("lock_audit_log"))
        for _ in range(2):
            async with asyncio.timeout(HANG_S):
                seen = await store.every()
            assert [override.target for override in seen] == ["order_lists"]
    assert len([each for each in caplog.records if "audited later" in each.message]) == 1
    await store.every()
    assert (await audited(ledger))[2:] == [("tidegate", "switch.end", "tier4")]


async def test_a_lost_standby_keeps_no_reader_from_the_overrides(
    store: OverrideStore,
    admin: "asyncpg.Connection[asyncpg.Record]",
    orphaned: Callable[[], Awaitable[None]],
) -> None:
    await due(store, admin)
    await orphaned()
    async with asyncio.timeout(HANG_S):
        seen = await store.every()
    assert [override.target for override in seen] == ["order_lists"]


async def test_the_core_is_shed_by_two(store: OverrideStore, ledger: Database) -> None:
    assert not await store.set(order("callbacks"))
    (asked,) = await store.every()
    assert asked.is_pending
    with pytest.raises(InvalidOverride):
        await store.approve("callbacks", actor="ann")
    assert await store.approve("callbacks", actor="bob") == order("callbacks")
    (override,) = await store.every()
    assert (override.is_pending, override.actor, override.approved_by) == (False, "ann", "bob")
    assert 50 < override.left_s <= 60
    assert await store.approve("callbacks", actor="bob") is None
    assert [action for _, action, _ in await audited(ledger)] == ["switch.ask", "switch.agree"]


async def test_two_keys_of_one_name_are_one_person(store: OverrideStore) -> None:
    await store.set(order("callbacks", actor="ann (key a1)"))
    with pytest.raises(InvalidOverride, match="another person"):
        await store.approve("callbacks", actor="ann (key b2)")
    assert await store.approve("callbacks", actor="bob (key b2)") is not None


async def test_the_audit_row_of_a_cleared_override_has_the_reason(
    store: OverrideStore, ledger: Database
) -> None:
    await store.set(order())
    await store.clear("order_lists", actor="ann", reason="it is over")
    detail = await ledger.fetchval("SELECT detail FROM audit_log WHERE action = 'switch.clear'")
    assert detail == "shed: it is over"


async def test_overlapping_plans_are_rejected(store: OverrideStore, ledger: Database) -> None:
    now = datetime.now(UTC)

    def plan_of(name: str, target: str, action: Action, begins: int, ends: int) -> Plan:
        begin, end = (now + timedelta(minutes=minutes) for minutes in (begins, ends))
        step = Step(target=target, action=action, from_at=begin, until=end, reason="sale")
        return Plan(name=name, steps=[step])

    await store.set_plan(plan_of("a", "tier4", "shed", 0, 60), actor="ann")
    with pytest.raises(InvalidOverride, match="overlaps a step of the plan a on tier4"):
        await store.set_plan(plan_of("b", "tier4", "admit", 59, 70), actor="ann")
    await store.set_plan(plan_of("b", "tier4", "admit", 60, 70), actor="ann")
    await store.set_plan(plan_of("b", "tier3", "admit", 0, 60), actor="ann")
    await store.set_plan(plan_of("a", "tier4", "admit", 0, 60), actor="ann")
    detail = await ledger.fetchval("SELECT detail FROM audit_log ORDER BY id LIMIT 1")
    assert detail.endswith(": sale")


async def test_approval_may_come_too_late(
    store: OverrideStore, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await store.set(order("tier1"))
    await admin.execute("UPDATE switches SET until = now() - interval '1 second'")
    assert await store.approve("tier1", actor="bob") is None
    assert await store.every() == []


async def test_of_two_approvals_at_once_one_counts(store: OverrideStore, ledger: Database) -> None:
    await store.set(order("callbacks"))
    done = await asyncio.gather(
        *(store.approve("callbacks", actor=name) for name in ("bob", "cid"))
    )
    assert sorted(each is None for each in done) == [False, True]
    assert len(await audited(ledger)) == 2


async def test_an_active_override_stays_while_another_is_pending(store: OverrideStore) -> None:
    await store.set(order("callbacks", action="admit"))
    await store.set(order("callbacks"))
    assert [(override.action, override.is_pending) for override in await store.every()] == [
        ("admit", False), ("shed", True),
    ]  # fmt: skip


async def test_the_database_itself_rejects_more_than_four_hours(
    admin: "asyncpg.Connection[asyncpg.Record]", store: OverrideStore
) -> None:
    await store.set(order())
    with pytest.raises(asyncpg.CheckViolationError):
        await admin.execute("UPDATE switches SET until = until + interval '5 hours'")
    with pytest.raises(InvalidOverride):
        await store.set(order(for_s=5 * 3600.0))


async def test_an_invalid_request_changes_nothing(store: OverrideStore, ledger: Database) -> None:
    for wrong in (order("nothing"), order(reason="\x00"), order(action="maybe")):
        with pytest.raises(InvalidOverride):
            await store.set(wrong)
    with pytest.raises(InvalidOverride):
        await store.clear("nothing", actor="ann")
    assert await audited(ledger) == []


# --- plans ---


def plan(*targets: str) -> Plan:
    begin = datetime.now(UTC)
    return Plan(
        name="sale",
        steps=[
            Step(
                target=target,
                action="shed",
                from_at=begin + timedelta(hours=2 * n),
                until=begin + timedelta(hours=2 * n + 1),
                reason="sale",
            )
            for n, target in enumerate(targets)
        ],
    )


async def test_steps_have_the_time_until_they_begin(store: OverrideStore) -> None:
    assert not await store.set_plan(plan("tier2", "tier3"), actor="ann")
    first, second = await store.every()
    assert (first.target, first.plan, first.starts_s) == ("tier2", "sale", 0.0)
    assert 7100 < second.starts_s <= 7200
    assert 10700 < second.left_s <= 10800


async def test_a_plan_is_replaced_as_a_whole_and_dropped_once(
    store: OverrideStore, ledger: Database
) -> None:
    await store.set_plan(plan("tier2", "tier3"), actor="ann")
    assert await store.set_plan(plan("order_lists"), actor="ann")
    assert [step.target for step in await store.planned()] == ["order_lists"]
    assert await store.drop_plan("sale", actor="bob")
    assert not await store.drop_plan("sale", actor="bob")
    assert await store.every() == []
    assert [action for _, action, _ in await audited(ledger)] == [
        "plan.set", "plan.begin", "plan.end", "plan.set", "plan.begin", "plan.end", "plan.drop",
    ]  # fmt: skip


async def test_steps_that_are_over_are_not_active(
    store: OverrideStore, ledger: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await store.set_plan(plan("tier2"), actor="ann")
    await admin.execute(
        "UPDATE planned"
        "   SET from_at = from_at - interval '90 min', until = until - interval '90 min'"
    )
    assert await store.every() == []
    assert len(await store.planned()) == 1
    assert [action for _, action, _ in await audited(ledger)] == [
        "plan.set", "plan.begin", "plan.end",
    ]  # fmt: skip
