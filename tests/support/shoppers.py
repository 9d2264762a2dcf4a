"""Concurrent senders of orders and their payments, a tenth of them twice."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

from loadtest import orders, sending
from loadtest.history import History
from loadtest.sending import Callback, Order, Sender
from tests.support.payers import Payers

REPEATED = 0.10
EARLY = 0.05


class Shoppers:
    """Each sender takes the next order and sends its messages, each until it is answered.

    With ``stops_at_failure`` a sender ends at the first message that is not acknowledged.
    """

    def __init__(
        self, *, payers: Payers, sender: Sender, seed: int, stops_at_failure: bool = False
    ) -> None:
        self.history = History()
        self._payers = payers
        self._sender = sender
        self._rng = random.Random(seed)
        self._stops_at_failure = stops_at_failure
        self._numbers: Iterator[int] = count()
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def shopping(self, senders: int) -> AsyncIterator[None]:
        """Run so many senders during the block; at its end each finishes its order."""
        async with asyncio.TaskGroup() as running:
            for _ in range(senders):
                running.create_task(self._shop())
            yield
            self._stopping.set()

    async def _shop(self) -> None:
        while not self._stopping.is_set():
            for message in self._next():
                twice = self._rng.random() < REPEATED
                for _ in range(2 if twice else 1):
                    if not await self._send(message):
                        return

    async def _send(self, message: Order | Callback) -> bool:
        if self._stops_at_failure:
            return (await self._sender.send(message)).is_promise
        await self._sender.send_until_answered(message, pause_s=0.1)
        return True

    def _next(self) -> list[Order | Callback]:
        n = next(self._numbers)
        account, channel = self._payers.pick(n)
        order = sending.order(
            orders.order(n, prefix="shop", channel=channel),
            self.history,
            request_id=f"checkout-{n}" if n % 2 else "",
        )
        payment = sending.payment(order.sent, account, self.history, amount=order.sent.payable)
        is_early = self._rng.random() < EARLY
        return [payment, order] if is_early else [order, payment]
