"""The live inventory: asked while an order comes in, if there is time, and never in its way.

An order is taken all the same where nobody can be asked: too much load, an inventory that does
not answer in time, or too many questions at once. Then it is marked, for somebody to look later.
"""

import asyncio
import random
from collections.abc import Collection
from typing import Protocol

from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.domain.features import INVENTORY_CHECK, Feature
from gateway.domain.orders import Submission
from gateway.domain.placing import Stock
from gateway.intake import metrics
from gateway.runtime.circuit_breaker import CircuitBreaker
from gateway.runtime.clock import Clock

#: Questions at once: what waits for an inventory holds memory, and an order.
CALLS_MAX = 64
_NONE: frozenset[str] = frozenset()


class Inventory(Protocol):
    """Who knows what is there."""

    async def missing(self, submission: Submission) -> Collection[str]:
        """The SKUs of an order that can not be had. Raises ``Unavailable``."""
        ...


class Shedding(Protocol):
    """What sheds parts of requests under load."""

    def skips(self, feature: Feature) -> bool:
        """Whether this part of a request is to be left out now; that is counted."""
        ...


class Answer(Struct, frozen=True):
    """What came of asking; ``missing`` has the SKUs that can not be had."""

    stock: Stock
    missing: frozenset[str] = _NONE


_UNCHECKED = Answer("unchecked")


def breaker() -> CircuitBreaker:
    """Make the breaker of an inventory: half of ten calls in ten seconds open it."""
    return CircuitBreaker(
        window_s=10.0,
        calls_min=10,
        failed_share=0.5,
        open_s=2.0,
        open_s_max=60.0,
        probes=2,
        probe_s=5.0,
        jitter=random.random,
    )


class StockCheck:
    """Asks the inventory about an order, within ``call_s`` seconds."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        overload: Shedding,
        breaker: CircuitBreaker,
        clock: Clock,
        call_s: float,
    ) -> None:
        self._inventory = inventory
        self._overload = overload
        self._breaker = breaker
        self._clock = clock
        self._call_s = call_s
        self._asking = 0

    async def ask(self, submission: Submission) -> Answer:
        """Return what the inventory says of an order; ``unchecked`` where it could not be asked."""
        outcome, answer = await self._ask(submission)
        metrics.STOCK.labels(outcome).inc()
        return answer

    async def _ask(self, submission: Submission) -> tuple[str, Answer]:
        if self._overload.skips(INVENTORY_CHECK):
            return "dark", _UNCHECKED
        if self._asking >= CALLS_MAX:
            return "busy", _UNCHECKED
        permit = self._breaker.ask(self._clock.monotonic_s())
        if permit is None:
            return "away", _UNCHECKED
        self._asking += 1
        try:
            with metrics.STOCK_S.time():
                async with asyncio.timeout(self._call_s):
                    missing = frozenset(await self._inventory.missing(submission))
        except (Unavailable, TimeoutError):
            permit.fail(self._clock.monotonic_s())
            return "failed", _UNCHECKED
        except BaseException:
            # Whoever asked has left, which says nothing of the inventory.
            permit.withdraw()
            raise
        finally:
            self._asking -= 1
        permit.succeed(self._clock.monotonic_s())
        ordered = {item.sku for item in submission.items}
        # Of what it says only what was asked for: anything else is not ours to refuse.
        if found := missing & ordered:
            return "missing", Answer("missing", found)
        return "checked", Answer("checked")
