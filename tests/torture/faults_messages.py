"""The messages are the fault: rows the ledger rejects, unreadable entries, and duplicate storms."""

import asyncio
import random
from collections.abc import Sequence

from loadtest import ledger_contents, orders, sending
from loadtest.history import History
from loadtest.ledger_contents import Stored
from loadtest.sending import Callback, Order
from loadtest.verify import Check
from ops.embedded.cluster import PRIMARY
from tests.torture.fault import Fault
from tests.torture.world import World

_POISONED = 50
_PREFIX = "poison"
#: A constraint that rejects some rows, like an error that no check has foreseen.
_REJECTING = (
    f"ALTER TABLE orders ADD CONSTRAINT poison CHECK (order_no NOT LIKE '{_PREFIX}%') NOT VALID"
)
_COPIES = 10
_OUTAGE_S = 1.5


class Poison(Fault):
    """Orders that the ledger rejects, alone and among good ones, live and at the drain.

    The journal also holds unreadable entries. All of them are parked, and nothing that is right
    waits for them.
    """

    name = "poison rows"
    sees = "tidegate_parked_total rises; `parked` lists the messages and the reasons."
    do = "Inspect each row of `parked`: it has the sealed body."
    expects_202 = True
    parks = frozenset({"poison"})
    lasts_s, quick_s = 4.0, 2.0
    refusals = frozenset({503})

    def __init__(self) -> None:
        #: Separate: these orders are parked and not stored.
        self._history = History()
        self._planted = 0

    async def strike(self, world: World) -> None:
        async with world.admin() as connection:
            await connection.execute(_REJECTING)
        await self._send(world, 0)
        await world.kill_server(PRIMARY)
        await asyncio.sleep(1.0)
        await self._send(world, _POISONED)
        async with world.journal() as client:
            streams = [key async for key in client.scan_iter("tidegate:*", _type="stream")]
            for stream in streams:
                await client.xadd(stream, {b"e": b"\xff not an envelope"})
                await client.xadd(stream, {b"nothing": b"known"})
        self._planted = 2 * len(streams)

    async def _send(self, world: World, first: int) -> None:
        made = [
            sending.order(orders.order(n, prefix=_PREFIX), self._history)
            for n in range(first, first + _POISONED)
        ]
        await asyncio.gather(*[world.crowd.send_until_answered(order) for order in made])

    async def mend(self, world: World) -> None:
        await world.restart_server(PRIMARY)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        answers = self._history.statuses()
        world.say(f"poison was answered {answers}; planted {self._planted} unreadable entries")
        parked = [(row.source.partition(":")[0], row.source_key) for row in found.parked]
        orders_parked = sum(source == "placed" for source, _ in parked)
        return [
            Check("poisonous orders parked once", 2 * _POISONED, orders_parked),
            Check("poisonous orders stored", 0, sum(map(_is_poison, found.orders))),
            Check("unreadable entries parked once", self._planted, len(parked) - orders_parked),
        ]


def _is_poison(row: ledger_contents.Order) -> bool:
    return row.order_no.startswith(_PREFIX)


class Storm(Fault):
    """A thousand messages ten times each, concurrently, to two gateways."""

    name = "duplicate storm"
    sees = "tidegate_remembered_total rises; the load of PostgreSQL hardly does."
    gateways = 2
    rate, senders = 5000.0, 4
    lasts_s = quick_s = 0.0
    refusals = frozenset()
    _concurrency = 64

    async def strike(self, world: World) -> None:
        messages = self._messages(world)
        total = len(messages)
        async with asyncio.TaskGroup() as storm:
            for _ in range(self._concurrency):
                storm.create_task(self._send(world, messages))
            await self.meanwhile(world, messages, total)

    async def _send(self, world: World, messages: list[Order | Callback]) -> None:
        while messages:
            await world.crowd.send_until_answered(messages.pop(), pause_s=0.1)

    async def meanwhile(self, world: World, messages: Sequence[object], total: int) -> None:
        """Do something else during the storm."""

    def _messages(self, world: World) -> list[Order | Callback]:
        history = world.shoppers.history
        messages: list[Order | Callback] = []
        for n in range(100 if world.is_quick else 500):
            account, channel = world.payers.pick(n)
            content = orders.order(n, prefix="storm", channel=channel)
            order = sending.order(content, history, request_id=f"storm-{n}" if n % 2 else "")
            payable = order.sent.payable
            messages += [order, sending.payment(order.sent, account, history, amount=payable)]
        messages *= _COPIES
        random.Random(world.rng.random()).shuffle(messages)
        return messages


class StormInOutage(Storm):
    """The same while PostgreSQL is killed and restarted: the journal recognises repeats too."""

    name = "duplicate storm, postgres killed amid"
    sees = "Repeats are answered 202 with the first id, or 200 once the ledger knows them."
    expects_202 = True
    refusals = frozenset({503})

    async def meanwhile(self, world: World, messages: Sequence[object], total: int) -> None:
        await self._until(messages, total * 3 // 4)
        await world.kill_server(PRIMARY)
        await self._until(messages, total // 4)
        await asyncio.sleep(_OUTAGE_S)
        await world.restart_server(PRIMARY)

    async def _until(self, messages: Sequence[object], left: int) -> None:
        while len(messages) > left:
            await asyncio.sleep(0.02)


FAULTS = (Poison(), Storm(), StormInOutage())
