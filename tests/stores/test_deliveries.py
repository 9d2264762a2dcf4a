"""Claims and ends of deliveries that meet: none is sent before its turn, and none is forgotten."""

import asyncio
from uuid import UUID

from gateway.stores.postgres.deliveries import Attempt, Deliveries, Delivery
from gateway.stores.postgres.statements import sql
from gateway.wiring import Gateway
from tests.stores.support import Database
from tests.support.patience import until

ADD = """
INSERT INTO deliveries (
    target, event_id, position, order_id, version, topic, priority, occurred_at, due_at
)
VALUES ('wms', $1, $2, $3, $2::bigint::int, 'order.changed', 5, now(), now())
"""


async def chained(gateway: Gateway, ledger: Database, count: int) -> list[UUID]:
    """Return the events of one order, all of them due."""
    order_id = gateway.new_id()
    events = [gateway.new_id() for _ in range(count)]
    for position, event_id in enumerate(events, 1):
        await ledger.execute(ADD, event_id, position, order_id)
    return events


def delivered(gateway: Gateway, delivery: Delivery) -> Attempt:
    return Attempt(delivery, delivery.version, gateway.clock.now(), 1, "delivered", 200)


async def is_due(ledger: Database, event_id: UUID) -> bool:
    query = "SELECT due_at <= now() FROM deliveries WHERE event_id = $1"
    return bool(await ledger.fetchval(query, event_id))


async def test_of_one_order_the_first_is_claimed_and_the_next_one_is_due_when_it_ends(
    gateway: Gateway, ledger: Database
) -> None:
    store, me = Deliveries(pool=gateway.stores.hand_off), gateway.new_id()
    events = await chained(gateway, ledger, 3)
    claim = await store.claim("wms", me, limit=10, lease_s=60)
    assert ([each.event_id for each in claim.deliveries], claim.blocked) == (events[:1], 2)
    assert not await is_due(ledger, events[1])
    done = [delivered(gateway, claim.deliveries[0])]
    finished = await store.finish("wms", me, done, is_accepting=False)
    assert finished.freed == 1
    assert await is_due(ledger, events[1])
    assert not await is_due(ledger, events[2])


async def test_one_that_ends_while_the_next_is_looked_at_makes_it_due(
    gateway: Gateway, ledger: Database
) -> None:
    """The claim has locked the next one and still sees the first: nobody else would free it."""
    store, me = Deliveries(pool=gateway.stores.hand_off), gateway.new_id()
    first, second = await chained(gateway, ledger, 2)
    claim = await store.claim("wms", me, limit=1, lease_s=60)
    assert [each.event_id for each in claim.deliveries] == [first]
    async with ledger.acquire() as other, other.transaction():
        locked = await other.fetch(sql("lock_due_deliveries"), "wms", 10)
        assert [event_id for (event_id,) in locked] == [second]
        done = [delivered(gateway, claim.deliveries[0])]
        ending = asyncio.create_task(store.finish("wms", me, done, is_accepting=False))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

        async def is_waiting() -> bool:
            return bool(await ledger.fetchval(waits))

        await until(is_waiting)
        (row,) = await other.fetch(
            sql("claim_deliveries"), "wms", str(second), 60.0, gateway.new_id(), 5.0
        )
        assert not row["is_claimed"]
    await ending
    assert await is_due(ledger, second)


async def test_one_that_ended_before_the_next_is_judged_is_no_obstacle(
    gateway: Gateway, ledger: Database
) -> None:
    """It ended between the two steps of a claim."""
    store, me = Deliveries(pool=gateway.stores.hand_off), gateway.new_id()
    first, second = await chained(gateway, ledger, 2)
    await store.claim("wms", me, limit=1, lease_s=60)
    async with ledger.acquire() as other, other.transaction():
        await other.fetch(sql("lock_due_deliveries"), "wms", 10)
        await ledger.execute("DELETE FROM deliveries WHERE event_id = $1", first)
        (row,) = await other.fetch(
            sql("claim_deliveries"), "wms", str(second), 60.0, gateway.new_id(), 5.0
        )
        assert row["is_claimed"]


async def test_a_claim_over_is_not_waited_for_longer_than_a_moment(
    gateway: Gateway, ledger: Database
) -> None:
    """What waits behind an attempt is looked at again soon, behind a retry when that is due."""
    store, me = Deliveries(pool=gateway.stores.hand_off), gateway.new_id()
    first, second = await chained(gateway, ledger, 2)
    await store.claim("wms", me, limit=1, lease_s=600)
    await store.claim("wms", me, limit=9, lease_s=600)
    waits_s = "SELECT extract(epoch FROM due_at - now())::int FROM deliveries WHERE event_id = $1"
    assert await ledger.fetchval(waits_s, second) <= 5
    await ledger.execute(
        "UPDATE deliveries SET claimed_by = NULL, due_at = now() + interval '1 hour'"
        " WHERE event_id = $1",
        first,
    )
    await ledger.execute("UPDATE deliveries SET due_at = now() WHERE event_id = $1", second)
    await store.claim("wms", me, limit=9, lease_s=600)
    assert await ledger.fetchval(waits_s, second) > 3000
