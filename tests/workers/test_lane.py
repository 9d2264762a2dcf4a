"""A lane: its bounds, its breaker, and what a reload changes of it."""

import asyncio

import msgspec
import pytest
from prometheus_client import REGISTRY

from gateway.domain.errors import Unavailable
from gateway.domain.handoff import OutboundMessage, SendResult
from gateway.runtime.settings import Settings
from gateway.stores.postgres.deliveries import Deliveries
from gateway.wiring import Gateway
from tests.stores.support import Database
from tests.support.patience import until
from tests.workers.handoff import (
    DELIVERED,
    FAILED,
    Receiver,
    dispatcher,
    opened,
    running,
    target,
    targets,
)
from tests.workers.test_dispatcher import all_gone, attempts, staged
from workers import lane
from workers.handoff_gauges import HandOffGauges
from workers.reload import WorkerConfiguration
from workers.rounds import Rounds
from workers.targets import Targets


async def never(_: OutboundMessage) -> SendResult:
    await asyncio.Event().wait()
    return DELIVERED


async def test_a_sender_that_does_not_end_in_time_is_abandoned(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_MARGIN_S", 0.01)
    monkeypatch.setattr(lane, "_POLL_S", 0.01)
    receiver = Receiver(never)
    to = targets(opened(receiver, topics=["order.paid"], call_s=0.05, attempts_max=1))
    await staged(gateway, to, 1)
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    assert await attempts(ledger) == [("order.paid", 1, "failed", "no answer in time")]


async def test_while_a_target_is_away_nobodys_attempts_are_used_up(
    gateway: Gateway, ledger: Database
) -> None:
    """Ten failures open the breaker; then a few at a time find out whether it is back."""
    receiver = Receiver(lambda _: FAILED)
    to = targets(
        opened(
            receiver, topics=["order.paid"], in_flight_max=10, attempts_max=100,
            retry_first_s=0.001, retry_max_s=0.001,
        )
    )  # fmt: skip
    await staged(gateway, to, *range(1, 31))
    async with running(dispatcher(gateway, to)):
        await until(lambda: len(receiver.attempts) >= 10)
        await asyncio.sleep(0.5)
        # Without a breaker each of the thirty would have been tried many times by now.
        assert len(receiver.attempts) < 30
        receiver.answer = lambda _: DELIVERED
        await until(lambda: all_gone(ledger))
    assert len(receiver.taken) == 30


async def test_what_is_being_sent_when_a_worker_stops_is_finished(
    gateway: Gateway, ledger: Database
) -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def slowly(_: OutboundMessage) -> SendResult:
        began.set()
        await go.wait()
        return DELIVERED

    receiver = Receiver(slowly)
    to = targets(opened(receiver, topics=["order.paid"]))
    await staged(gateway, to, 1)
    stopping = asyncio.Event()
    task = asyncio.create_task(dispatcher(gateway, to).run(stopping))
    await began.wait()
    stopping.set()
    await asyncio.sleep(0)
    go.set()
    await task
    assert receiver.is_closed
    assert await all_gone(ledger)


async def test_what_cannot_be_read_is_given_back(gateway: Gateway, ledger: Database) -> None:
    class Away:
        async def read(self, *_: object, **__: object) -> dict[object, object]:
            raise Unavailable("postgres")

    to = targets(opened(Receiver(), topics=["order.paid"]))
    await staged(gateway, to, 1)
    dispatching = dispatcher(gateway, to)
    dispatching._orders = Away()  # type: ignore[assignment]
    async with running(dispatching):
        await until(lambda: bool(dispatching._rounds.fault()))
    state = await ledger.fetchrow(
        "SELECT attempts, claimed_by, due_at <= now() AS is_due FROM deliveries"
    )
    assert tuple(state) == (0, None, True)


async def test_sealed_fields_that_do_not_open_are_not_sent_without(
    gateway: Gateway, ledger: Database
) -> None:
    receiver = Receiver()
    to = targets(opened(receiver, topics=["order.paid"], has_private=True, attempts_max=1))
    await staged(gateway, to, 1)
    await ledger.execute("UPDATE orders SET private = '\\x01'")
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    assert not receiver.attempts
    reason = "the order cannot be read whole: see the log"
    assert await attempts(ledger) == [("order.paid", 1, "failed", reason)]


@pytest.mark.parametrize(
    "damage",
    ["""items = '[{"quantity": 1}]'""", """items[0]['unit_price'] = '"x"'"""],
)
async def test_an_order_that_cannot_be_read_stops_no_other(
    damage: str, gateway: Gateway, ledger: Database
) -> None:
    receiver = Receiver()
    to = targets(opened(receiver, topics=["order.paid"], attempts_max=1))
    await staged(gateway, to, 1, 2)
    await ledger.execute(f"UPDATE orders SET {damage} WHERE order_no = 'W-1'")
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    assert [message.order_no for message in receiver.taken] == ["W-2"]
    assert await ledger.fetchval("SELECT reason FROM deliveries WHERE dead_at IS NOT NULL")


async def test_a_reload_brings_targets_changes_them_and_takes_them_away(
    gateway: Gateway, ledger: Database
) -> None:
    made: list[Receiver] = []

    def make(_: object) -> Receiver:
        made.append(Receiver())
        return made[-1]

    loaded: list[Settings] = []
    to = Targets({})
    configuration = WorkerConfiguration(
        settings=gateway.settings,
        policies=gateway.policies,
        rules=gateway.rules,
        targets=to,
        signal=gateway.outbox_signal,
        make_sender=make,
        load=lambda: loaded[-1],
    )

    def reload(*each: object) -> str:
        loaded.append(msgspec.structs.replace(gateway.settings, targets=list(each)))
        return configuration.apply(configuration.read()).text()

    wms = target(topics=["order.paid"], kind="redis_stream", url="redis://one")
    async with running(dispatcher(gateway, to)):
        assert reload(wms) == "targets + wms"
        assert gateway.outbox_signal.is_on
        await staged(gateway, to, 1)
        await until(lambda: all_gone(ledger))
        # The same again: its sender stays.
        assert reload(wms) == "nothing"
        assert len(made) == 1
        other = msgspec.structs.replace(wms, url="redis://other")
        assert reload(other) == "targets ~ wms (url)"
        await until(lambda: made[0].is_closed)
        await staged(gateway, to, 2)
        await until(lambda: all_gone(ledger))
        assert reload() == "targets - wms"
        await until(lambda: made[1].is_closed)
        assert not gateway.outbox_signal.is_on
    assert [len(each.taken) for each in made] == [1, 1]


async def test_a_count_shows_what_waits_and_what_is_dead(
    gateway: Gateway, ledger: Database
) -> None:
    receiver = Receiver(lambda _: FAILED)
    to = targets(opened(receiver, attempts_max=1, topics=["order.paid"]))
    await staged(gateway, to, 1)
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    await staged(gateway, to, 2)
    store = Deliveries(pool=gateway.stores.hand_off)
    (count,) = await store.counts()
    assert (count.name, count.is_disabled, count.pending, count.dead) == ("wms", False, 1, 1)
    assert count.pending_oldest_s > 0
    assert await store.outbox() == (0, 0.0)


async def test_of_a_target_that_is_forgotten_no_figure_is_left(
    gateway: Gateway, ledger: Database
) -> None:
    await staged(gateway, targets(opened(Receiver(), "old-wms")), 1)
    gauges = HandOffGauges(
        deliveries=Deliveries(pool=gateway.stores.hand_off),
        rounds=Rounds(task="deliveries", clock=gateway.clock, overdue_s=60.0),
    )

    def pending() -> float | None:
        return REGISTRY.get_sample_value("tidegate_deliveries_pending", {"target": "old-wms"})

    await gauges.round()
    assert pending() == 2
    await ledger.execute("DELETE FROM targets")
    await gauges.round()
    assert pending() is None


async def test_a_message_whose_claim_is_over_is_not_sent(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process stood still between the claim and the sending: another has it by now."""
    monkeypatch.setattr(lane, "_PREPARE_S", -60.0)
    receiver = Receiver()
    to = targets(opened(receiver, topics=["order.paid"]))
    await staged(gateway, to, 1)
    async with running(dispatcher(gateway, to)):
        await until(lambda: _is_claimed(ledger))
    assert not receiver.attempts
    monkeypatch.undo()
    async with running(dispatcher(gateway, to)):
        await until(lambda: all_gone(ledger))
    assert len(receiver.taken) == 1


async def _is_claimed(ledger: Database) -> bool:
    return await ledger.fetchval("SELECT claimed_by IS NOT NULL FROM deliveries") is True
