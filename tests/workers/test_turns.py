"""An order's next delivery is due when the one before it ends, whoever looks at that moment.

Each test stops one of the two at the place where the other passed it once: an order stood still
then until a claim was over.
"""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from gateway.stores.postgres.deliveries import Attempt, Claim, Deliveries, Delivery
from gateway.stores.postgres.statements import sql
from gateway.wiring import Gateway
from tests.domain.support import due, paid
from tests.stores.support import Database, submit, tell
from tests.support.patience import until
from tests.workers.handoff import Receiver, opened, relay, targets

ME, OTHER = UUID(int=1), UUID(int=2)
LEASE_S = 3600.0
DUE = "SELECT version FROM deliveries WHERE due_at <= now() ORDER BY version"
WAITING = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def deliveries(gateway: Gateway) -> Deliveries:
    return Deliveries(pool=gateway.stores.primary)


async def versions(ledger: Database) -> list[int]:
    return [row["version"] for row in await ledger.fetch(DUE)]


async def two_of_an_order(gateway: Gateway) -> None:
    """An order with two deliveries, of which the first is due."""
    relaying = relay(gateway, targets(opened(Receiver())))
    await relaying.round()
    await submit(gateway, due(order_no="W-1"))
    await tell(gateway, paid(), "evt_1")
    await relaying.round()


async def claim(deliveries: Deliveries) -> Claim:
    return await deliveries.claim("wms", ME, limit=10, lease_s=LEASE_S)


async def finish(deliveries: Deliveries, delivery: Delivery) -> None:
    ended = Attempt(delivery, delivery.version, datetime.now(UTC), 1, "delivered", 200)
    await deliveries.finish("wms", ME, [ended], is_accepting=False)


async def test_what_was_put_off_is_due_when_the_one_before_it_has_ended(
    gateway: Gateway, ledger: Database, deliveries: Deliveries
) -> None:
    await two_of_an_order(gateway)
    await ledger.execute("UPDATE deliveries SET due_at = now()")
    claimed = await claim(deliveries)
    assert ([each.version for each in claimed.deliveries], claimed.blocked) == ([1], 1)
    assert await versions(ledger) == []
    await finish(deliveries, claimed.deliveries[0])
    assert await versions(ledger) == [2]


async def test_an_end_waits_for_who_is_judging_the_next_one(
    gateway: Gateway, ledger: Database, deliveries: Deliveries
) -> None:
    await two_of_an_order(gateway)
    (first,) = (await claim(deliveries)).deliveries
    await ledger.execute("UPDATE deliveries SET due_at = now() WHERE version = 2")
    async with ledger.acquire() as other, other.transaction():
        locked = [row[0] for row in await other.fetch(sql("lock_due_deliveries"), "wms", 10)]
        assert len(locked) == 1
        ending = asyncio.create_task(finish(deliveries, first))
        await until(lambda: _is_waiting(ledger))
        judged = await other.fetch(
            sql("claim_deliveries"), "wms", ",".join(map(str, locked)), LEASE_S, OTHER, LEASE_S
        )
        assert [row["is_claimed"] for row in judged] == [False]
    await ending
    assert await versions(ledger) == [2]


async def test_who_judges_sees_an_end_that_came_after_it_had_begun(
    gateway: Gateway, ledger: Database, deliveries: Deliveries
) -> None:
    await two_of_an_order(gateway)
    (first,) = (await claim(deliveries)).deliveries
    await ledger.execute("UPDATE deliveries SET due_at = now() WHERE version = 2")
    async with ledger.acquire() as other, other.transaction():
        # It has begun, and read; its snapshot is older than the end.
        await other.fetch("SELECT FROM deliveries")
        await finish(deliveries, first)
        # As if that had begun before this one.
        await ledger.execute("UPDATE deliveries SET due_at = due_at - interval '1 hour'")
        locked = [row[0] for row in await other.fetch(sql("lock_due_deliveries"), "wms", 10)]
        judged = await other.fetch(
            sql("claim_deliveries"), "wms", ",".join(map(str, locked)), LEASE_S, OTHER, LEASE_S
        )
        assert [row["is_claimed"] for row in judged] == [True]


async def _is_waiting(ledger: Database) -> bool:
    return bool(await ledger.fetchval(WAITING))
