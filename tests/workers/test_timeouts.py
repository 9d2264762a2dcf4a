"""Orders of which nothing was paid in time are closed, once, by whichever worker finds them."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gateway.domain import events
from gateway.domain.errors import Unavailable
from gateway.runtime.settings import Channel, Settings
from gateway.wiring import Gateway
from tests.domain.support import NOW, due, paid
from tests.stores.support import Database, counts, order, rows, submit, tell
from tests.support.patience import HANG_S
from tests.workers.outage import Outage, outage_of
from workers import metrics, supervisor, timeouts
from workers.timeouts import Timeouts


@pytest.fixture
def settings(settings: Settings) -> Settings:
    channels = [Channel("web", unpaid_timeout_s=1800), Channel("app")]
    return msgspec.structs.replace(settings, channels=channels)


def worker(gateway: Gateway) -> Timeouts:
    """Make one as the worker process does."""
    made = supervisor.tasks(gateway)["timeouts"]
    assert isinstance(made, Timeouts)
    return made


async def placed(gateway: Gateway, n: int = 1, **changes: Any) -> UUID:
    """Store order ``W-n`` over 100.00."""
    return (await submit(gateway, due(n, **{"order_no": f"W-{n}", **changes}), f"k-{n}")).id


async def overdue(ledger: Database) -> None:
    """Let the time of every order be over."""
    await ledger.execute("UPDATE unpaid_orders SET due_at = now() - interval '1 second'")


async def timed(ledger: Database) -> int:
    found: int = await ledger.fetchval("SELECT count(*) FROM unpaid_orders")
    return found


def closed() -> float:
    return float(metrics.TIMED_OUT._value.get())


async def test_it_is_closed_when_its_time_is_over_and_not_before(
    gateway: Gateway, ledger: Database
) -> None:
    id_ = await placed(gateway)
    in_s = await ledger.fetchval(
        "SELECT extract(epoch FROM due_at - now())::int FROM unpaid_orders"
    )
    assert 1700 < in_s <= 1800
    await worker(gateway).round()
    assert (await order(ledger))["status"] == "pending_payment"
    await overdue(ledger)
    before = closed()
    await worker(gateway).round()
    stored = await order(ledger)
    assert (stored["status"], stored["closed_cause"]) == ("closed", "timed_out")
    assert stored["closed_at"] is not None
    history = await rows(ledger, "order_events", "action", "to_status", "source", "trigger")
    assert history[1:] == [("timed_out", "closed", "timeouts:web", "timeout")]
    # Whoever asked is told.
    topics = await rows(ledger, "outbox", "order_id", "version", "topic")
    assert (id_, 2, "order.closed") in topics
    assert (closed() - before, await timed(ledger)) == (1, 0)


async def test_a_channel_without_a_timeout_costs_and_closes_nothing(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway, channel="app")
    assert await timed(ledger) == 0
    await worker(gateway).round()
    assert (await order(ledger))["status"] == "pending_payment"


_LEFT_ALONE: dict[str, events.Event] = {
    "paid": paid("100.00"),
    "paid in part": paid("1.00"),
    "paid on delivery": events.PaysOnDelivery("W-1", NOW),
    "closed already": events.Closed("W-1", "cancelled", NOW),
}


@pytest.mark.parametrize("event", _LEFT_ALONE.values(), ids=_LEFT_ALONE)
async def test_what_is_not_wholly_unpaid_is_left_alone(
    gateway: Gateway, ledger: Database, event: events.Event
) -> None:
    await placed(gateway)
    await tell(gateway, event)
    before = await order(ledger)
    await overdue(ledger)
    await worker(gateway).round()
    assert await order(ledger) == before
    assert await timed(ledger) == 0
    assert (await counts(ledger))["parked"] == 0


async def test_an_order_of_nothing_has_no_time_to_be_paid_in(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(1, Decimal(0)))
    assert await timed(ledger) == 0


async def test_what_an_event_waits_for_is_looked_at_again_later(
    gateway: Gateway, ledger: Database
) -> None:
    """It may be its payment; meanwhile it keeps no other order from its turn."""
    await placed(gateway)
    assert (await tell(gateway, events.Shipped("W-1", "SF", "1", NOW))).outcome == "waiting"
    await overdue(ledger)
    await worker(gateway).round()
    assert (await order(ledger))["status"] == "pending_payment"
    in_s = await ledger.fetchval(
        "SELECT extract(epoch FROM due_at - now())::int FROM unpaid_orders"
    )
    assert in_s > 500


async def test_a_held_order_times_out_like_any_other(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    await ledger.execute("UPDATE orders SET hold = 'lookalike', placed_hold = 'lookalike'")
    await overdue(ledger)
    await worker(gateway).round()
    assert (await order(ledger))["status"] == "closed"


async def test_test_orders_time_out_as_live_ones_do(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    await submit(gateway, due(2, order_no="W-1", is_test=True), "k-2")
    await overdue(ledger)
    await worker(gateway).round()
    assert await ledger.fetch("SELECT DISTINCT status FROM orders") == [("closed",)]


async def test_money_that_comes_too_late_must_go_back(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    await overdue(ledger)
    await worker(gateway).round()
    await tell(gateway, paid("100.00"))
    stored = await order(ledger)
    assert (stored["status"], stored["hold"]) == ("closed", "refund_owed")


async def test_several_workers_close_each_once(gateway: Gateway, ledger: Database) -> None:
    for n in range(1, 31):
        await placed(gateway, n)
    await overdue(ledger)
    before = closed()
    await asyncio.gather(*[worker(gateway).round() for _ in range(3)])
    assert await timed(ledger) == 0
    assert await ledger.fetchval("SELECT count(*) FROM orders WHERE version = 2") == 30
    topics = [topic for (topic,) in await rows(ledger, "outbox", "topic")]
    assert topics.count("order.closed") == 30
    assert closed() - before == 30


async def test_a_worker_that_died_in_between_closes_nothing_twice(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await placed(gateway)
    await overdue(ledger)

    async def dies(*_: Any) -> None:
        raise Unavailable("postgres")

    dying = worker(gateway)
    monkeypatch.setattr(gateway.maintenance, "forget_due", dies)
    with pytest.raises(Unavailable):
        await dying.round()
    monkeypatch.undo()
    assert (await order(ledger))["version"] == 2
    await worker(gateway).round()
    assert ((await order(ledger))["version"], await timed(ledger)) == (2, 0)
    assert (await counts(ledger))["order_events"] == 2


async def test_a_channel_whose_timeout_was_taken_away_closes_no_more(
    gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await overdue(ledger)
    policy = msgspec.structs.replace(gateway.policies.now["web"], unpaid_timeout_s=0)
    gateway.policies.now = {**gateway.policies.now, "web": policy}
    await worker(gateway).round()
    assert ((await order(ledger))["status"], await timed(ledger)) == ("pending_payment", 0)


async def test_more_than_a_round_takes_is_left_to_the_next_at_once(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "_ORDERS_MAX", 2)
    for n in range(1, 6):
        await placed(gateway, n)
    await overdue(ledger)
    taken = [await worker(gateway).round() for _ in range(3)]
    assert taken == [True, True, False]
    assert await timed(ledger) == 0


async def test_it_runs_until_it_is_stopped(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    await overdue(ledger)
    stopping = asyncio.Event()
    running = asyncio.create_task(worker(gateway).run(stopping))
    async with asyncio.timeout(HANG_S):
        while await timed(ledger):
            await asyncio.sleep(0.01)
        stopping.set()
        await running


@pytest.fixture
async def outage(settings: Settings) -> AsyncIterator[Outage]:
    async with outage_of(settings) as started:
        yield started


async def test_what_the_journal_holds_may_be_the_payment(outage: Outage, ledger: Database) -> None:
    gateway = outage.gateway
    await placed(gateway)
    outage.cable.cut()
    assert (await tell(gateway, paid("100.00"))).outcome == "journaled"
    await overdue(ledger)
    await outage.mend()
    await worker(gateway).round()
    assert (await order(ledger))["status"] == "pending_payment"
    await outage.drained()
    await worker(gateway).round()
    assert (await order(ledger))["status"] == "paid"


async def test_what_was_journaled_has_all_of_its_time_from_when_it_is_stored(
    outage: Outage, ledger: Database
) -> None:
    outage.cable.cut()
    await placed(outage.gateway)
    await outage.mend()
    await outage.drained()
    in_s = await ledger.fetchval(
        "SELECT extract(epoch FROM u.due_at - now())::int FROM unpaid_orders u "
        "JOIN orders o ON o.id = u.order_id WHERE o.order_no = 'W-1'"
    )
    assert in_s > 1700


async def test_a_repeat_keeps_the_time_of_the_first(gateway: Gateway, ledger: Database) -> None:
    await placed(gateway)
    await overdue(ledger)
    await placed(gateway)
    assert await timed(ledger) == 1
    assert await ledger.fetchval("SELECT due_at < now() FROM unpaid_orders")
