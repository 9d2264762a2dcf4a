"""The sweeper brings together what missed each other, and shows what waits in vain."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gateway.domain.errors import Unavailable
from gateway.wiring import Gateway
from tests.domain.support import due, paid, shipped
from tests.stores.support import Database, counts, order, reported, rows, submit, tell
from tests.support.patience import HANG_S, until
from workers.rounds import Rounds
from workers.sweeper import Sweeper


def sweeper(gateway: Gateway, *, unknown_order_s: float = 900.0) -> Sweeper:
    return Sweeper(
        maintenance=gateway.maintenance,
        intake=gateway.intake,
        rounds=Rounds(task="sweeper", clock=gateway.clock, overdue_s=60.0),
        sweep_s=3600.0,
        unknown_order_s=unknown_order_s,
    )


async def missed(gateway: Gateway, ledger: Database, n: int = 1) -> UUID:
    """Store order ``W-n`` and its payment as two transactions do that did not see each other."""
    placed = await submit(gateway, due(n, order_no=f"W-{n}"))
    late = reported(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"))
    event = msgspec.json.encode(late.event).decode()
    await ledger.execute(
        "INSERT INTO payments (id, provider, source, transaction_id, order_no, currency, amount, "
        "standing, paid_at) VALUES ($1, 'stripe', $2, $3, $4, 'CNY', 100, 'waiting', now())",
        gateway.new_id(),
        late.source,
        f"T-{n}",
        f"W-{n}",
    )
    await ledger.execute(
        "INSERT INTO order_events (id, source, source_key, action, outcome, trigger, occurred_at, "
        "received_at) VALUES ($1, $2, $3, 'payment_succeeded', 'waiting', 'test', now(), now())",
        late.id,
        late.source,
        late.source_key,
    )
    await ledger.execute(
        "INSERT INTO waiting (id, provider, source, transaction_id, channels, order_no, event, "
        "trigger, received_at) VALUES ($1, 'stripe', $2, $3, '{web}', $4, $5, 'test', now())",
        late.id,
        late.source,
        f"T-{n}",
        f"W-{n}",
        event,
    )
    return placed.id


async def test_a_payment_and_its_order_that_missed_each_other_are_paired(
    gateway: Gateway, ledger: Database
) -> None:
    order_id = await missed(gateway, ledger)
    assert await sweeper(gateway).sweep() == 1
    stored = await order(ledger)
    assert (stored["status"], stored["paid"], stored["version"]) == ("paid", 100, 2)
    assert await rows(ledger, "payments", "standing", "order_id") == [("applied", order_id)]
    made = await counts(ledger)
    assert (made["waiting"], made["parked"]) == (0, 0)
    assert await rows(ledger, "outbox", "topic") == [("order.placed",), ("order.paid",)]


async def test_many_pairs_are_settled_in_one_sweep_and_none_twice(
    gateway: Gateway, ledger: Database
) -> None:
    for n in range(20):
        await missed(gateway, ledger, n)
    assert await sweeper(gateway).sweep() == 20
    assert await sweeper(gateway).sweep() == 0
    assert set(await rows(ledger, "orders", "status", "version")) == {("paid", 2)}


async def test_two_sweepers_at_once_apply_everything_once(
    gateway: Gateway, ledger: Database
) -> None:
    for n in range(20):
        await missed(gateway, ledger, n)
    await asyncio.gather(*[sweeper(gateway).sweep() for _ in range(3)])
    assert set(await rows(ledger, "orders", "status", "version")) == {("paid", 2)}
    assert (await counts(ledger))["waiting"] == 0


async def test_what_can_not_be_applied_yet_is_not_tried_over_and_over(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, shipped())
    assert await sweeper(gateway).sweep() == 1
    assert await sweeper(gateway).sweep() == 0
    await tell(gateway, paid())
    assert (await order(ledger))["status"] == "shipped"


async def test_an_unknown_order_is_shown_after_its_time_and_goes_on_waiting(
    gateway: Gateway, ledger: Database
) -> None:
    now = datetime.now(UTC)
    for n, age_s in enumerate((899, 901)):
        await gateway.intake.accept_event(
            reported(
                gateway,
                paid(order_no=f"W-{n}", transaction_id=f"T-{n}"),
                received_at=now - timedelta(seconds=age_s - 0.5 + n),
            )
        )
    for _ in range(2):
        await sweeper(gateway).sweep()
        assert await rows(ledger, "parked", "reason", "detail", "resolved_at") == [
            ("unknown_order", "no order W-1 for transaction T-1", None)
        ]
    await submit(gateway, due(1, order_no="W-1"))
    assert (await order(ledger))["status"] == "paid"


async def test_a_sweep_that_fails_is_put_off_and_not_the_end(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    swept: list[int] = []
    stopping = asyncio.Event()

    async def failing(limit: int) -> list[UUID]:
        swept.append(limit)
        if len(swept) == 3:
            stopping.set()
        raise Unavailable("postgres")

    monkeypatch.setattr(gateway.maintenance, "orders_to_settle", failing)
    task = Sweeper(
        maintenance=gateway.maintenance,
        intake=gateway.intake,
        rounds=Rounds(task="sweeper", clock=gateway.clock, overdue_s=60.0),
        sweep_s=0.001,
        unknown_order_s=900.0,
    )
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(HANG_S):
            await task.run(stopping)
    assert len(swept) == 3
    assert [line.message for line in caplog.records] == ["sweeper postponed"] * 3


async def test_it_sweeps_at_its_start_and_stops_when_asked(
    gateway: Gateway, ledger: Database
) -> None:
    await missed(gateway, ledger)
    stopping = asyncio.Event()
    running = asyncio.create_task(sweeper(gateway).run(stopping))

    async def is_paid() -> bool:
        return bool((await order(ledger))["status"] == "paid")

    await until(is_paid)
    stopping.set()
    async with asyncio.timeout(HANG_S):
        await running


async def test_a_full_sweep_is_followed_by_another_at_once(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more to do than one sweep takes, the next sweep does not wait for the pause."""
    monkeypatch.setattr("workers.sweeper._ORDERS_MAX", 2)
    for n in range(5):
        await missed(gateway, ledger, n)
    stopping = asyncio.Event()
    running = asyncio.create_task(sweeper(gateway).run(stopping))

    async def is_done() -> bool:
        found: list[tuple[Any, ...]] = await rows(ledger, "orders", "status")
        return set(found) == {("paid",)}

    await until(is_done)
    stopping.set()
    await running
