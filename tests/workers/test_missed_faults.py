"""The list of missed orders is right whatever the warehouse, its answers and the order come to."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain import events
from gateway.domain.handoff import OutboundMessage, SendResult
from gateway.domain.missed import AcceptingTarget, MissedOrder
from gateway.stores.postgres.deliveries import Deliveries
from gateway.stores.postgres.missed_orders import MissedOrders, Wanted
from gateway.wiring import Gateway
from tests.domain.support import NOW, closed, due, paid, refunded, shipped
from tests.stores.support import Database, order, rows, submit, tell
from tests.support.patience import until
from tests.workers.handoff import DELIVERED, FAILED, Receiver, dispatcher, opened, relay, targets
from tests.workers.handoff import running as running_tasks
from workers.dispatcher import Dispatcher
from workers.relay import Relay

#: An order is missed as soon as it was told, so that no test has to wait.
AT_ONCE = AcceptingTarget("wms", timedelta(0))
PENDING = "SELECT count(*) FROM deliveries WHERE dead_at IS NULL"
NO_ANSWER = SendResult("failed", None, "no answer in 10 s")


class Warehouse(Receiver):
    """A warehouse of one target, with the workers that tell it."""

    def __init__(self, gateway: Gateway, ledger: Database, accepts: str, **changes: Any) -> None:
        super().__init__()
        self.gateway, self.ledger = gateway, ledger
        self.to = targets(
            opened(self, accepts=accepts, topics=["order.paid"], **{"attempts_max": 1} | changes)
        )
        self.store = MissedOrders(pool=gateway.stores.primary)

    @property
    def relaying(self) -> Relay:
        return relay(self.gateway, self.to)

    @property
    def dispatching(self) -> Dispatcher:
        return dispatcher(self.gateway, self.to)

    async def pay(self, n: int = 1) -> None:
        """Place and pay ``W-n`` and have the warehouse told so, until nothing is pending."""
        await self.relaying.round()
        await submit(self.gateway, due(n, order_no=f"W-{n}"))
        await tell(self.gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"))
        await self.settle()

    async def settle(self) -> None:
        """Relay, and dispatch until nothing is pending."""
        await self.relaying.round()
        async with self.running():
            await until(self._is_idle)

    async def _is_idle(self) -> bool:
        return bool(await self.ledger.fetchval(PENDING) == 0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with running_tasks(self.dispatching):
            yield

    async def accept(self, n: int = 1, *, minute: int = 6, reference: str = "") -> str:
        """Say by a callback that it has the order; return what that came to."""
        at = NOW + timedelta(minutes=minute)
        event = events.Accepted(f"W-{n}", "wms", reference, at)
        return (await tell(self.gateway, event)).outcome

    async def missed(self) -> list[MissedOrder]:
        return await self.store.page([AT_ONCE], Wanted(), datetime.now(UTC))

    async def listed(self) -> list[tuple[str, str]]:
        return [(each.order_no, each.standing) for each in await self.missed()]

    async def push(self) -> int:
        pushed = await self.store.push(await self.missed(), actor="anna")
        return len(pushed)

    def ids(self) -> set[Any]:
        """Return the event ids of all attempts."""
        return {message.event_id for message in self.attempts}


Make = Callable[..., Warehouse]


@pytest.fixture
def warehouse(gateway: Gateway, ledger: Database) -> Make:
    def made(accepts: str = "callback", **changes: Any) -> Warehouse:
        return Warehouse(gateway, ledger, accepts, **changes)

    return made


async def test_its_answer_is_lost_and_it_gets_the_same_event_again(warehouse: Make) -> None:
    """It has the order. Its 2xx never came: only the event id tells it that it is no second one."""
    wms = warehouse("answer")
    wms.answer = lambda _: NO_ANSWER
    await wms.pay()
    assert await wms.listed() == [("W-1", "dead letter")]
    assert (await wms.missed())[0].last_reason == "no answer in 10 s"
    wms.answer = lambda _: DELIVERED
    assert await wms.push() == 1
    await wms.settle()
    assert (len(wms.attempts), len(wms.ids())) == (2, 1)
    assert await wms.listed() == []
    assert (await order(wms.ledger))["accepted_at"] is not None


async def test_its_answer_is_lost_and_its_own_word_comes(warehouse: Make) -> None:
    """Delivered or not: what it says counts."""
    wms = warehouse()
    wms.answer = lambda _: NO_ANSWER
    await wms.pay()
    assert await wms.accept() == "applied"
    assert await wms.listed() == []
    assert await wms.push() == 0


async def test_it_answers_and_its_word_is_lost(warehouse: Make) -> None:
    wms = warehouse()
    await wms.pay()
    assert await wms.listed() == [("W-1", "delivered")]
    assert await wms.push() == 1
    assert await wms.listed() == [("W-1", "pending")]
    await wms.settle()
    assert (len(wms.taken), len(wms.ids())) == (2, 1)
    assert await wms.accept() == "applied"
    assert await wms.listed() == []


async def test_it_accepts_late_twice_and_in_the_wrong_sequence(warehouse: Make) -> None:
    wms = warehouse()
    await wms.pay()
    assert len(await wms.missed()) == 1
    assert await wms.accept(minute=9, reference="WMS-2") == "applied"
    assert await wms.accept(minute=9, reference="WMS-2") == "repeat"
    assert await wms.accept(minute=8, reference="WMS-1") == "applied"
    assert await wms.listed() == []
    stored = await order(wms.ledger)
    assert (stored["version"], stored["accepted_at"]) == (4, NOW + timedelta(minutes=8))
    topics = [topic for (topic,) in await rows(wms.ledger, "outbox", "topic")]
    assert topics == ["order.accepted"] * 2


async def test_it_accepts_before_the_payment_is_known(warehouse: Make, gateway: Gateway) -> None:
    wms = warehouse()
    await wms.relaying.round()
    await submit(gateway, due(1, order_no="W-1"))
    assert await wms.accept() == "waiting"
    await tell(gateway, paid())
    await wms.settle()
    assert await wms.listed() == []
    assert (await order(wms.ledger))["accepted_at"] is not None


async def test_by_its_answer_it_accepts_at_once_and_nothing_is_missed(warehouse: Make) -> None:
    wms = warehouse("answer")
    for n in range(1, 6):
        await wms.pay(n)
    assert await wms.listed() == []
    assert await wms.ledger.fetchval("SELECT count(*) FROM awaiting_acceptance") == 0
    assert await wms.ledger.fetchval("SELECT count(*) FROM orders WHERE accepted_at > now()") == 0
    assert await wms.ledger.fetchval("SELECT count(accepted_at) FROM orders") == 5


async def test_it_is_down_and_comes_back(warehouse: Make) -> None:
    wms = warehouse("answer", attempts_max=3)
    wms.answer = lambda _: FAILED
    for n in (1, 2, 3):
        await wms.pay(n)
    assert await wms.listed() == [(f"W-{n}", "dead letter") for n in (1, 2, 3)]
    wms.answer = lambda _: DELIVERED
    assert await wms.push() == 3
    await wms.settle()
    assert await wms.listed() == []
    # Each once more than it was tried, under its one id.
    assert (len(wms.attempts), len(wms.ids())) == (12, 3)


async def test_it_is_disabled_and_nothing_is_sent_until_it_is_enabled(warehouse: Make) -> None:
    wms = warehouse("answer")
    wms.answer = lambda _: SendResult("gone", 410, "answered 410")
    await wms.relaying.round()
    await submit(wms.gateway, due(1, order_no="W-1"))
    await tell(wms.gateway, paid())
    await wms.relaying.round()
    deliveries = Deliveries(pool=wms.gateway.stores.hand_off)

    async def is_disabled() -> bool:
        return any(each.is_disabled for each in await deliveries.counts())

    async with wms.running():
        await until(is_disabled)
    assert [each.is_disabled for each in await wms.missed()] == [True]
    assert await wms.push() == 0
    wms.answer = lambda _: DELIVERED
    await deliveries.enable("wms")
    await wms.push()
    await wms.settle()
    assert await wms.listed() == []


@pytest.mark.parametrize(
    "event",
    [
        closed("cancelled"),
        refunded(),
        shipped(),
        events.HeldByPerson("W-1", "looked at", NOW),
    ],
    ids=["cancelled", "refunded", "shipped", "held"],
)
@pytest.mark.parametrize("is_told", [True, False])
async def test_what_became_of_the_order_meanwhile(
    warehouse: Make, event: events.Event, is_told: bool
) -> None:
    """Neither listed nor pushed, whether the warehouse was told before or after."""
    wms = warehouse()
    if is_told:
        await wms.pay()
    else:
        await wms.relaying.round()
        await submit(wms.gateway, due(1, order_no="W-1"))
        await tell(wms.gateway, paid())
    await tell(wms.gateway, event)
    await wms.settle()
    assert await wms.listed() == []
    assert await wms.push() == 0
    has_gone = isinstance(event, events.Closed | events.RefundSucceeded | events.HeldByPerson)
    assert [message.topic for message in wms.taken] == (
        [] if has_gone and not is_told else ["order.paid"]
    )


async def test_a_hold_ends_and_the_waiting_begins_anew(warehouse: Make) -> None:
    wms = warehouse()
    await wms.pay()
    first = (await wms.missed())[0]
    await tell(wms.gateway, events.HeldByPerson("W-1", "looked at", NOW))
    await wms.store.forget_settled([AT_ONCE], datetime.now(UTC), 10)
    await tell(wms.gateway, events.Released("W-1", "fine", NOW + timedelta(seconds=1)))
    await wms.settle()
    (again,) = await wms.missed()
    assert again.event_id != first.event_id
    assert again.since > first.since
    assert [message.event_id for message in wms.taken] == [first.event_id, again.event_id]


async def test_its_word_from_before_the_hold_counts_after_it(warehouse: Make) -> None:
    wms = warehouse()
    await wms.pay()
    await wms.accept()
    await tell(wms.gateway, events.HeldByPerson("W-1", "looked at", NOW))
    await tell(wms.gateway, events.Released("W-1", "fine", NOW + timedelta(seconds=1)))
    await wms.settle()
    assert len(wms.taken) == 2
    assert await wms.listed() == []


async def test_a_push_while_it_is_being_told_sends_nothing_twice(warehouse: Make) -> None:
    """Whoever has the claim goes on; the push finds nothing to do."""
    wms = warehouse("answer")
    pushed: list[int] = []

    async def slow(message: OutboundMessage) -> SendResult:
        pushed.append(await wms.push())
        return DELIVERED

    wms.answer = slow
    await wms.pay()
    assert (pushed, len(wms.attempts)) == ([0], 1)
    assert await wms.listed() == []
