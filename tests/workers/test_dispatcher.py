"""The dispatcher: everything is delivered, in order for each order, whoever fails meanwhile."""

import asyncio
from typing import Any

import pytest

from gateway.domain.handoff import OutboundMessage, SendResult
from gateway.stores.postgres.deliveries import Attempt, Deliveries
from gateway.wiring import Gateway
from tests.domain.support import closed, due, paid
from tests.stores.support import Database, order, submit, tell
from tests.support.patience import until
from tests.workers.handoff import (
    DELIVERED,
    FAILED,
    Receiver,
    dispatcher,
    failing_at_random,
    opened,
    relay,
    running,
    targets,
)
from workers.targets import Targets

PENDING = "SELECT count(*) FROM deliveries WHERE dead_at IS NULL"


async def staged(gateway: Gateway, to: Targets, *orders: int) -> None:
    """Place and pay orders, and relay what that stages to the targets."""
    relaying = relay(gateway, to)
    await relaying.round()
    for n in orders:
        await submit(gateway, due(n, order_no=f"W-{n}"))
        await tell(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"), f"evt_{n}")
    await relaying.round()


async def all_gone(ledger: Database) -> bool:
    return bool(await ledger.fetchval(PENDING) == 0)


async def attempts(ledger: Database) -> list[tuple[Any, ...]]:
    query = "SELECT topic, attempt, outcome, reason FROM delivery_attempts ORDER BY started_at"
    return [tuple(row) for row in await ledger.fetch(query)]


async def test_an_order_is_told_with_its_current_state(gateway: Gateway, ledger: Database) -> None:
    receiver = Receiver()
    to = targets(opened(receiver, topics=["order.paid"], has_private=True))
    await staged(gateway, to, 1)
    event_id = await ledger.fetchval("SELECT event_id FROM deliveries")
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    (body,) = receiver.bodies()
    stored = await order(ledger)
    told = body["data"]["order"]
    assert (body["type"], body["data"]["event_id"]) == ("order.paid", str(event_id))
    assert (told["order_no"], told["version"], told["status"]) == ("W-1", 2, "paid")
    assert told["amounts"]["paid"] == "100.00"
    assert told["items"] == [
        {
            "sku": "SKU-1", "name": "Tea", "quantity": 1, "unit_price": "100.00",
            "discount": "0.00", "tax": "0.00", "weight_g": None,
        }
    ]  # fmt: skip
    assert told["recipient"]["name"]
    assert told["recipient"]["city"] == stored["city"]
    assert told["payments"][0]["transaction_id"] == "T-1"
    assert await attempts(ledger) == [("order.paid", 1, "delivered", None)]


async def test_what_is_sealed_is_only_for_targets_that_may_have_it(
    gateway: Gateway, ledger: Database
) -> None:
    receiver = Receiver()
    to = targets(opened(receiver))
    await staged(gateway, to, 1)
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    for body in receiver.bodies():
        recipient = body["data"]["order"]["recipient"]
        assert recipient["province"]
        kept = ("name", "phone", "street", "postcode", "id_number")
        assert [recipient[field] for field in kept] == [None] * 5


async def test_of_one_order_each_event_waits_for_the_one_before(
    gateway: Gateway, ledger: Database
) -> None:
    """Two dispatchers, and a third of all attempts fails."""
    receiver = Receiver(failing_at_random(0.3, 7))
    to = targets(opened(receiver, attempts_max=100))
    await staged(gateway, to, *range(1, 21))
    async with running(dispatcher(gateway, to), dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    told: dict[Any, list[str]] = {}
    for message in receiver.taken:
        told.setdefault(message.order_no, []).append(message.topic)
    assert len(told) == 20
    assert all(topics == ["order.placed", "order.paid"] for topics in told.values())
    ids = {(message.order_no, message.topic): message.event_id for message in receiver.attempts}
    assert all(
        message.event_id == ids[message.order_no, message.topic] for message in receiver.attempts
    )
    assert len(await attempts(ledger)) == len(receiver.attempts) > 40


async def test_a_payment_goes_before_what_is_less_urgent(
    gateway: Gateway, ledger: Database
) -> None:
    receiver = Receiver()
    to = targets(opened(receiver))
    await staged(gateway, to, 1, 2)
    first = "SELECT min(position) FROM deliveries"
    await ledger.execute(f"DELETE FROM deliveries WHERE position = ({first})")
    await ledger.execute("UPDATE deliveries SET priority = 5 WHERE topic = 'order.placed'")
    await ledger.execute("UPDATE deliveries SET due_at = now() - priority * interval '1 second'")
    claim = await Deliveries(pool=gateway.stores.hand_off).claim(
        "wms", gateway.new_id(), limit=10, lease_s=10
    )
    assert [each.priority for each in claim.deliveries] == [1, 5]
    assert claim.blocked == 1


async def test_a_slow_target_delays_no_other(gateway: Gateway, ledger: Database) -> None:
    release = asyncio.Event()

    async def slowly(_: OutboundMessage) -> SendResult:
        await release.wait()
        return DELIVERED

    slow, fast = Receiver(slowly), Receiver()
    to = targets(opened(slow, "slow", in_flight_max=2, call_s=60.0), opened(fast, "fast"))
    await staged(gateway, to, *range(1, 11))
    async with running(dispatcher(gateway, to)):
        await until(lambda: len(fast.taken) == 20)
        assert not slow.taken
        assert len(slow.attempts) == 2
        release.set()
        await until(lambda: all_gone(ledger))
    assert len(slow.taken) == 20


async def test_the_last_failure_makes_a_dead_letter_and_frees_what_waits_behind(
    gateway: Gateway, ledger: Database
) -> None:
    receiver = Receiver(lambda message: FAILED if message.topic == "order.placed" else DELIVERED)
    to = targets(opened(receiver, attempts_max=3))
    await staged(gateway, to, 1)
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    assert [(a[0], a[1], a[2]) for a in await attempts(ledger)] == [
        ("order.placed", 1, "failed"),
        ("order.placed", 2, "failed"),
        ("order.placed", 3, "failed"),
        ("order.paid", 1, "delivered"),
    ]
    (dead,) = await Deliveries(pool=gateway.stores.hand_off).list_dead()
    assert (dead.order_no, dead.attempts, dead.reason) == ("W-1", 3, "answered 500")


async def test_dead_letters_replayed_twice_are_delivered_once(
    gateway: Gateway, ledger: Database
) -> None:
    receiver = Receiver(lambda _: FAILED)
    to = targets(opened(receiver, attempts_max=1, topics=["order.paid"]))
    await staged(gateway, to, 1, 2, 3)
    store = Deliveries(pool=gateway.stores.hand_off)
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    receiver.answer = lambda _: DELIVERED
    assert len(await store.replay(target="wms", limit=2)) == 2
    assert len(await store.replay(target="wms")) == 1
    assert await store.replay(target="wms") == []
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    assert await store.replay(target="wms") == []
    assert sorted(message.order_no for message in receiver.taken) == ["W-1", "W-2", "W-3"]


async def test_what_may_not_be_handed_on_any_more_is_withdrawn(
    gateway: Gateway, ledger: Database
) -> None:
    receiver = Receiver()
    to = targets(opened(receiver, topics=["order.paid", "order.cancelling"]))
    await staged(gateway, to, 1)
    await tell(gateway, closed(cause="cancelled"), "evt_close")
    assert (await order(ledger))["status"] == "cancelling"
    await relay(gateway, to).round()
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    assert receiver.topics() == ["order.cancelling"]
    assert await attempts(ledger) == [
        ("order.paid", 1, "withdrawn", "the order is cancelling"),
        ("order.cancelling", 1, "delivered", None),
    ]


@pytest.mark.parametrize("accepts", ["answer", "callback", "never"])
async def test_an_answer_is_the_word_of_a_target_that_accepts_by_it(
    accepts: str, gateway: Gateway, ledger: Database
) -> None:
    woken: list[bool] = []
    to = targets(opened(Receiver(), topics=["order.paid"], accepts=accepts))
    await staged(gateway, to, 1)
    awaited = "SELECT count(*) FROM awaiting_acceptance"
    assert await ledger.fetchval(awaited) == (accepts != "never")
    async with running(dispatcher(gateway, to, on_accepted=lambda: woken.append(True))):
        await until(lambda: all_gone(ledger))
    stored = await order(ledger)
    assert (stored["accepted_at"] is not None) == bool(woken) == (accepts == "answer")
    assert await ledger.fetchval(awaited) == (accepts == "callback")


async def test_a_target_that_is_gone_is_disabled_and_keeps_what_waits(
    gateway: Gateway, ledger: Database
) -> None:
    receiver = Receiver(lambda _: SendResult("gone", 410, "answered 410"))
    to = targets(opened(receiver, attempts_max=1, topics=["order.paid"]))
    await staged(gateway, to, 1)
    store = Deliveries(pool=gateway.stores.hand_off)
    async with running(dispatcher(gateway, to)):
        await until(lambda: bool(receiver.attempts))
        await until(lambda: _is_disabled(store))
    await staged(gateway, to, 2)
    async with running(dispatcher(gateway, to)):
        await asyncio.sleep(0)
    (count,) = await store.counts()
    assert (count.pending, count.dead, len(receiver.attempts)) == (2, 0, 1)
    receiver.answer = lambda _: DELIVERED
    assert await store.enable("wms")
    assert not await store.enable("wms")
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    assert len(receiver.taken) == 2


async def _is_disabled(store: Deliveries) -> bool:
    return any(each.is_disabled for each in await store.counts())


@pytest.mark.parametrize("is_ended", [False, True])
async def test_what_a_killed_worker_claimed_is_delivered_by_another(
    is_ended: bool, gateway: Gateway, ledger: Database
) -> None:
    """Killed before it sent, or after and before it could store that."""
    receiver = Receiver()
    to = targets(opened(receiver, topics=["order.paid"]))
    await staged(gateway, to, 1)
    store = Deliveries(pool=gateway.stores.hand_off)
    (lost,) = (await store.claim("wms", gateway.new_id(), limit=9, lease_s=0.2)).deliveries
    if is_ended:
        receiver.attempts.append(_outbound(lost))
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    assert {message.event_id for message in receiver.attempts} == {lost.event_id}
    assert len(receiver.taken) == 1


def _outbound(delivery: Any) -> OutboundMessage:
    return OutboundMessage(
        event_id=delivery.event_id,
        topic=delivery.topic,
        occurred_at=delivery.occurred_at,
        order_id=delivery.order_id,
        order_no="W-1",
        channel="web",
        version=2,
        body=b"{}",
        attempt=1,
    )


async def test_what_another_claimed_meanwhile_is_not_failed_for_it(
    gateway: Gateway, ledger: Database
) -> None:
    to = targets(opened(Receiver(), topics=["order.paid"]))
    await staged(gateway, to, 1)
    store = Deliveries(pool=gateway.stores.hand_off)
    first, second = gateway.new_id(), gateway.new_id()
    (delivery,) = (await store.claim("wms", first, limit=9, lease_s=0)).deliveries
    assert (await store.claim("wms", second, limit=9, lease_s=60)).deliveries
    late = Attempt(delivery, 2, gateway.clock.now(), 5, "failed", 500, "late")
    await store.finish("wms", first, [late], is_accepting=False)
    state = await ledger.fetchrow("SELECT attempts, claimed_by, dead_at FROM deliveries")
    assert tuple(state) == (0, second, None)


async def test_a_sender_that_raises_is_a_failed_attempt(gateway: Gateway, ledger: Database) -> None:
    def broken(message: OutboundMessage) -> SendResult:
        if message.attempt == 1:
            raise ValueError("broken")
        return DELIVERED

    receiver = Receiver(broken)
    to = targets(opened(receiver, topics=["order.paid"]))
    await staged(gateway, to, 1)
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    assert [a[3] for a in await attempts(ledger)] == ["ValueError: see the log", None]
