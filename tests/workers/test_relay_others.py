"""Workers with different settings: whoever relays, a target gets what any worker says it wants."""

from datetime import timedelta

import pytest

from gateway.stores.postgres.delivery_desk import DeliveryDesk
from gateway.wiring import Gateway
from tests.domain.support import due, paid
from tests.stores.support import Database, submit, tell
from tests.workers.handoff import Receiver, opened, relay, targets
from tests.workers.test_relay import DELIVERIES, found
from workers.targets import Targets

#: A worker that was given the new targets, and one that was not yet.
NEW = targets(opened(Receiver()), opened(Receiver(), "erp", topics=["order.paid"]))
OLD = targets(opened(Receiver()))
LONG_AGO = "UPDATE targets SET known_at = now() - interval '2 hours' WHERE name = 'erp'"


async def placed_and_paid(gateway: Gateway) -> None:
    await submit(gateway, due(order_no="W-1"))
    await tell(gateway, paid(), "evt_1")


@pytest.mark.parametrize("to", [OLD, targets()], ids=["fewer", "none"])
async def test_a_target_that_only_another_worker_knows_is_told(
    to: Targets, gateway: Gateway, ledger: Database
) -> None:
    await relay(gateway, NEW).round()
    await placed_and_paid(gateway)
    await relay(gateway, to).round()
    told = [("erp", "order.paid", 2), ("wms", "order.paid", 2), ("wms", "order.placed", 1)]
    assert sorted(await found(ledger, DELIVERIES)) == told


async def test_the_word_of_such_a_target_is_awaited(gateway: Gateway, ledger: Database) -> None:
    await relay(gateway, targets(opened(Receiver(), "erp", accepts="callback"))).round()
    await placed_and_paid(gateway)
    await relay(gateway, OLD).round()
    awaited = await found(ledger, "SELECT target FROM awaiting_acceptance")
    assert awaited == [("erp",)]


async def test_such_a_target_is_not_told_of_what_was_before_it(
    gateway: Gateway, ledger: Database
) -> None:
    await placed_and_paid(gateway)
    await relay(gateway, targets(opened(Receiver(), "erp")))._see(NEW.now)
    await relay(gateway, targets()).round()
    assert await found(ledger, DELIVERIES) == []


async def test_a_target_that_no_worker_has_any_more_is_told_nothing(
    gateway: Gateway, ledger: Database
) -> None:
    await relay(gateway, NEW).round()
    await ledger.execute(LONG_AGO)
    await placed_and_paid(gateway)
    await relay(gateway, OLD).round()
    assert {row[0] for row in await found(ledger, DELIVERIES)} == {"wms"}


async def test_a_worker_says_again_that_it_has_a_target(gateway: Gateway, ledger: Database) -> None:
    relaying = relay(gateway, NEW)
    await relaying.round()
    await ledger.execute(LONG_AGO)
    await relaying.round()
    known = "SELECT known_at > now() - interval '1 hour' FROM targets WHERE name = 'erp'"
    assert not await ledger.fetchval(known)
    relaying._seen_s -= timedelta(hours=1).total_seconds()
    await relaying.round()
    assert await ledger.fetchval(known)


async def test_a_target_that_nobody_has_is_forgotten_with_all_that_waits_for_it(
    gateway: Gateway, ledger: Database
) -> None:
    desk = DeliveryDesk(pool=gateway.stores.primary, channels=["web"])
    await relay(gateway, NEW).round()
    await placed_and_paid(gateway)
    await relay(gateway, NEW).round()

    async def forget() -> int | None:
        return await desk.forget("erp", actor="someone", reason="gone")

    # A worker has it.
    assert await forget() is None
    assert len(await found(ledger, DELIVERIES)) == 3
    await ledger.execute(LONG_AGO)
    assert await forget() == 1
    assert {row[0] for row in await found(ledger, DELIVERIES)} == {"wms"}
    assert [each.name for each in await desk.targets()] == ["wms"]
    assert await forget() is None
    actions = await found(ledger, "SELECT action FROM audit_log")
    assert actions == [("forget_target",)]
