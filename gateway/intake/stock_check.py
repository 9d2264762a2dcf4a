"""The check of an order against the live inventory, while the order comes in.

It never keeps an order out by failing: under load, with an inventory that does not answer in
time, or with too many checks at once, the order is accepted and marked ``unchecked``.
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

#: Checks at once: each that waits for the inventory holds memory, and an order.
CALLS_MAX = 64
_NONE: frozenset[str] = frozenset()


class Inventory(Protocol):
    """What knows the stock."""

    async def missing(self, submission: Submission) -> Collection[str]:
        """Return the SKUs of an order that are out of stock. Raises ``Unavailable``."""
        ...


class Shedding(Protocol):
    """What sheds parts of requests under load."""

    def skips(self, feature: Feature) -> bool:
        """Return whether this part of a request is shed now; that is counted."""
        ...


class Answer(Struct, frozen=True):
    """The result of a check; ``missing`` has the SKUs that are out of stock."""

    stock: Stock
    missing: frozenset[str] = _NONE


_UNCHECKED = Answer("unchecked")


def breaker() -> CircuitBreaker:
    """Return the circuit breaker of an inventory: half of ten calls in ten seconds open it."""
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
    """Checks orders against the inventory, each within ``call_s`` seconds."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        shedding: Shedding,
        breaker: CircuitBreaker,
        clock: Clock,
        call_s: float,
    ) -> None:
        self._inventory = inventory
        self._shedding = shedding
        self._breaker = breaker
        self._clock = clock
        self._call_s = call_s
        self._asking = 0

    @property
    def is_away(self) -> bool:
        """Whether the inventory is not asked now because too many calls failed."""
        return self._breaker.state == "open"

    async def ask(self, submission: Submission) -> Answer:
        """Return what the inventory reports of an order; ``unchecked`` where it did not answer."""
        outcome, answer = await self._ask(submission)
        metrics.STOCK.labels(outcome).inc()
        return answer

    async def _ask(self, submission: Submission) -> tuple[str, Answer]:
        if self._shedding.skips(INVENTORY_CHECK):
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
            # The caller was cancelled, which says nothing about the inventory.
            permit.withdraw()
            raise
        finally:
            self._asking -= 1
        permit.succeed(self._clock.monotonic_s())
        ordered = {item.sku for item in submission.items}
        # Only SKUs of this order count: others in the reply are no reason to reject it.
        if found := missing & ordered:
            return "missing", Answer("missing", found)
        return "checked", Answer("checked")
