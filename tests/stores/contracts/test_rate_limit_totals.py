"""Totals of rate limits: summed over all callers, never further ahead than they can be."""

import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import pytest

from gateway.domain.errors import Unavailable
from gateway.overload.rate_limit import HALF_S, RateLimits, Usage
from gateway.stores.redis.rate_limit_totals import RateLimitTotals, Total
from tests.support.fakes.clock import ManualClock
from tests.support.fakes.rate_limit_totals import FakeRateLimitTotals
from tests.support.valkey_cluster import Server

from .support import CALL_S, retried

#: One request in a thousand seconds: what a test takes does not count.
SLOW_S = 1000.0
#: More than a test takes.
SLACK_S = 100.0


class Totals(Protocol):
    async def add(self, usage: Sequence[Usage], *, within_s: float) -> list[Total]: ...


class Subject(Protocol):
    @property
    def totals(self) -> Totals: ...

    def go(self, seconds: float) -> None:
        """So much time has passed for the store; less than none: its clock was set back."""

    def away(self) -> AbstractContextManager[None]:
        """Lend a time in which the store does not answer."""
        ...

    def wipe(self) -> None:
        """The store has lost everything."""


@dataclass
class Fake:
    totals: FakeRateLimitTotals

    def go(self, seconds: float) -> None:
        self.totals.clock.at_s += seconds

    @contextmanager
    def away(self) -> Iterator[None]:
        self.totals.is_away = True
        yield
        self.totals.is_away = False

    def wipe(self) -> None:
        self.totals.stored.clear()


@dataclass
class Real:
    totals: RateLimitTotals
    server: Server

    def go(self, seconds: float) -> None:
        for key in self.server.client.keys("tidegate:{load}:quota:*"):
            due, asked, since = self.server.client.get(key).split()
            due_us, since_us = (int(each) - round(seconds * 1e6) for each in (due, since))
            self.server.client.set(key, b"%d %b %d" % (due_us, asked, since_us), keepttl=True)

    def away(self) -> AbstractContextManager[None]:
        return self.server.frozen()

    def wipe(self) -> None:
        self.server.client.flushall()


@pytest.fixture
async def subject(valkey_or_none: Server | None) -> AsyncIterator[Subject]:
    if valkey_or_none is None:
        yield Fake(FakeRateLimitTotals(ManualClock()))
        return
    totals = RateLimitTotals(url=valkey_or_none.url, call_s=CALL_S, half_s=HALF_S)
    yield Real(totals, valkey_or_none)
    await totals.close()


def used(
    admitted: int, asked: int = 0, *, key: str = "k", every_s: float = SLOW_S, most: int = 100
) -> Usage:
    return Usage(key, asked or admitted, admitted, every_s, most * every_s)


async def add(subject: Subject, *usage: Usage, within_s: float = 0.0) -> list[Total]:
    return await subject.totals.add(usage, within_s=within_s)


async def test_all_callers_get_the_totals(subject: Subject) -> None:
    (first,) = await add(subject, used(1))
    (second,) = await add(subject, used(2, 5))
    assert first.ahead_s == pytest.approx(1 * SLOW_S, abs=SLACK_S)
    assert second.ahead_s == pytest.approx(3 * SLOW_S, abs=SLACK_S)
    assert first.asked == 1.0
    assert 5.0 <= second.asked <= 6.0


async def test_each_key_has_its_own_total_in_the_order_it_was_given(subject: Subject) -> None:
    await add(subject, used(1, key="a"))
    totals = await add(subject, used(5, key="b"), used(1, key="a"), used(0, 1, key="c"))
    expected = [5 * SLOW_S, 2 * SLOW_S, 0.0]
    assert [each.ahead_s for each in totals] == pytest.approx(expected, abs=SLACK_S)


async def test_usage_at_the_rate_is_not_ahead(subject: Subject) -> None:
    (total,) = await add(subject, used(5), within_s=5 * SLOW_S)
    assert total.ahead_s == 0.0
    (total,) = await add(subject, used(5), within_s=2 * SLOW_S)
    assert total.ahead_s == pytest.approx(5 * SLOW_S, abs=SLACK_S)


async def test_time_pays_back(subject: Subject) -> None:
    await add(subject, used(5))
    subject.go(3 * SLOW_S)
    (total,) = await add(subject, used(1))
    assert total.ahead_s == pytest.approx(3 * SLOW_S, abs=SLACK_S)
    subject.go(10 * SLOW_S)
    (total,) = await add(subject, used(1))
    assert total.ahead_s == pytest.approx(SLOW_S, abs=SLACK_S)


async def test_requests_asked_are_forgotten_by_halves(subject: Subject) -> None:
    await add(subject, used(0, 800))
    subject.go(3 * HALF_S)
    (total,) = await add(subject, used(0, 1))
    assert 1.0 <= total.asked <= 101.0
    subject.go(1000 * HALF_S)
    (total,) = await add(subject, used(0, 1))
    assert total.asked == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("admitted", [101, 10**6, 10**15])
async def test_nothing_is_further_ahead_than_it_can_be(subject: Subject, admitted: int) -> None:
    for _ in range(2):
        (total,) = await add(subject, used(admitted))
        assert total.ahead_s == pytest.approx(100 * SLOW_S, abs=0.001)


@pytest.mark.parametrize("rate", [1e6, 1e-6, 1e-300, 5e-324])
async def test_whatever_the_rate(subject: Subject, rate: float) -> None:
    limits = RateLimits(rate=rate, burst=1 << 30)
    for _ in range(3):
        limits.wait_s("k", 0.0)
        (total,) = await subject.totals.add(limits.take(0.0), within_s=0.5)
        assert 0.0 <= total.ahead_s < 1e10


async def test_a_wiped_store_counts_as_nothing_used(subject: Subject) -> None:
    await add(subject, used(50))
    subject.wipe()
    (total,) = await add(subject, used(1))
    assert total.ahead_s == pytest.approx(SLOW_S, abs=SLACK_S)
    assert total.asked == 1.0


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_changed_clock_locks_no_client_out(subject: Subject, hours: int) -> None:
    await add(subject, used(1, every_s=0.1))
    subject.go(hours * 3600.0)
    (total,) = await add(subject, used(1, every_s=0.1))
    assert total.ahead_s <= 100 * 0.1
    assert total.asked <= 2.0


async def test_a_store_that_is_away_is_unavailable(subject: Subject) -> None:
    await add(subject, used(1))
    with subject.away(), pytest.raises(Unavailable):
        await add(subject, used(0, 1))
    (total,) = await retried(lambda: add(subject, used(1)))
    assert total.ahead_s == pytest.approx(2 * SLOW_S, abs=SLACK_S)


async def test_it_counts_as_another_fake_does(subject: Subject) -> None:
    """Two hundred calls in a row, of any keys and any length."""
    clock, chance = ManualClock(), random.Random(1)
    other = FakeRateLimitTotals(clock)
    began_s = time.monotonic()
    for _ in range(200):
        usage = [
            used(admitted := chance.randrange(3), admitted + chance.randrange(3), key=key)
            for key in chance.sample("abcdef", chance.randrange(1, 6))
        ]
        within_s = chance.uniform(0.0, 2 * SLOW_S)
        expected = await other.add(usage, within_s=within_s)
        found = await subject.totals.add(usage, within_s=within_s)
        slack_s = time.monotonic() - began_s + 1.0
        for one, each in zip(found, expected, strict=True):
            assert one.ahead_s == pytest.approx(each.ahead_s, abs=slack_s)
