"""Quotas of several processes: together a key gets its rate, and nobody who keeps to it is refused.

Their Redis is a table with a clock; the real one is in tests/stores/test_rate_limit_totals.py.
"""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.overload import rate_limit as counted
from gateway.overload.rate_limit import DEBT_S, RateLimits, Used
from gateway.overload.rate_limit_sync import RateLimitSync
from tests.intake.support import StoppedClock
from tests.overload.rate_limit_support import Fleet, ToldTotal, ToldTotals

#: A debt, and what it may take until it is heard and told.
OVER_S = DEBT_S + 1.0


@pytest.mark.parametrize(
    ("rate", "burst", "per_s"),
    [
        (100.0, 100, [300, 300]),
        (100.0, 10, [300, 300, 300, 300]),
        (100.0, 100, [500, 50, 50, 10]),
        (100.0, 100, [150] * 8),
        (100.0, 100, [100] * 16),
        (5.0, 5, [10] * 4),
        (1.0, 1, [10] * 4),
        (1000.0, 100, [1000, 1000, 10, 10]),
    ],
)
async def test_together_a_key_gets_its_rate(rate: float, burst: int, per_s: list[float]) -> None:
    fleet = Fleet(len(per_s), rate=rate, burst=burst)
    # Until then a burst through all of them is paid back.
    await fleet.go(15.0, per_s)
    seconds = 20.0
    let_in = sum(await fleet.go(seconds, per_s))
    assert let_in == pytest.approx(rate * seconds, rel=0.08, abs=len(per_s))


@pytest.mark.parametrize("per_s", [[20] * 4, [60, 20, 5, 5], [95, 0], [0, 45, 45]])
async def test_who_keeps_to_his_rate_over_several_processes_is_never_refused(
    per_s: list[float],
) -> None:
    fleet = Fleet(len(per_s), rate=100.0, burst=10)
    assert sum(await fleet.go(20.0, per_s)) >= sum(per_s) * 20 - len(per_s)


async def test_one_process_alone_counts_as_if_nobody_was_told() -> None:
    fleet = Fleet(1, rate=100.0, burst=10)
    alone = RateLimits(rate=100.0, burst=10)
    for n in range(2000):
        fleet.clock.at_s += 0.003 if n % 400 < 300 else 0.02
        assert bool(fleet.ask(0)) == (alone.wait_s("k", fleet.clock.at_s) == 0.0)
        if n % 100 == 0:
            await fleet.tell()


async def test_a_burst_through_all_is_paid_back() -> None:
    fleet = Fleet(4, rate=10.0, burst=100)
    assert [fleet.ask(n, 500) for n in range(4)] == [100] * 4
    await fleet.tell()
    await fleet.tell()
    fleet.clock.at_s += 29.0
    assert [fleet.ask(n, 50) for n in range(4)] == [0] * 4
    fleet.clock.at_s += 2.0
    await fleet.tell()
    await fleet.tell()
    assert sum([fleet.ask(n, 50) for n in range(4)]) > 0


@pytest.mark.parametrize(
    ("rate", "burst", "processes"),
    [(0.1, 1, 2), (0.1, 1, 8), (0.5, 5, 8), (1.0, 10, 8), (2.0, 10, 16), (5.0, 10, 16)],
)
async def test_a_low_rate_holds_however_many_hammer_at_it(
    rate: float, burst: int, processes: int
) -> None:
    """Room for one request is seen by all at once, and what each lets in is paid back."""
    fleet = Fleet(processes, rate=rate, burst=burst)
    fleet.TICK_S = 0.05
    await fleet.go(processes * burst / rate + 60.0, [4.0] * processes)
    seconds = 300.0
    let_in = sum(await fleet.go(seconds, [4.0] * processes))
    assert let_in == pytest.approx(rate * seconds, rel=0.15, abs=processes)


async def test_bursts_through_all_again_and_again_are_within_the_rate() -> None:
    fleet = Fleet(4, rate=10.0, burst=100)
    let_in = 0
    for _ in range(10):
        let_in += sum(fleet.ask(n, 200) for n in range(4))
        await fleet.go(13.0, [0.0] * 4)
    assert let_in <= 10.0 * 130 + 4 * 100


async def test_a_process_that_starts_hears_what_others_let_in_at_its_first_turn() -> None:
    fleet = Fleet(1, rate=1.0, burst=20)
    assert fleet.ask(0, 20) == 20
    await fleet.tell()
    fleet.join()
    assert fleet.ask(1) == 1
    await fleet.tell()
    assert fleet.ask(1) == 0


async def test_a_burst_through_one_is_whole_while_others_are_asked_little() -> None:
    fleet = Fleet(4, rate=100.0, burst=100)
    await fleet.go(5.0, [2, 2, 2, 2])
    assert fleet.ask(0, 200) >= 85


@pytest.mark.parametrize(("rate", "burst"), [(100.0, 100), (10.0, 100), (1.0, 1), (0.5, 3)])
async def test_nobody_is_locked_out_for_long_when_others_stop(rate: float, burst: int) -> None:
    fleet = Fleet(8, rate=rate, burst=burst)
    # The first bursts through all of them are paid back by then.
    await fleet.go(8 * burst / rate + 10.0, [3 * rate] * 8)
    # One more was let in by each of them at most, where there was room for one.
    let_in = await fleet.go(OVER_S + 8 / rate, [3 * rate] + [0.0] * 7)
    assert let_in[0] >= 1
    assert sum(await fleet.go(10.0, [3 * rate])) >= 0.6 * rate * 10


async def test_what_is_asked_too_early_is_told_a_time_not_much_longer_than_it_is() -> None:
    fleet = Fleet(16, rate=10.0, burst=10)
    # The bursts through all of them are paid back by then.
    await fleet.go(20.0, [100] * 16)
    waits = [each.wait_s("k", fleet.clock.at_s) for each in fleet.quotas]
    assert max(waits) <= 2 * DEBT_S + 0.1 + fleet.TICK_S


async def test_without_redis_each_goes_by_what_it_sees(caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet(2, rate=100.0, burst=10)
    await fleet.go(5.0, [300, 300])
    with caplog.at_level(logging.INFO, "gateway.overload.rate_limit_sync"):
        fleet.totals.is_away = True
        await fleet.go(OVER_S, [300, 300])
        assert await fleet.go(10.0, [300, 300]) == [pytest.approx(1000, rel=0.02)] * 2
        fleet.totals.is_away = False
        # What could not be told is not told at once: it would lock out who kept to his rate.
        assert sum(await fleet.go(1.0, [300, 300])) > 50
        await fleet.go(10.0, [300, 300])
        assert sum(await fleet.go(10.0, [300, 300])) == pytest.approx(1000, rel=0.08)
    said = [record.getMessage() for record in caplog.records]
    assert said == (
        ["quotas can not be told; each process counts by itself"] * 2
        + ["quotas are counted over all processes again"] * 2
    )


async def test_a_redis_that_is_wiped_again_and_again_gives_nobody_a_second_burst() -> None:
    fleet = Fleet(2, rate=10.0, burst=100)
    await fleet.go(20.0, [100, 100])
    let_in = 0
    for _ in range(10):
        fleet.totals.kept.clear()
        let_in += sum(await fleet.go(1.0, [100, 100]))
    assert let_in <= 2.2 * 10 * 10


async def test_a_clock_that_stands_and_a_turn_that_comes_late() -> None:
    fleet = Fleet(2, rate=100.0, burst=10)
    for _ in range(20):
        assert fleet.ask(0, 50) + fleet.ask(1, 50) <= 20
        await fleet.tell()
    fleet.clock.at_s += 60.0
    assert fleet.ask(0, 10) == 10
    await fleet.tell()
    fleet.clock.at_s += 0.2
    assert fleet.ask(0, 10) == 10, "what was let in over a minute is not counted as of now"


async def test_nothing_is_told_where_nothing_is_asked_or_there_is_no_quota() -> None:
    fleet = Fleet(1, rate=0.0, burst=1)
    assert fleet.ask(0, 1000) == 1000
    await fleet.tell()
    assert fleet.totals.calls == 0
    assert fleet.quotas[0].take(0.0) == []
    fleet = Fleet(1, rate=1.0, burst=1)
    await fleet.tell()
    fleet.ask(0)
    for _ in range(4):
        await fleet.tell()
    assert fleet.totals.calls == 2, "and once more, to hear what others told meanwhile"


def test_the_busiest_are_told_and_no_more_than_the_bound() -> None:
    quotas = RateLimits(rate=10.0, burst=5)
    for n in range(10_001):
        for _ in range(7 if n % 1000 == 1 else 1):
            quotas.wait_s(str(n), 0.0)
    used = quotas.take(1.0)
    assert len(used) == counted.TOLD_MAX
    assert [each.key for each in used[:10]] == [str(n) for n in range(9001, 0, -1000)]
    assert [(each.asked, each.let_in) for each in used[9:11]] == [(7, 5), (1, 1)]
    assert [each.asked for each in quotas.take(1.5)] == [0] * counted.TOLD_MAX
    assert quotas.take(1.6) == [], "what was not told is not told later"
    quotas.wait_s("1", 2.0)
    assert [each.key for each in quotas.take(2.0)] == ["1"]


async def test_keys_are_told_by_what_they_are_of() -> None:
    clock = StoppedClock()
    totals = ToldTotals(clock)
    of_keys, of_channel = RateLimits(rate=1.0, burst=1), RateLimits(rate=2.0, burst=2)
    telling = RateLimitSync(
        totals=totals, quotas=[("key", of_keys), ("channel", of_channel)], clock=clock
    )
    of_keys.wait_s("web", 0.0)
    of_channel.wait_s("web", 0.0)
    await telling.exchange()
    assert set(totals.kept) == {"key:web", "channel:web"}


def test_what_is_heard_of_a_key_that_was_forgotten_is_nothing() -> None:
    quotas = RateLimits(rate=1.0, burst=1)
    quotas.hear("unknown", ahead_s=5.0, asked=10.0, told_s=0.0, now_s=0.0)
    assert quotas.wait_s("unknown", 0.0) == 0.0


@given(
    st.floats(0, 1e12),
    st.floats(0, 1e18),
    st.sampled_from([1e-6, 0.5, 1.0, 100.0, 1e6]),
    st.sampled_from([1, 100, 1 << 30]),
    st.integers(0, 50),
)
def test_whatever_is_heard_locks_nobody_out_for_long(
    ahead_s: float, asked: float, rate: float, burst: int, times: int
) -> None:
    quotas = RateLimits(rate=rate, burst=burst)
    for _ in range(times + 1):
        quotas.wait_s("k", 0.0)
    quotas.take(0.5)
    quotas.hear("k", ahead_s=ahead_s, asked=asked, told_s=0.5, now_s=0.6)
    # Eight bursts more than its own.
    most_s = (8 * burst + 1) / rate + DEBT_S
    assert quotas.wait_s("k", 0.6) <= most_s + DEBT_S + max(1e-3, 1e-9 * most_s)
    # Nobody tells anything any more.
    quotas.take(1.1)
    assert quotas.wait_s("k", 1.1 + most_s * (1 + 1e-9)) == 0.0


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.booleans()), max_size=80),
    st.sampled_from([1.0, 10.0, 100.0]),
    st.integers(1, 30),
)
async def test_no_process_lets_in_more_than_it_would_alone(
    steps: Sequence[tuple[int, int, bool]], rate: float, burst: int
) -> None:
    fleet = Fleet(3, rate=rate, burst=burst)
    let_in = [0, 0, 0]
    for number, times, tells in steps:
        let_in[number] += fleet.ask(number, times)
        assert let_in[number] <= burst + rate * fleet.clock.at_s + 1e-3
        if tells:
            await fleet.telling[number].exchange()
        fleet.clock.at_s += 0.05


async def test_a_hanging_redis_holds_up_nobody_and_the_task_ends_when_told() -> None:
    clock = StoppedClock()
    quotas = RateLimits(rate=10.0, burst=10)
    asked, answered = asyncio.Event(), asyncio.Event()

    class Hanging(ToldTotals):
        async def add(self, used: Sequence[Used], *, within_s: float) -> Sequence[ToldTotal]:
            asked.set()
            await answered.wait()
            return await super().add(used, within_s=within_s)

    telling = RateLimitSync(totals=Hanging(clock), quotas=[("key", quotas)], clock=clock)
    for _ in range(4):
        quotas.wait_s("k", 0.0)
    stopping = asyncio.Event()
    running = asyncio.create_task(telling.run(stopping))
    await asyncio.wait_for(asked.wait(), 5.0)
    assert [quotas.wait_s("k", 0.0) for _ in range(6)] == [0.0] * 6
    stopping.set()
    answered.set()
    await asyncio.wait_for(running, 5.0)
    assert quotas.wait_s("k", 0.0) == pytest.approx(0.1), "what came meanwhile counts once"
