"""The hand-off in a few words: a relay, dispatchers, and receivers that answer as a test likes."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec

from gateway.domain.handoff import OutboundMessage, SendResult
from gateway.runtime.settings_targets import Target
from gateway.stores.postgres.deliveries import Deliveries
from gateway.stores.postgres.orders_to_tell import OrdersToTell
from gateway.stores.postgres.relay import RelayStore
from gateway.wiring import Gateway
from tests.support.patience import HANG_S
from workers.dispatcher import Dispatcher
from workers.relay import Relay
from workers.rounds import Rounds
from workers.targets import OpenTarget, Targets

DELIVERED = SendResult("delivered", 200)
FAILED = SendResult("failed", 500, "answered 500")

Answer = Callable[[OutboundMessage], SendResult | Awaitable[SendResult]]


class Receiver:
    """A target that records what it is sent, and answers as ``answer`` says."""

    def __init__(self, answer: Answer = lambda _: DELIVERED) -> None:
        self.answer = answer
        #: Every attempt, and those that it took.
        self.attempts: list[OutboundMessage] = []
        self.taken: list[OutboundMessage] = []
        self.is_closed = False

    async def send(self, message: OutboundMessage) -> SendResult:
        self.attempts.append(message)
        result = self.answer(message)
        if not isinstance(result, SendResult):
            result = await result
        if result.outcome == "delivered":
            self.taken.append(message)
        return result

    async def close(self) -> None:
        self.is_closed = True

    def topics(self) -> list[str]:
        return [message.topic for message in self.taken]

    def bodies(self) -> list[Any]:
        return [msgspec.json.decode(message.body) for message in self.taken]


def failing_at_random(share: float, seed: int) -> Answer:
    """Answer so that this share of the attempts fails."""
    chance = random.Random(seed)
    return lambda _: FAILED if chance.random() < share else DELIVERED


def target(name: str = "wms", **changes: Any) -> Target:
    """Return a target that is quick to try again."""
    fields: dict[str, Any] = {
        "kind": "webhook",
        "url": "https://wms.example.com/",
        "retry_first_s": 0.01,
        "retry_max_s": 0.05,
        "call_s": 5.0,
    }
    return Target(name=name, **{**fields, **changes})


def opened(receiver: Receiver, name: str = "wms", **changes: Any) -> OpenTarget:
    return OpenTarget(target(name, **changes), (), receiver)


def targets(*each: OpenTarget) -> Targets:
    return Targets({one.target.name: one for one in each})


def relay(gateway: Gateway, to: Targets, wake: Callable[[str], None] = lambda _: None) -> Relay:
    return Relay(
        store=RelayStore(pool=gateway.stores.primary),
        targets=to,
        woken=asyncio.Event(),
        wake=wake,
        clock=gateway.clock,
        rounds=Rounds(task="relay", clock=gateway.clock, overdue_s=60.0),
    )


def dispatcher(
    gateway: Gateway,
    to: Targets,
    *,
    claimant: UUID | None = None,
    on_accepted: Callable[[], None] = lambda: None,
    drain_s: float = 5.0,
) -> Dispatcher:
    pool = gateway.stores.hand_off
    return Dispatcher(
        targets=to,
        deliveries=Deliveries(pool=pool),
        orders=OrdersToTell(pool=pool, sealer=gateway.stores.sealer),
        claimant=claimant or gateway.new_id(),
        clock=gateway.clock,
        rounds=Rounds(task="dispatcher", clock=gateway.clock, overdue_s=60.0),
        drain_s=drain_s,
        on_accepted=on_accepted,
    )


@asynccontextmanager
async def running(*tasks: Any) -> AsyncIterator[None]:
    """Run tasks of a worker; they end without an error afterwards."""
    stopping = asyncio.Event()
    started = [asyncio.create_task(task.run(stopping)) for task in tasks]
    try:
        yield
    finally:
        stopping.set()
        async with asyncio.timeout(HANG_S):
            await asyncio.gather(*started)
