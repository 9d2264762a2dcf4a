"""Operators' modes in the ledger: each change with its audit row, by the database's clock."""

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


@pytest.fixture
def switches(ledger: Database) -> OverrideStore:
    return OverrideStore(pool=ledger)


@pytest.fixture
async def admin(
    ledger: Database, superuser_url: str
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(superuser_url)
    yield connection
    await connection.close()


def order(target: str = "order_lists", **changes: object) -> OverrideRequest:
    plain = {"word": "shed", "for_s": 60.0, "reason": "rebuild", "actor": "ann"}
    return OverrideRequest(target, **{**plain, **changes})  # type: ignore[arg-type]


async def audited(ledger: Database) -> list[tuple[str, str, str]]:
    rows = await ledger.fetch("SELECT actor, action, subject FROM audit_log ORDER BY id")
    return [tuple(row) for row in rows]


async def test_a_mode_stands_with_what_is_left_of_it_and_an_audit_row(
    switches: OverrideStore, ledger: Database
) -> None:
    assert await switches.set(order())
    (mode,) = await switches.every()
    assert (mode.target, mode.word, mode.reason, mode.actor) == (
        "order_lists", "shed", "rebuild", "ann",
    )  # fmt: skip
    assert 50 < mode.left_s <= 60
    assert await audited(ledger) == [("ann", "switch.set", "order_lists")]


async def test_the_last_word_counts(switches: OverrideStore) -> None:
    await switches.set(order())
    await switches.set(order(word="admit", actor="bob", for_s=120.0))
    (mode,) = await switches.every()
    assert (mode.word, mode.actor) == ("admit", "bob")
    assert mode.left_s > 100


async def test_a_mode_is_taken_back_once(switches: OverrideStore, ledger: Database) -> None:
    await switches.set(order())
    assert await switches.clear("order_lists", actor="bob")
    assert await switches.every() == []
    assert not await switches.clear("order_lists", actor="bob")
    assert [action for _, action, _ in await audited(ledger)] == ["switch.set", "switch.clear"]


async def test_what_ends_by_itself_is_taken_away_with_one_audit_row(
    switches: OverrideStore, ledger: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await switches.set(order())
    await admin.execute("UPDATE switches SET until = now() - interval '1 second'")
    seen = await asyncio.gather(*(switches.every() for _ in range(4)))
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
        async with asyncio.timeout(5):
            while await admin.fetchval("SHOW synchronous_standby_names") != names:
                await asyncio.sleep(0.02)

    yield lambda: wait_for("lost")
    await wait_for("")


#: Well below what a command has for all of it.
SOON_S = 1.0


async def due(switches: OverrideStore, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Have one mode stand and another one just over."""
    await switches.set(order())
    await switches.set(order("tier4"))
    await admin.execute(
        "UPDATE switches SET until = now() - interval '1 second' WHERE target = 'tier4'"
    )


async def test_who_keeps_the_audit_log_keeps_nobody_from_knowing_what_stands(
    switches: OverrideStore,
    ledger: Database,
    admin: "asyncpg.Connection[asyncpg.Record]",
    caplog: pytest.LogCaptureFixture,
) -> None:
    await due(switches, admin)
    async with admin.transaction():
        await admin.execute(sql("lock_audit_log"))
        for _ in range(2):
            async with asyncio.timeout(SOON_S):
                seen = await switches.every()
            assert [mode.target for mode in seen] == ["order_lists"]
    assert len([each for each in caplog.records if "written down later" in each.message]) == 1
    await switches.every()
    assert (await audited(ledger))[2:] == [("tidegate", "switch.end", "tier4")]


async def test_a_lost_standby_keeps_nobody_from_knowing_what_stands(
    switches: OverrideStore,
    admin: "asyncpg.Connection[asyncpg.Record]",
    orphaned: Callable[[], Awaitable[None]],
) -> None:
    await due(switches, admin)
    await orphaned()
    async with asyncio.timeout(SOON_S):
        seen = await switches.every()
    assert [mode.target for mode in seen] == ["order_lists"]


async def test_the_core_is_shed_by_two(switches: OverrideStore, ledger: Database) -> None:
    assert not await switches.set(order("callbacks"))
    (asked,) = await switches.every()
    assert asked.is_asked
    with pytest.raises(InvalidOverride):
        await switches.agree("callbacks", actor="ann")
    assert await switches.agree("callbacks", actor="bob") == order("callbacks")
    (mode,) = await switches.every()
    assert (mode.is_asked, mode.actor, mode.second) == (False, "ann", "bob")
    assert 50 < mode.left_s <= 60
    assert await switches.agree("callbacks", actor="bob") is None
    assert [action for _, action, _ in await audited(ledger)] == ["switch.ask", "switch.agree"]


async def test_two_keys_of_one_name_are_one_person(switches: OverrideStore) -> None:
    await switches.set(order("callbacks", actor="ann (key a1)"))
    with pytest.raises(InvalidOverride, match="another person"):
        await switches.agree("callbacks", actor="ann (key b2)")
    assert await switches.agree("callbacks", actor="bob (key b2)") is not None


async def test_the_audit_row_of_a_word_taken_back_says_why(
    switches: OverrideStore, ledger: Database
) -> None:
    await switches.set(order())
    await switches.clear("order_lists", actor="ann", reason="it is over")
    detail = await ledger.fetchval("SELECT detail FROM audit_log WHERE action = 'switch.clear'")
    assert detail == "shed: it is over"


async def test_plans_do_not_contradict_each_other(
    switches: OverrideStore, ledger: Database
) -> None:
    now = datetime.now(UTC)

    def saying(name: str, target: str, word: Action, begins: int, ends: int) -> Plan:
        begin, end = (now + timedelta(minutes=minutes) for minutes in (begins, ends))
        step = Step(target=target, mode=word, from_at=begin, until=end, reason="sale")
        return Plan(name=name, steps=[step])

    await switches.plan(saying("a", "tier4", "shed", 0, 60), actor="ann")
    with pytest.raises(InvalidOverride, match="overlaps with what the plan a says of tier4"):
        await switches.plan(saying("b", "tier4", "admit", 59, 70), actor="ann")
    await switches.plan(saying("b", "tier4", "admit", 60, 70), actor="ann")
    await switches.plan(saying("b", "tier3", "admit", 0, 60), actor="ann")
    await switches.plan(saying("a", "tier4", "admit", 0, 60), actor="ann")
    told = await ledger.fetchval("SELECT detail FROM audit_log ORDER BY id LIMIT 1")
    assert told.endswith(": sale")


async def test_agreement_comes_too_late(
    switches: OverrideStore, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await switches.set(order("tier1"))
    await admin.execute("UPDATE switches SET until = now() - interval '1 second'")
    assert await switches.agree("tier1", actor="bob") is None
    assert await switches.every() == []


async def test_of_two_who_agree_at_once_one_does(switches: OverrideStore, ledger: Database) -> None:
    await switches.set(order("callbacks"))
    done = await asyncio.gather(
        *(switches.agree("callbacks", actor=name) for name in ("bob", "cid"))
    )
    assert sorted(each is None for each in done) == [False, True]
    assert len(await audited(ledger)) == 2


async def test_what_stands_stays_while_something_is_asked(switches: OverrideStore) -> None:
    await switches.set(order("callbacks", word="admit"))
    await switches.set(order("callbacks"))
    assert [(mode.word, mode.is_asked) for mode in await switches.every()] == [
        ("admit", False), ("shed", True),
    ]  # fmt: skip


async def test_the_database_itself_refuses_more_than_four_hours(
    admin: "asyncpg.Connection[asyncpg.Record]", switches: OverrideStore
) -> None:
    await switches.set(order())
    with pytest.raises(asyncpg.CheckViolationError):
        await admin.execute("UPDATE switches SET until = until + interval '5 hours'")
    with pytest.raises(InvalidOverride):
        await switches.set(order(for_s=5 * 3600.0))


async def test_a_wrong_order_changes_nothing(switches: OverrideStore, ledger: Database) -> None:
    for wrong in (order("nothing"), order(reason="\x00"), order(word="maybe")):
        with pytest.raises(InvalidOverride):
            await switches.set(wrong)
    with pytest.raises(InvalidOverride):
        await switches.clear("nothing", actor="ann")
    assert await audited(ledger) == []


# --- plans ---


def plan(*targets: str) -> Plan:
    begin = datetime.now(UTC)
    return Plan(
        name="sale",
        steps=[
            Step(
                target=target,
                mode="shed",
                from_at=begin + timedelta(hours=2 * n),
                until=begin + timedelta(hours=2 * n + 1),
                reason="sale",
            )
            for n, target in enumerate(targets)
        ],
    )


async def test_steps_are_told_with_the_time_until_they_begin(switches: OverrideStore) -> None:
    assert not await switches.plan(plan("tier2", "tier3"), actor="ann")
    first, second = await switches.every()
    assert (first.target, first.plan, first.starts_s) == ("tier2", "sale", 0.0)
    assert 7100 < second.starts_s <= 7200
    assert 10700 < second.left_s <= 10800


async def test_a_plan_is_replaced_as_a_whole_and_dropped_once(
    switches: OverrideStore, ledger: Database
) -> None:
    await switches.plan(plan("tier2", "tier3"), actor="ann")
    assert await switches.plan(plan("order_lists"), actor="ann")
    assert [step.target for step in await switches.planned()] == ["order_lists"]
    assert await switches.drop_plan("sale", actor="bob")
    assert not await switches.drop_plan("sale", actor="bob")
    assert await switches.every() == []
    assert [action for _, action, _ in await audited(ledger)] == [
        "plan.set", "plan.begin", "plan.end", "plan.set", "plan.begin", "plan.end", "plan.drop",
    ]  # fmt: skip


async def test_steps_that_are_over_stand_no_more(
    switches: OverrideStore, ledger: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await switches.plan(plan("tier2"), actor="ann")
    await admin.execute(
        "UPDATE planned"
        "   SET from_at = from_at - interval '90 min', until = until - interval '90 min'"
    )
    assert await switches.every() == []
    assert len(await switches.planned()) == 1
    assert [action for _, action, _ in await audited(ledger)] == [
        "plan.set", "plan.begin", "plan.end",
    ]  # fmt: skip
