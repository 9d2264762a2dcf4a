"""Concurrent senders that never give up: orders, their payments, a tenth of all of it again."""

import asyncio
import random
from collections.abc import Iterator
from itertools import count

from loadtest import orders, sending
from loadtest.history import History
from loadtest.sending import Callback, Order, Sender
from tests.support.payers import Payers

REPEATED = 0.10
EARLY = 0.05


class Shoppers:
    """Each takes the next order, sends what is about it until it is answered, and goes on."""

    def __init__(self, *, payers: Payers, sender: Sender, seed: int, prefix: str = "shop") -> None:
        self.history = History()
        self._payers = payers
        self._sender = sender
        self._rng = random.Random(seed)
        self._prefix = prefix
        self._numbers: Iterator[int] = count()
        self._stopping = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []

    def start(self, senders: int) -> None:
        """Let so many of them loose."""
        self._running = [asyncio.create_task(self._shop()) for _ in range(senders)]

    async def stop(self) -> None:
        """Let everyone finish what was begun. Raises what went wrong in any of them."""
        self._stopping.set()
        await asyncio.gather(*self._running)

    @property
    def answered(self) -> int:
        """Orders and callbacks that were acknowledged so far."""
        promises = [order.answers for order in self.history.orders.values()]
        promises += [callback.answers for callback in self.history.callbacks]
        return sum(any(answer.is_promise for answer in answers) for answers in promises)

    async def _shop(self) -> None:
        while not self._stopping.is_set():
            for act in self._next():
                await self._sender.send_until_answered(act, pause_s=0.1)
                if self._rng.random() < REPEATED:
                    await self._sender.send_until_answered(act, pause_s=0.1)

    def _next(self) -> list[Order | Callback]:
        n = next(self._numbers)
        account, channel = self._payers.pick(n)
        order = sending.order(
            orders.order(n, prefix=self._prefix, channel=channel),
            self.history,
            request_id=f"checkout-{n}" if n % 2 else "",
        )
        payment = sending.payment(order.sent, account, self.history, amount=order.sent.payable)
        is_early = self._rng.random() < EARLY
        return [payment, order] if is_early else [order, payment]
