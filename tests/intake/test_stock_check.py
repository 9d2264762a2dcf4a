"""Asking for the stock: what is taken unchecked, what is rejected, what opens the breaker."""

import asyncio
from collections.abc import Collection

import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.orders import Submission
from gateway.intake import stock_check
from gateway.intake.stock_check import CALLS_MAX, StockCheck
from tests.domain.support import submission
from tests.support.fakes.clock import ManualClock


class FakeInventory:
    def __init__(self) -> None:
        self.answer: Collection[str] | Exception = ()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0

    async def missing(self, submission: Submission) -> Collection[str]:
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class FakeShedding:
    is_shed = False

    def skips(self, feature: object) -> bool:
        return self.is_shed


class Site:
    def __init__(self, call_s: float = 5.0) -> None:
        self.inventory = FakeInventory()
        self.shedding = FakeShedding()
        self.clock = ManualClock()
        self.check = StockCheck(
            inventory=self.inventory,
            shedding=self.shedding,
            breaker=stock_check.breaker(),
            clock=self.clock,
            call_s=call_s,
        )

    async def ask(self) -> tuple[str, frozenset[str]]:
        answer = await self.check.ask(submission())
        return answer.stock, answer.missing


SKU = submission().items[0].sku


async def test_what_is_all_there_is_checked_and_what_is_not_is_named() -> None:
    site = Site()
    assert await site.ask() == ("checked", frozenset())
    site.inventory.answer = [SKU, "something else"]
    assert await site.ask() == ("missing", frozenset({SKU}))


async def test_of_what_was_not_ordered_nothing_is_missed() -> None:
    site = Site()
    site.inventory.answer = ["something else"]
    assert await site.ask() == ("checked", frozenset())


async def test_while_shed_the_inventory_is_not_called() -> None:
    site = Site()
    site.shedding.is_shed = True
    assert await site.ask() == ("unchecked", frozenset())
    assert site.inventory.asked == 0


async def test_who_does_not_answer_in_time_holds_up_nothing() -> None:
    site = Site(call_s=0.01)
    site.inventory.gate.clear()
    assert await site.ask() == ("unchecked", frozenset())


async def test_an_inventory_that_fails_is_left_alone_and_found_again() -> None:
    site = Site()
    site.inventory.answer = Unavailable("inventory")
    for _ in range(30):
        assert (await site.ask())[0] == "unchecked"
    assert site.inventory.asked == 10
    site.inventory.answer = ()
    site.clock.at_s += 5.0
    assert await site.ask() == ("checked", frozenset())
    assert await site.ask() == ("checked", frozenset())
    assert site.inventory.asked == 12


async def test_those_who_leave_say_nothing_of_the_inventory() -> None:
    site = Site()
    site.inventory.gate.clear()
    for _ in range(30):
        asking = asyncio.create_task(site.check.ask(submission()))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    site.inventory.gate.set()
    assert await site.ask() == ("checked", frozenset())


async def test_only_so_many_ask_at_once() -> None:
    site = Site()
    site.inventory.gate.clear()
    asking = [asyncio.create_task(site.check.ask(submission())) for _ in range(CALLS_MAX)]
    await asyncio.sleep(0)
    assert await site.ask() == ("unchecked", frozenset())
    assert site.inventory.asked == CALLS_MAX
    site.inventory.gate.set()
    assert {answer.stock for answer in await asyncio.gather(*asking)} == {"checked"}
