"""Stories of Stripe by chance, beside a bookkeeper who adds up what was told.

An order is paid by one to three intents. Then each of them may be refunded in parts, refunds may
fail and be made again, and disputes go their ways. Everything arrives in any order, at times twice,
and the order itself at any point.
"""

import random
from decimal import Decimal

import asyncpg
import pytest

from tests.support.site import Site
from tests.web import stories
from tests.web.test_stripe_money import (  # noqa: F401 - accounts is used by its name
    DONE,
    FAILED,
    PAID,
    PATH,
    REFUNDED,
    Told,
    accounts,
    charge,
    dispute,
    intent,
    refund,
    session,
    signed,
)

SPLITS = ([2000], [1200, 800], [500, 700, 800])
WAYS = (
    ["needs_response"],
    ["needs_response", "won"],
    ["warning_needs_response", "warning_closed"],
    ["needs_response", "under_review", "lost"],
    ["needs_response", "lost", "won"],
)
#: All that is refunded of an intent, and all that is disputed, is less than half of it.
REFUNDS, DISPUTED = (50, 80, 100), (50, 120)
ROUNDS = 8


class Story:
    """What is told of one order, and what it comes to."""

    def __init__(self, chance: random.Random, n: str, order_no: str) -> None:
        self._chance = chance
        self._order_no = order_no
        self._minute = 10
        self.told: list[Told] = []
        self.back = self.failures = 0
        self.is_disputed = False
        for at, amount in enumerate(chance.choice(SPLITS)):
            number = f"{n}{'abc'[at]}"
            self._pay(number, amount, at)
            self._refund(number, amount)
            self._dispute(number)

    def _pay(self, n: str, amount: int, at: int) -> None:
        order_no = self._order_no
        self.told.append(Told(PAID, intent(n, order_no, amount), at))
        if self._chance.random() < 0.4:
            self.told.append(Told("charge.succeeded", charge(n, order_no, amount, 0), at))
        if self._chance.random() < 0.3:
            self.told.append(Told(DONE, session(n, order_no, amount), at))

    def _refund(self, n: str, amount: int) -> None:
        total, live = 0, list[tuple[str, int]]()
        for no in "xyz"[: self._chance.randrange(4)]:
            if live and self._chance.random() < 0.35:
                total -= self._fail(n, live)
            # Two refunds may be made in one second.
            self._minute += self._chance.randrange(2) if live else 1
            value = self._chance.choice(REFUNDS)
            total += value
            live.append((no, value))
            self._tell(REFUNDED, charge(n, self._order_no, amount, total))
            if self._chance.random() < 0.3:
                self._tell("refund.created", refund(n, no, value, "succeeded"))
        if live and self._chance.random() < 0.4:
            total -= self._fail(n, live)
        self.back += total

    def _fail(self, n: str, live: list[tuple[str, int]]) -> int:
        no, value = live.pop(self._chance.randrange(len(live)))
        self._minute += 1
        self.failures += 1
        self._tell(FAILED, refund(n, no, value, "failed"))
        if self._chance.random() < 0.5:
            self._tell("charge.refund.updated", refund(n, no, value, "failed"))
        self._minute += 1
        return value

    def _dispute(self, n: str) -> None:
        if self._chance.random() < 0.6:
            return
        amount, way = self._chance.choice(DISPUTED), self._chance.choice(WAYS)
        for status in way:
            self._minute += 1
            self._tell("charge.dispute.updated", dispute(n, amount, status))
        self.back += amount if way[-1] == "lost" else 0
        self.is_disputed |= way[-1] == "needs_response"

    def _tell(self, kind: str, snapshot: dict[str, object]) -> None:
        self.told.append(Told(kind, snapshot, self._minute))


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_a_story_by_chance_adds_up(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", seed: int
) -> None:
    for at in range(10):
        chance = random.Random(f"{seed} {at}")
        n, order_no = f"c{seed:02d}r{at:02d}", f"SC-{seed:02d}-{at:02d}"
        story = Story(chance, n, order_no)
        arrival = list(enumerate(story.told))
        chance.shuffle(arrival)
        placed_at = chance.randrange(len(arrival) + 1)
        for position, (number, told) in enumerate(arrival):
            if position == placed_at:
                await stories.place(site, order_no, "20.00", "USD")
            for _ in range(chance.choice((1, 1, 1, 1, 2))):
                await stories.post(site, PATH, signed(told, f"evt_{n}_{number}"))
        if placed_at == len(arrival):
            await stories.place(site, order_no, "20.00", "USD")
        back, hold = Decimal(story.back) / 100, "disputed" if story.is_disputed else None
        wanted = ("paid", hold, Decimal(20), back, ("refund_failed",) * story.failures, 0)
        assert await stories.outcome(ledger, order_no, n) == wanted, (arrival, placed_at)
