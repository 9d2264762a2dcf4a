"""Parked rows as people work on them: found, assigned, closed, opened again, and it is all told."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from gateway.domain import events
from gateway.domain.parked import Filter
from gateway.stores.postgres import audit
from gateway.stores.postgres.parked import ParkedRows
from gateway.wiring import Gateway
from tests.domain.support import due, new_id, paid
from tests.stores.support import Database, at_once, reported, submit, tell

WHO = "mei (uid 1000)"


@pytest.fixture
def parked(gateway: Gateway) -> ParkedRows:
    return ParkedRows(pool=gateway.stores.primary, sealer=gateway.stores.sealer)


def unmapped(order_no: str = "W-1") -> events.Unmapped:
    return events.Unmapped("odd", order_no, "of a kind that is not booked", datetime.now(UTC))


async def ids(parked: ParkedRows, **of: Any) -> list[UUID]:
    return [row.id for row in await parked.page(Filter(**of), after=None, limit=100)]


async def told(ledger: Database, *actions: str) -> list[tuple[str, ...]]:
    found = await ledger.fetch(
        "SELECT actor, action, subject, detail FROM audit_log WHERE action = ANY ($1) ORDER BY id",
        actions,
    )
    return [tuple(row) for row in found]


async def test_a_row_names_its_account_its_order_and_its_transaction(
    gateway: Gateway, ledger: Database, parked: ParkedRows
) -> None:
    """Also where no order was found, and where the message names none."""
    placed = await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid("90", currency="EUR", transaction_id="P-1"))
    await tell(gateway, unmapped("W-404"), source="alipay:main")
    waits = reported(gateway, paid("5", order_no="W-405", transaction_id="P-2"))
    await gateway.intake.accept_event(waits)
    await gateway.maintenance.park_overdue_events(-1, 10)
    found = {row.reason: row for row in await parked.page(Filter(), after=None, limit=10)}
    told = {
        reason: (row.source, row.order_no, row.transaction_no, row.order_id)
        for reason, row in found.items()
    }
    assert told == {
        "amount_mismatch": ("stripe:main", "W-1", "P-1", placed.id),
        "unmapped": ("alipay:main", "W-404", "", None),
        "unknown_order": ("stripe:main", "W-405", "P-2", None),
    }
    for number in ("W-405", "P-2"):
        assert await ids(parked, order=number) == [found["unknown_order"].id]
    assert await ids(parked, order=str(placed.id)) == [found["amount_mismatch"].id]
    assert await ids(parked, account="alipay") == [found["unmapped"].id]
    assert await ids(parked, account="ali") == []
    counts = await parked.counts(Filter(account="stripe"))
    assert {each.reason: each.rows for each in counts} == {"amount_mismatch": 1, "unknown_order": 1}


async def test_pages_are_stable_while_rows_are_closed(gateway: Gateway, parked: ParkedRows) -> None:
    start = datetime.now(UTC) - timedelta(hours=2)
    for n in range(7):
        at = start + timedelta(minutes=n // 2)
        await tell(gateway, unmapped(f"W-{n}"), received_at=at)
    seen: list[UUID] = []
    while page := await parked.page(Filter(), after=seen[-1] if seen else None, limit=3):
        seen += [row.id for row in page]
        await parked.resolve([page[0].id], actor=WHO, reason="done")
    assert len(seen) == len(set(seen)) == 7
    assert len(await ids(parked, state="resolved")) == 3
    assert len(await ids(parked, state="all")) == 7
    assert len(await ids(parked, state="all", before=start + timedelta(minutes=1))) == 2
    assert len(await ids(parked, state="all", after=start + timedelta(minutes=3))) == 1


async def test_what_people_do_is_told_once(
    gateway: Gateway, ledger: Database, parked: ParkedRows
) -> None:
    await tell(gateway, unmapped())
    (id_,) = await ids(parked)
    for _ in range(2):
        await parked.assign([id_], actor=WHO, assignee="jun")
    assert await ids(parked, assignee="jun") == [id_]
    assert await parked.resolve([id_], actor=WHO, reason="refunded by hand") == [id_]
    assert await parked.resolve([id_], actor="jun (uid 2)", reason="me too") == []
    (row,) = await parked.page(Filter(state="resolved"), after=None, limit=9)
    assert (row.resolved_by, row.resolution, row.assignee) == (WHO, "refunded by hand", "jun")
    assert await parked.reopen([id_], actor=WHO, reason="the wrong one") == [id_]
    assert await parked.reopen([id_], actor=WHO, reason="again") == []
    assert await ids(parked) == [id_]
    assert await parked.assign([id_], actor=WHO, assignee="") == [id_]
    assert await told(ledger, "assign_parked", "resolve_parked", "reopen_parked") == [
        (WHO, "assign_parked", str(id_), "jun"),
        (WHO, "resolve_parked", str(id_), "refunded by hand"),
        (WHO, "reopen_parked", str(id_), "the wrong one"),
        (WHO, "assign_parked", str(id_), "nobody"),
    ]
    async with gateway.stores.primary.acquire() as connection:
        assert await audit.first_break(connection) is None


async def test_two_people_close_the_same_rows_at_once(
    gateway: Gateway, ledger: Database, parked: ParkedRows
) -> None:
    for n in range(20):
        await tell(gateway, unmapped(f"W-{n}"))
    both = await ids(parked)
    done = await at_once(
        [
            parked.resolve(both, actor="mei", reason="a"),
            parked.resolve(both[::-1], actor="jun", reason="b"),
        ]
    )
    assert sorted(map(len, done)) == [0, 20]
    assert len(await told(ledger, "resolve_parked")) == 20


async def test_what_the_ledger_closed_is_not_opened_again(
    gateway: Gateway, parked: ParkedRows
) -> None:
    """It was applied: judged a second time it could count twice."""
    await tell(gateway, paid("100", order_no="W-9"))
    await gateway.maintenance.park_overdue_events(-1, 10)
    (id_,) = await ids(parked)
    await submit(gateway, due(1, order_no="W-9"))
    assert await ids(parked) == []
    assert await parked.reopen([id_], actor=WHO, reason="?") == []


async def test_a_row_comes_with_its_message_also_where_it_waited(
    gateway: Gateway, parked: ParkedRows
) -> None:
    await tell(gateway, unmapped(), "evt_1", raw=b'{"type":"odd"}')
    await tell(gateway, paid("5", order_no="W-7"), "evt_2", raw=b'{"type":"paid"}')
    await gateway.maintenance.park_overdue_events(-1, 10)
    kept = [await parked.read(id_) for id_ in await ids(parked)]
    assert [(each.event, each.body) for each in kept if each is not None] == [
        (("stripe:main", "evt_1"), b'{"type":"odd"}'),
        (("stripe:main", "evt_2"), b'{"type":"paid"}'),
    ]
    assert await parked.read(new_id()) is None
