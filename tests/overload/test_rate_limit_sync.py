"""Rate limits of several processes: together a key gets its rate, and within it no rejection.

Their Redis is a fake with a clock of its own.
"""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.overload import rate_limit as counted
from gateway.overload.rate_limit import DEBT_S, RateLimits, Usage
from gateway.overload.rate_limit_sync import RateLimitSync
from gateway.stores.redis.rate_limit_totals import Total
from tests.overload.rate_limit_support import Cluster
from tests.support.fakes.clock import ManualClock
from tests.support.fakes.rate_limit_totals import FakeRateLimitTotals
from tests.support.patience import HANG_S

#: A debt, and what it may take until it is published and received.
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
    cluster = Cluster(len(per_s), rate=rate, burst=burst)
    # Until then a burst through all of them is paid back.
    await cluster.go(15.0, per_s)
    seconds = 20.0
    admitted = sum(await cluster.go(seconds, per_s))
    assert admitted == pytest.approx(rate * seconds, rel=0.08, abs=len(per_s))


@pytest.mark.parametrize("per_s", [[20] * 4, [60, 20, 5, 5], [95, 0], [0, 45, 45]])
async def test_a_client_within_its_rate_is_never_rejected_over_several_processes(
    per_s: list[float],
) -> None:
    cluster = Cluster(len(per_s), rate=100.0, burst=10)
    assert sum(await cluster.go(20.0, per_s)) >= sum(per_s) * 20 - len(per_s)


async def test_one_process_alone_counts_as_without_exchange() -> None:
    cluster = Cluster(1, rate=100.0, burst=10)
    alone = RateLimits(rate=100.0, burst=10)
    for n in range(2000):
        cluster.clock.at_s += 0.003 if n % 400 < 300 else 0.02
        assert bool(cluster.ask(0)) == (alone.wait_s("k", cluster.clock.at_s) == 0.0)
        if n % 100 == 0:
            await cluster.exchange()


async def test_a_burst_through_all_processes_is_paid_back() -> None:
    cluster = Cluster(4, rate=10.0, burst=100)
    assert [cluster.ask(n, 500) for n in range(4)] == [100] * 4
    await cluster.exchange()
    await cluster.exchange()
    cluster.clock.at_s += 29.0
    assert [cluster.ask(n, 50) for n in range(4)] == [0] * 4
    cluster.clock.at_s += 2.0
    await cluster.exchange()
    await cluster.exchange()
    assert sum([cluster.ask(n, 50) for n in range(4)]) > 0


@pytest.mark.parametrize(
    ("rate", "burst", "processes"),
    [(0.1, 1, 2), (0.1, 1, 8), (0.5, 5, 8), (1.0, 10, 8), (2.0, 10, 16), (5.0, 10, 16)],
)
async def test_a_low_rate_holds_under_many_processes_of_constant_demand(
    rate: float, burst: int, processes: int
) -> None:
    """Headroom for one request is seen by all at once, and what each admits is paid back."""
    cluster = Cluster(processes, rate=rate, burst=burst)
    cluster.TICK_S = 0.05
    await cluster.go(processes * burst / rate + 60.0, [4.0] * processes)
    seconds = 300.0
    admitted = sum(await cluster.go(seconds, [4.0] * processes))
    assert admitted == pytest.approx(rate * seconds, rel=0.15, abs=processes)


async def test_bursts_through_all_again_and_again_are_within_the_rate() -> None:
    cluster = Cluster(4, rate=10.0, burst=100)
    admitted = 0
    for _ in range(10):
        admitted += sum(cluster.ask(n, 200) for n in range(4))
        await cluster.go(13.0, [0.0] * 4)
    assert admitted <= 10.0 * 130 + 4 * 100


async def test_a_new_process_receives_the_totals_at_its_first_exchange() -> None:
    cluster = Cluster(1, rate=1.0, burst=20)
    assert cluster.ask(0, 20) == 20
    await cluster.exchange()
    cluster.join()
    assert cluster.ask(1) == 1
    await cluster.exchange()
    assert cluster.ask(1) == 0


async def test_a_burst_through_one_is_complete_while_others_are_idle() -> None:
    cluster = Cluster(4, rate=100.0, burst=100)
    await cluster.go(5.0, [2, 2, 2, 2])
    assert cluster.ask(0, 200) >= 85


@pytest.mark.parametrize(("rate", "burst"), [(100.0, 100), (10.0, 100), (1.0, 1), (0.5, 3)])
async def test_no_client_is_locked_out_for_long_when_others_stop(rate: float, burst: int) -> None:
    cluster = Cluster(8, rate=rate, burst=burst)
    # The first bursts through all of them are paid back by then.
    await cluster.go(8 * burst / rate + 10.0, [3 * rate] * 8)
    # Each admitted at most one more, where there was headroom for one.
    admitted = await cluster.go(OVER_S + 8 / rate, [3 * rate] + [0.0] * 7)
    assert admitted[0] >= 1
    assert sum(await cluster.go(10.0, [3 * rate])) >= 0.6 * rate * 10


async def test_the_wait_is_not_much_longer_than_needed() -> None:
    cluster = Cluster(16, rate=10.0, burst=10)
    # The bursts through all of them are paid back by then.
    await cluster.go(20.0, [100] * 16)
    waits = [each.wait_s("k", cluster.clock.at_s) for each in cluster.limits]
    assert max(waits) <= 2 * DEBT_S + 0.1 + cluster.TICK_S


async def test_without_redis_each_process_counts_alone(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(2, rate=100.0, burst=10)
    await cluster.go(5.0, [300, 300])
    with caplog.at_level(logging.INFO, "gateway.overload.rate_limit_sync"):
        cluster.totals.is_away = True
        await cluster.go(OVER_S, [300, 300])
        assert await cluster.go(10.0, [300, 300]) == [pytest.approx(1000, rel=0.02)] * 2
        cluster.totals.is_away = False
        # What could not be published is lost: published later it would lock out clients.
        assert sum(await cluster.go(1.0, [300, 300])) > 50
        await cluster.go(10.0, [300, 300])
        assert sum(await cluster.go(10.0, [300, 300])) == pytest.approx(1000, rel=0.08)
    logged = [record.getMessage() for record in caplog.records]
    assert logged == (
        ["rate limits cannot be shared; each process counts alone"] * 2
        + ["rate limits are shared by all processes again"] * 2
    )


async def test_a_redis_wiped_again_and_again_gives_no_second_burst() -> None:
    cluster = Cluster(2, rate=10.0, burst=100)
    await cluster.go(20.0, [100, 100])
    admitted = 0
    for _ in range(10):
        cluster.totals.stored.clear()
        admitted += sum(await cluster.go(1.0, [100, 100]))
    assert admitted <= 2.2 * 10 * 10


async def test_a_stopped_clock_and_a_late_exchange() -> None:
    cluster = Cluster(2, rate=100.0, burst=10)
    for _ in range(20):
        assert cluster.ask(0, 50) + cluster.ask(1, 50) <= 20
        await cluster.exchange()
    cluster.clock.at_s += 60.0
    assert cluster.ask(0, 10) == 10
    await cluster.exchange()
    cluster.clock.at_s += 0.2
    assert cluster.ask(0, 10) == 10, "what was let in over a minute is not counted as of now"


async def test_nothing_is_published_without_requests_or_without_a_limit() -> None:
    cluster = Cluster(1, rate=0.0, burst=1)
    assert cluster.ask(0, 1000) == 1000
    await cluster.exchange()
    assert cluster.totals.calls == 0
    assert cluster.limits[0].take(0.0) == []
    cluster = Cluster(1, rate=1.0, burst=1)
    await cluster.exchange()
    cluster.ask(0)
    for _ in range(4):
        await cluster.exchange()
    assert cluster.totals.calls == 2, "and once more, to receive what others published meanwhile"


def test_only_the_busiest_keys_are_published() -> None:
    limits = RateLimits(rate=10.0, burst=5)
    for n in range(10_001):
        for _ in range(7 if n % 1000 == 1 else 1):
            limits.wait_s(str(n), 0.0)
    used = limits.take(1.0)
    assert len(used) == counted.PUBLISHED_MAX
    assert [each.key for each in used[:10]] == [str(n) for n in range(9001, 0, -1000)]
    assert [(each.asked, each.admitted) for each in used[9:11]] == [(7, 5), (1, 1)]
    assert [each.asked for each in limits.take(1.5)] == [0] * counted.PUBLISHED_MAX
    assert limits.take(1.6) == [], "what was not published is not published later"
    limits.wait_s("1", 2.0)
    assert [each.key for each in limits.take(2.0)] == ["1"]


async def test_keys_are_published_with_their_namespace_and_rate() -> None:
    clock = ManualClock()
    totals = FakeRateLimitTotals(clock)
    of_keys, of_channel = RateLimits(rate=1.0, burst=1), RateLimits(rate=2.0, burst=2)
    sync = RateLimitSync(
        totals=totals, limits=lambda: [("key", of_keys), ("channel", of_channel)], clock=clock
    )
    of_keys.wait_s("web", 0.0)
    of_channel.wait_s("web", 0.0)
    await sync.exchange()
    assert set(totals.stored) == {"key:1:web", "channel:0.5:web"}


def test_totals_of_a_forgotten_key_are_ignored() -> None:
    limits = RateLimits(rate=1.0, burst=1)
    unknown = Usage("unknown", 1, 1, 1.0, 1.0)
    limits.receive(unknown, ahead_s=5.0, asked=10.0, published_s=0.0, now_s=0.0)
    assert limits.wait_s("unknown", 0.0) == 0.0


@given(
    st.floats(0, 1e12),
    st.floats(0, 1e18),
    st.sampled_from([1e-6, 0.5, 1.0, 100.0, 1e6]),
    st.sampled_from([1, 100, 1 << 30]),
    st.integers(0, 50),
)
def test_no_received_total_locks_a_client_out_for_long(
    ahead_s: float, asked: float, rate: float, burst: int, times: int
) -> None:
    limits = RateLimits(rate=rate, burst=burst)
    for _ in range(times + 1):
        limits.wait_s("k", 0.0)
    (used,) = limits.take(0.5)
    limits.receive(used, ahead_s=ahead_s, asked=asked, published_s=0.5, now_s=0.6)
    # Eight bursts more than its own.
    most_s = (8 * burst + 1) / rate + DEBT_S
    assert limits.wait_s("k", 0.6) <= most_s + DEBT_S + max(1e-3, 1e-9 * most_s)
    # No process publishes any more.
    limits.take(1.1)
    assert limits.wait_s("k", 1.1 + most_s * (1 + 1e-9)) == 0.0


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.booleans()), max_size=80),
    st.sampled_from([1.0, 10.0, 100.0]),
    st.integers(1, 30),
)
async def test_no_process_admits_more_than_it_would_alone(
    steps: Sequence[tuple[int, int, bool]], rate: float, burst: int
) -> None:
    cluster = Cluster(3, rate=rate, burst=burst)
    admitted = [0, 0, 0]
    for number, times, exchanges in steps:
        admitted[number] += cluster.ask(number, times)
        assert admitted[number] <= burst + rate * cluster.clock.at_s + 1e-3
        if exchanges:
            await cluster.syncs[number].exchange()
        cluster.clock.at_s += 0.05


async def test_a_hanging_redis_delays_no_request_and_the_task_can_be_stopped() -> None:
    clock = ManualClock()
    limits = RateLimits(rate=10.0, burst=10)
    asked, answered = asyncio.Event(), asyncio.Event()

    class Hanging(FakeRateLimitTotals):
        async def add(self, usage: Sequence[Usage], *, within_s: float) -> list[Total]:
            asked.set()
            await answered.wait()
            return await super().add(usage, within_s=within_s)

    sync = RateLimitSync(totals=Hanging(clock), limits=lambda: [("key", limits)], clock=clock)
    for _ in range(4):
        limits.wait_s("k", 0.0)
    stopping = asyncio.Event()
    running = asyncio.create_task(sync.run(stopping))
    await asyncio.wait_for(asked.wait(), HANG_S)
    assert [limits.wait_s("k", 0.0) for _ in range(6)] == [0.0] * 6
    stopping.set()
    answered.set()
    await asyncio.wait_for(running, HANG_S)
    assert limits.wait_s("k", 0.0) == pytest.approx(0.1), "what came meanwhile counts once"
