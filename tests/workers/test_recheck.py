"""What has missed each other is brought together some seconds later, whatever was tried before."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain import events
from gateway.domain.errors import Unavailable
from gateway.stores.postgres.recheck import RecheckStore
from gateway.wiring import Gateway
from tests.domain.support import NOW, due, paid, shipped
from tests.stores.support import Database, order, rows, submit, tell
from tests.support.patience import until
from tests.workers.handoff import relay, targets
from tests.workers.test_sweeper import missed, sweeper
from workers import metrics, recheck, supervisor
from workers.recheck import Recheck


def worker(gateway: Gateway, recheck_s: float = 0.0) -> Recheck:
    """Make one as the worker process does; it re-checks at once."""
    made = supervisor.tasks(gateway)["recheck"]
    assert isinstance(made, Recheck)
    assert made._recheck_s == gateway.settings.recheck_s
    made._recheck_s = recheck_s
    return made


async def relayed(gateway: Gateway) -> None:
    await relay(gateway, targets()).round()


async def following(gateway: Gateway) -> Recheck:
    """Begin to follow the feed from here on."""
    working = worker(gateway)
    await relayed(gateway)
    await working.round()
    return working


async def findings(ledger: Database) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await ledger.fetch("SELECT kind, detail FROM scan_findings")]


def restaged() -> float:
    return float(metrics.RECHECKED.labels("restaged")._value.get())


async def test_a_payment_that_is_marked_as_tried_meets_its_order_all_the_same(
    gateway: Gateway, ledger: Database
) -> None:
    """The sweeper believes the mark; the re-check does not."""
    await missed(gateway, ledger)
    await ledger.execute("UPDATE waiting SET tried_at = now() + interval '1 hour'")
    assert await sweeper(gateway).sweep() == 0
    assert (await order(ledger))["status"] == "pending_payment"
    await worker(gateway).round()
    assert (await order(ledger))["status"] == "paid"
    assert await ledger.fetchval("SELECT count(*) FROM waiting") == 0


async def test_it_is_not_looked_at_before_its_time_nor_twice(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, shipped())
    settled: list[Any] = []

    async def settle(order_id: Any) -> None:
        settled.append(order_id)

    working = worker(gateway, 60.0)
    monkeypatch.setattr(working._intake, "settle", settle)
    await working.round()
    assert settled == []
    working._recheck_s = 0.0
    for _ in range(2):
        await working.round()
    assert len(settled) == 1


async def test_a_payment_that_names_a_double_click_meets_the_order_that_answered_it(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid(order_no="W-2"))
    first = (await order(ledger))["id"]
    await ledger.execute(
        "INSERT INTO order_no_aliases (order_no, channel, is_test, order_id, payload_digest, "
        "received_at) VALUES ('W-2', 'web', false, $1, '\\x00', now())",
        first,
    )
    await ledger.execute("UPDATE waiting SET tried_at = now() + interval '1 hour'")
    await worker(gateway).round()
    assert (await order(ledger))["status"] == "paid"


async def test_a_refund_that_names_a_payment_by_another_number_meets_it(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    refund = events.RefundSucceeded("ch_1", "", "", due(1).amounts.payable, True, "CNY", NOW)
    assert (await tell(gateway, refund)).outcome == "waiting"
    await tell(gateway, paid())
    payment = await ledger.fetchval("SELECT id FROM payments")
    await ledger.execute("INSERT INTO payment_names VALUES ('stripe', 'ch_1', $1)", payment)
    await ledger.execute("UPDATE waiting SET tried_at = now() + interval '1 hour'")
    await worker(gateway).round()
    assert (await order(ledger))["status"] == "refunded"


async def test_what_has_no_order_goes_on_waiting(gateway: Gateway, ledger: Database) -> None:
    await tell(gateway, paid(order_no="W-9"))
    assert await worker(gateway).round() is False
    assert await ledger.fetchval("SELECT count(rechecked_at) FROM waiting") == 1


async def test_an_order_that_was_paid_and_never_told_is_told_once(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(0, order_no="W-0"))
    working = await following(gateway)
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid())
    await ledger.execute("UPDATE outbox SET topic = 'order.changed' WHERE topic = 'order.paid'")
    await relayed(gateway)
    before = restaged()
    await asyncio.gather(*(worker(gateway).round() for _ in range(3)))
    await working.round()
    assert restaged() - before == 1
    staged = await rows(ledger, "outbox", "topic", "version", "priority")
    assert staged == [("order.paid", 2, 1)]
    await relayed(gateway)
    await working.round()
    assert restaged() - before == 1
    assert await findings(ledger) == []


@pytest.mark.parametrize("is_held", [True, False])
async def test_what_was_told_or_is_held_is_not_told_again(
    gateway: Gateway, ledger: Database, is_held: bool
) -> None:
    await submit(gateway, due(0, order_no="W-0"))
    working = await following(gateway)
    await submit(gateway, due(1, order_no="W-1"))
    if is_held:
        await tell(gateway, events.HeldByPerson("W-1", "looked at", NOW))
    await tell(gateway, paid())
    await relayed(gateway)
    before = restaged()
    await working.round()
    assert (restaged() - before, await rows(ledger, "outbox", "topic")) == (0, [])


async def test_sums_that_differ_are_shown_within_seconds(
    gateway: Gateway, ledger: Database
) -> None:
    working = await following(gateway)
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid())
    await ledger.execute("UPDATE orders SET paid = 90")
    await relayed(gateway)
    await working.round()
    wrong = [("sum_differs", "paid 90.00 CNY, by its payments 100.00 CNY")]
    assert await findings(ledger) == wrong
    await working.round()
    assert await findings(ledger) == wrong


async def test_the_feed_is_followed_from_where_it_began_and_page_by_page(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recheck, "_CHANGES_MAX", 2)
    await submit(gateway, due(9, order_no="W-9"))
    await tell(gateway, paid(order_no="W-9", transaction_id="T-9"))
    working = await following(gateway)
    for n in range(3):
        await submit(gateway, due(n, order_no=f"W-{n}"))
        await tell(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"))
    await ledger.execute("UPDATE orders SET paid = 1")
    await relayed(gateway)
    assert [await working.round() for _ in range(4)] == [True, True, True, False]
    # What changed before it began is the nightly scan's.
    assert len(await findings(ledger)) == 3
    last = await ledger.fetchval("SELECT max(position) FROM order_changes")
    assert await ledger.fetchval("SELECT position FROM cursors") == last


async def test_what_was_relayed_just_now_is_left_to_later(
    gateway: Gateway, ledger: Database
) -> None:
    await following(gateway)
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid())
    await ledger.execute("UPDATE orders SET paid = 1")
    await relayed(gateway)
    await worker(gateway, 3600.0).round()
    assert await findings(ledger) == []
    await ledger.execute("UPDATE order_changes SET relayed_at = now() - interval '2 hours'")
    await worker(gateway, 3600.0).round()
    assert len(await findings(ledger)) == 1


async def test_a_round_that_fails_is_done_again(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = await following(gateway)
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid())
    await ledger.execute("UPDATE orders SET paid = 1")
    await relayed(gateway)

    async def away(*_: Any) -> Any:
        raise Unavailable("postgres")

    monkeypatch.setattr(working._scan, "write", away)
    with pytest.raises(Unavailable):
        await working.round()
    monkeypatch.undo()
    await working.round()
    assert len(await findings(ledger)) == 1


async def test_one_worker_at_a_time_follows_the_feed(gateway: Gateway, ledger: Database) -> None:
    store = RecheckStore(pool=gateway.stores.primary, new_id=gateway.new_id)
    await worker(gateway).round()
    async with store.following() as first:
        assert first is not None
        async with store.following() as second:
            assert second is None


def test_a_finding_is_noted_under_the_business_day_of_its_zone(gateway: Gateway) -> None:
    day = datetime(2026, 11, 29, 17, tzinfo=UTC).astimezone(worker(gateway)._zone).date()
    assert (day - datetime(2026, 11, 29, tzinfo=UTC).date()) == timedelta(days=1)


async def test_what_is_staged_while_it_is_locked_is_not_staged_twice(
    gateway: Gateway, ledger: Database
) -> None:
    """Whoever changes the order holds its lock, and has staged what it told by the time it ends."""
    id_ = (await submit(gateway, due(1, order_no="W-1"))).id
    await tell(gateway, paid())
    await ledger.execute("DELETE FROM outbox WHERE topic = 'order.paid'")
    store = RecheckStore(pool=gateway.stores.primary, new_id=gateway.new_id)
    async with ledger.acquire() as connection:
        other = connection.transaction()
        await other.start()
        await connection.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", id_)
        restaging = asyncio.create_task(store.restage_paid([id_]))
        await until(lambda: _is_waiting(ledger))
        await connection.execute(
            "INSERT INTO outbox (id, order_id, version, topic, priority, created_at) "
            "VALUES (gen_random_uuid(), $1, 3, 'order.paid', 1, now())",
            id_,
        )
        await other.commit()
    assert await restaging == []
    topics = [topic for (topic,) in await rows(ledger, "outbox", "topic")]
    assert topics.count("order.paid") == 1


async def _is_waiting(ledger: Database) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return bool(await ledger.fetchval(query))
