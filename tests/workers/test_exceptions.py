"""What is wrong in the ledger becomes a case, once, and ends when it is over."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gateway.runtime.settings import Settings
from gateway.runtime.settings_exceptions import ExceptionPolicy
from gateway.stores.postgres.exceptions import (
    CaseFilter,
    Change,
    ExceptionCase,
    Exceptions,
    NotFound,
)
from gateway.wiring import Gateway
from tests.domain.support import due, paid
from tests.stores.support import Database, submit, tell
from tests.support.fakes.clock import ManualClock
from workers import supervisor
from workers.exceptions import ExceptionFinder


@pytest.fixture
def settings(settings: Settings) -> Settings:
    policies = [ExceptionPolicy("suspected_fraud", "risk", 2.0, "head-of-risk")]
    return msgspec.structs.replace(settings, exceptions=policies, part_paid_s=3600.0)


def finder(gateway: Gateway) -> ExceptionFinder:
    """Make one as the worker process does."""
    made = supervisor.tasks(gateway)["exceptions"]
    assert isinstance(made, ExceptionFinder)
    return made


def store_of(gateway: Gateway) -> Exceptions:
    return Exceptions(
        pool=gateway.stores.primary, sealer=gateway.stores.sealer, new_id=gateway.new_id
    )


async def cases(gateway: Gateway, **wanted: Any) -> list[ExceptionCase]:
    return await store_of(gateway).page(CaseFilter(**wanted))


async def entries(gateway: Gateway, id_: UUID) -> list[str]:
    return [entry.entry for entry in (await store_of(gateway).case(id_))[1]]


async def hold(ledger: Database, hold: str | None, order_no: str = "W-1") -> None:
    await ledger.execute("UPDATE orders SET hold = $1 WHERE order_no = $2", hold, order_no)


async def park(ledger: Database, reason: str) -> None:
    await ledger.execute(
        "INSERT INTO parked (id, source, source_key, reason, detail, received_at) "
        "VALUES (gen_random_uuid(), 'test', 'k', $1, 'no order W-9', now())",
        reason,
    )


async def test_a_hold_is_a_case_until_it_ends_and_again_when_it_returns(
    gateway: Gateway, ledger: Database
) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"), "k-1")
    await finder(gateway).round()
    assert await cases(gateway) == []
    await hold(ledger, "lookalike")
    for _ in range(2):
        await finder(gateway).round()
    (case,) = await cases(gateway)
    assert (case.kind, case.order_id, case.order_no) == ("suspected_fraud", placed.id, "W-1")
    assert (case.owner, case.due_at - case.opened_at) == ("risk", timedelta(hours=2))
    await hold(ledger, None)
    await finder(gateway).round()
    assert await cases(gateway) == []
    assert await entries(gateway, case.id) == ["opened", "resolved"]
    await hold(ledger, "lookalike")
    await finder(gateway).round()
    (again,) = await cases(gateway)
    assert (again.id, again.relapses) == (case.id, 1)
    assert await entries(gateway, case.id) == ["opened", "resolved", "reopened"]


async def test_what_a_person_resolved_stays_so_while_its_cause_lasts(
    gateway: Gateway, ledger: Database
) -> None:
    await park(ledger, "unknown_order")
    await finder(gateway).round()
    (case,) = await cases(gateway)
    assert (case.kind, case.detail) == ("unknown_order", "no order W-9")
    done = Change("resolved", "clerk", "paid back by hand")
    for _ in range(2):
        await store_of(gateway).change(case.id, done, now=datetime.now(UTC))
    await finder(gateway).round()
    assert await cases(gateway) == []
    assert await entries(gateway, case.id) == ["opened", "resolved"]
    reopened = await store_of(gateway).change(
        case.id, Change("reopened", "clerk", "the bank refused"), now=datetime.now(UTC)
    )
    assert (reopened.resolved_at, reopened.relapses) == (None, 1)
    await finder(gateway).round()
    assert [each.id for each in await cases(gateway)] == [case.id]


async def test_an_order_that_stays_paid_in_part_is_a_case(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(1, order_no="W-1"), "k-1")
    await ledger.execute("UPDATE orders SET placed_at = now()")
    await tell(gateway, paid("40.00"))
    await finder(gateway).round()
    assert await cases(gateway) == []
    await ledger.execute("UPDATE orders SET placed_at = placed_at - interval '2 hours'")
    await finder(gateway).round()
    assert [case.kind for case in await cases(gateway)] == ["payment_timeout"]
    await tell(gateway, paid("60.00", transaction_id="tx-2"))
    await finder(gateway).round()
    assert await cases(gateway) == []


async def test_a_dead_letter_is_a_case_until_it_is_delivered(
    gateway: Gateway, ledger: Database
) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"), "k-1")
    await ledger.execute(
        "INSERT INTO deliveries (target, event_id, position, order_id, version, topic, priority, "
        "occurred_at, due_at, dead_at, reason) VALUES ('wms', gen_random_uuid(), 1, $1, 2, "
        "'order.paid', 1, now(), now(), now(), 'answered 500')",
        placed.id,
    )
    await finder(gateway).round()
    (case,) = await cases(gateway)
    assert (case.kind, case.reason, case.detail) == (
        "hand_off", "order.paid", "to wms: answered 500",
    )  # fmt: skip
    await ledger.execute("UPDATE deliveries SET dead_at = NULL")
    await finder(gateway).round()
    assert await cases(gateway) == []


async def test_an_overdue_case_is_escalated_once(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, due(1, order_no="W-1"), "k-1")
    await hold(ledger, "lookalike")
    await finder(gateway).round()
    await ledger.execute("UPDATE exceptions SET due_at = now() - interval '1 minute'")
    for _ in range(2):
        await finder(gateway).round()
    (case,) = await cases(gateway, due_before=datetime.now(UTC))
    assert case.owner == "head-of-risk"
    assert case.escalated_at is not None
    assert await entries(gateway, case.id) == ["opened", "escalated"]
    # A later deadline is a new chance, and a new escalation.
    later = Change("deadline", "clerk", due_at=datetime.now(UTC) + timedelta(hours=1))
    changed = await store_of(gateway).change(case.id, later, now=datetime.now(UTC))
    assert changed.escalated_at is None


async def test_two_workers_open_one_case_for_each_cause(gateway: Gateway, ledger: Database) -> None:
    for n in range(1, 21):
        await submit(gateway, due(n, order_no=f"W-{n}", buyer_id=f"b-{n}"), f"k-{n}")
    await ledger.execute("UPDATE orders SET hold = 'disputed'")
    await asyncio.gather(*(finder(gateway).round() for _ in range(4)))
    await finder(gateway).round()
    assert len(await cases(gateway, limit=100)) == 20
    assert await ledger.fetchval("SELECT count(*) FROM exception_entries") == 20


async def test_test_orders_are_nobodys_case(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, due(1, order_no="W-1"), "k-1")
    await ledger.execute("UPDATE orders SET hold = 'disputed', is_test = true")
    await finder(gateway).round()
    assert await cases(gateway) == []


async def test_what_a_person_writes_is_sealed_and_the_journal_is_append_only(
    gateway: Gateway, ledger: Database
) -> None:
    await park(ledger, "poison")
    await finder(gateway).round()
    (case,) = await cases(gateway)
    store, now = store_of(gateway), datetime.now(UTC)
    await store.change(case.id, Change("assigned", "clerk", owner="me"), now=now)
    await store.change(case.id, Change("commented", "clerk", "Call Li Wei"), now=now)
    stored = await ledger.fetchval("SELECT string_agg(e::text, '') FROM exception_entries e")
    assert "Li Wei" not in stored
    assert [entry.message for entry in (await store.case(case.id))[1]] == ["", "", "Call Li Wei"]
    with pytest.raises(Exception, match="append-only"):
        await ledger.execute("DELETE FROM exception_entries")
    with pytest.raises(NotFound):
        await store.case(UUID(int=7))


@pytest.mark.parametrize(("took_s", "rest_s"), [(0.0, 0.0), (0.5, 9.5), (3.0, 57.0)])
async def test_after_a_long_round_it_rests(took_s: float, rest_s: float, gateway: Gateway) -> None:
    """Every worker reads all that is open: together they must not keep the database busy."""
    clock = ManualClock()
    looked = 0

    class Slow(Exceptions):
        async def end(self, now: datetime, *, limit: int) -> int:
            nonlocal looked
            looked += 1
            clock.at_s += took_s
            return await super().end(now, limit=limit)

    resting = finder(gateway)
    resting._clock = clock
    resting._store = Slow(
        pool=gateway.stores.primary, sealer=gateway.stores.sealer, new_id=gateway.new_id
    )
    assert not await resting.rested_round()
    clock.at_s += max(0.0, rest_s - 0.1)
    assert not await resting.rested_round()
    assert looked == (1 if rest_s else 2)
    clock.at_s += 0.2
    await resting.rested_round()
    assert looked == (2 if rest_s else 3)
