"""The relay: what is staged comes into the feed once, in order, and to whom it is for."""

import asyncio
from typing import Any

from gateway.wiring import Gateway
from tests.domain.support import due, paid
from tests.stores.support import Database, order, submit, tell
from tests.support.patience import until
from tests.workers.handoff import Receiver, dispatcher, opened, relay, running, targets

CHANGES = "SELECT version, topic FROM order_changes ORDER BY position"
POSITIONS = "SELECT position FROM order_changes ORDER BY position"
DELIVERIES = "SELECT target, topic, version FROM deliveries ORDER BY position, target"


async def found(ledger: Database, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await ledger.fetch(query)]


async def test_what_is_staged_comes_into_the_feed_and_to_the_targets_that_want_it(
    gateway: Gateway, ledger: Database
) -> None:
    to = targets(
        opened(Receiver(), "all"),
        opened(Receiver(), "paid", topics=["order.paid"]),
        opened(Receiver(), "elsewhere", regions=["US"]),
        opened(Receiver(), "tests", is_test=True),
    )
    relaying = relay(gateway, to)
    await relaying.round()
    await submit(gateway, due(order_no="W-1"))
    await tell(gateway, paid(), "evt_1")
    assert not await relaying.round()
    assert await found(ledger, CHANGES) == [(1, "order.placed"), (2, "order.paid")]
    assert await found(ledger, DELIVERIES) == [
        ("all", "order.placed", 1),
        ("all", "order.paid", 2),
        ("paid", "order.paid", 2),
    ]
    assert await ledger.fetchval("SELECT count(*) FROM outbox") == 0
    # A second relay finds nothing left.
    await relay(gateway, to).round()
    assert len(await found(ledger, CHANGES)) == 2


async def test_without_a_target_the_feed_has_it_all_the_same(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(order_no="W-1"))
    await relay(gateway, targets()).round()
    assert await found(ledger, CHANGES) == [(1, "order.placed")]
    assert await found(ledger, DELIVERIES) == []


async def test_a_target_is_told_of_what_is_staged_after_it_was_first_seen(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(order_no="W-1"))
    to = targets(opened(Receiver()))
    relaying = relay(gateway, to)
    await relaying.round()
    assert await found(ledger, DELIVERIES) == []
    await tell(gateway, paid(), "evt_1")
    await relaying.round()
    assert await found(ledger, DELIVERIES) == [("wms", "order.paid", 2)]
    # A worker that starts later knows it.
    await submit(gateway, due(2, order_no="W-2"))
    await relay(gateway, to).round()
    assert len(await found(ledger, DELIVERIES)) == 2


async def test_an_event_of_no_order_is_in_the_feed_and_keeps_nothing_up(
    gateway: Gateway, ledger: Database
) -> None:
    relaying = relay(gateway, targets(opened(Receiver())))
    await relaying.round()
    await ledger.execute(
        "INSERT INTO outbox (id, order_id, version, topic, priority, created_at)"
        " VALUES (gen_random_uuid(), gen_random_uuid(), 1, 'order.paid', 1, now())"
    )
    await submit(gateway, due(order_no="W-1"))
    await relaying.round()
    assert len(await found(ledger, CHANGES)) == 2
    assert await found(ledger, DELIVERIES) == [("wms", "order.placed", 1)]


async def test_one_relay_works_at_a_time(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, due(order_no="W-1"))
    async with ledger.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(714220251130)")
        assert not await relay(gateway, targets()).round()
        assert await found(ledger, CHANGES) == []
    await relay(gateway, targets()).round()
    assert len(await found(ledger, CHANGES)) == 1


async def test_what_relays_that_race_write_is_in_order_for_each_order(
    gateway: Gateway, ledger: Database
) -> None:
    """While others write, a reader of the feed sees no position appear below one that it saw."""
    to = targets(opened(Receiver()))
    relays = [relay(gateway, to) for _ in range(3)]
    await relays[0].round()
    is_done = False
    seen: list[int] = []

    async def write(n: int) -> None:
        await submit(gateway, due(n, order_no=f"W-{n}"))
        await tell(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"), f"evt_{n}")

    async def move(each: Any) -> None:
        while not is_done:
            await each.round()

    async def read() -> None:
        while not is_done:
            rows = await ledger.fetch("SELECT position FROM order_changes ORDER BY position")
            positions = [position for (position,) in rows]
            assert positions[: len(seen)] == seen
            seen[:] = positions

    moving = [asyncio.create_task(move(each)) for each in relays]
    moving.append(asyncio.create_task(read()))
    await asyncio.gather(*[write(n) for n in range(1, 41)])
    is_done = True
    await asyncio.gather(*moving)
    await relays[0].round()
    versions: dict[Any, list[int]] = {}
    for order_id, version in await found(
        ledger, "SELECT order_id, version FROM order_changes ORDER BY position"
    ):
        versions.setdefault(order_id, []).append(version)
    assert len(versions) == 40
    assert all(each == [1, 2] for each in versions.values())
    assert await ledger.fetchval("SELECT count(*) FROM deliveries") == 80
    due_now = "SELECT count(*) FROM deliveries WHERE due_at <= now()"
    assert await ledger.fetchval(due_now) >= 40


async def test_a_delivery_behind_another_of_its_order_is_not_due(
    gateway: Gateway, ledger: Database
) -> None:
    relaying = relay(gateway, targets(opened(Receiver())))
    await relaying.round()
    await submit(gateway, due(order_no="W-1"))
    await tell(gateway, paid(), "evt_1")
    await relaying.round()
    due_now = "SELECT version FROM deliveries WHERE due_at <= now()"
    assert await found(ledger, due_now) == [(1,)]
    await ledger.execute("UPDATE orders SET version = 3")
    await ledger.execute(
        "INSERT INTO outbox (id, order_id, version, topic, priority, created_at)"
        " VALUES (gen_random_uuid(), $1, 3, 'order.changed', 5, now())",
        (await order(ledger))["id"],
    )
    await relaying.round()
    assert await found(ledger, due_now) == [(1,)]


async def test_a_wake_up_that_is_lost_is_made_up_for(gateway: Gateway, ledger: Database) -> None:
    """Nobody wakes this relay: it looks by itself."""
    receiver = Receiver()
    to = targets(opened(receiver))
    dispatching = dispatcher(gateway, to)
    relaying = relay(gateway, to, dispatching.wake)
    async with running(relaying, dispatching):
        await until(lambda: bool(relaying._after))
        await submit(gateway, due(order_no="W-1"))
        await until(lambda: receiver.topics() == ["order.placed"])


async def test_what_no_target_wants_is_in_the_feed_in_its_place(
    gateway: Gateway, ledger: Database
) -> None:
    """Targets that want one topic are asked about no other."""
    relaying = relay(gateway, targets(opened(Receiver(), topics=["order.paid"])))
    await relaying.round()
    for n in (1, 2):
        await submit(gateway, due(n, order_no=f"W-{n}"))
    await tell(gateway, paid(order_no="W-1"), "evt_1")
    await relaying.round()
    assert await found(ledger, CHANGES) == [
        (1, "order.placed"),
        (1, "order.placed"),
        (2, "order.paid"),
    ]
    assert await found(ledger, DELIVERIES) == [("wms", "order.paid", 2)]
    positions = [row[0] for row in await found(ledger, POSITIONS)]
    assert positions == [*range(positions[0], positions[0] + 3)]
