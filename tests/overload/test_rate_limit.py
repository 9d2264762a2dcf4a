"""Rate limits: a key gets its burst and its rate, no more and no less."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.overload import rate_limit
from gateway.overload.rate_limit import DEBT_S, RateLimits, Usage
from gateway.runtime.settings import Channel


def test_a_burst_and_then_the_rate() -> None:
    limits = RateLimits(rate=10.0, burst=5)
    assert [limits.wait_s("k", 0.0) for _ in range(5)] == [0.0] * 5
    assert abs(limits.wait_s("k", 0.0) - 0.1) < 1e-6
    assert limits.wait_s("k", 0.05) > 0
    assert limits.wait_s("k", 0.1) == 0.0
    assert limits.wait_s("k", 0.1) > 0
    assert limits.wait_s("other", 0.1) == 0.0, "each key has its own"
    assert [limits.wait_s("k", 10.0) for _ in range(6)].count(0.0) == 5


def test_no_rate_is_no_limit() -> None:
    limits = RateLimits(rate=0.0, burst=1)
    assert [limits.wait_s("k", 0.0) for _ in range(1000)] == [0.0] * 1000


def test_keys_are_bounded() -> None:
    limits = RateLimits(rate=1.0, burst=1)
    for n in range(20_000):
        limits.wait_s(str(n), 0.0)
    assert len(limits._counts) == 10_000


@given(
    st.sampled_from([0.5, 1.0, 3.0, 10.0, 100.0]),
    st.integers(1, 20),
    st.lists(st.floats(0, 0.5), max_size=200),
)
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, gaps: list[float]) -> None:
    limits, now_s, taken = RateLimits(rate=rate, burst=burst), 0.0, 0
    for gap_s in gaps:
        now_s += gap_s
        wait_s = limits.wait_s("k", now_s)
        taken += wait_s == 0.0
        assert taken <= burst + rate * now_s + 1e-3
        if wait_s:
            # A request after the wait is admitted.
            now_s += wait_s
            assert limits.wait_s("k", now_s) == 0.0
            taken += 1


def admitted(limits: RateLimits, now_s: float, asked: int = 1000) -> int:
    return sum(limits.wait_s("k", now_s) == 0.0 for _ in range(asked))


@pytest.mark.parametrize(
    ("to", "left"),
    [
        ((20.0, 50), 20),  # of 50 requests 30 are used, whatever the rate
        ((5.0, 50), 20),
        ((10.0, 100), 70),
        ((10.0, 30), 0),
        ((10.0, 20), 0),
    ],
)
def test_a_changed_rate_keeps_what_a_key_has_used(to: tuple[float, int], left: int) -> None:
    limits = RateLimits(rate=10.0, burst=50)
    assert admitted(limits, 0.0, asked=30) == 30
    limits.change(rate=to[0], burst=to[1], now_s=0.0)
    assert admitted(limits, 0.0) == left


def test_a_changed_rate_is_the_rate_from_then_on() -> None:
    limits = RateLimits(rate=10.0, burst=50)
    assert admitted(limits, 0.0) == 50
    limits.change(rate=100.0, burst=50, now_s=0.1)
    # One of the old rate and a quarter of a second of the new one.
    assert admitted(limits, 0.35) == 26


def test_a_smaller_burst_locks_no_key_out_for_long() -> None:
    limits = RateLimits(rate=1.0, burst=100_000)
    assert admitted(limits, 0.0, asked=10_000) == 10_000
    limits.change(rate=1.0, burst=1, now_s=0.0)
    assert 0.0 < limits.wait_s("k", 0.0) <= 9.0 + DEBT_S
    assert admitted(limits, 9.0 + DEBT_S) == 1


def test_a_limit_may_come_and_go() -> None:
    limits = RateLimits(rate=0.0, burst=1)
    assert admitted(limits, 0.0) == 1000
    limits.change(rate=1.0, burst=5, now_s=0.0)
    assert admitted(limits, 0.0) == 5
    limits.change(rate=0.0, burst=5, now_s=0.0)
    assert admitted(limits, 0.0) == 1000
    limits.change(rate=1.0, burst=5, now_s=0.0)
    assert admitted(limits, 0.0) == 5


def test_a_total_of_the_rate_before_is_ignored() -> None:
    """It is in seconds of that rate, which would be far too many of the new one."""
    limits = RateLimits(rate=0.1, burst=5)
    assert admitted(limits, 0.0) == 5
    (used,) = limits.take(0.0)
    limits.change(rate=100.0, burst=5, now_s=0.0)
    limits.receive(used, ahead_s=400.0, asked=10.0, published_s=0.0, now_s=0.0)
    assert admitted(limits, 0.05) == 5
    limits.take(0.05)
    limits.receive(
        Usage("k", 0, 0, 0.01, 1.0), ahead_s=0.05, asked=5.0, published_s=0.05, now_s=0.05
    )
    assert admitted(limits, 0.05) == 0


def of_channels(*channels: Channel, before: Mapping[str, RateLimits]) -> dict[str, RateLimits]:
    return rate_limit.by_channel(channels, before=before, now_s=0.0)


def test_channels_keep_what_they_have_used_when_their_limits_change() -> None:
    free, slow = Channel("web"), Channel("app", orders_per_s_max=1.0, orders_burst=10)
    limits = of_channels(free, slow, before={})
    assert set(limits) == {"app"}
    assert admitted(limits["app"], 0.0, asked=6) == 6
    faster = Channel("app", orders_per_s_max=2.0, orders_burst=10)
    changed = of_channels(Channel("web", orders_per_s_max=1.0), faster, before=limits)
    assert admitted(changed["app"], 0.0) == 4
    assert admitted(changed["web"], 0.0) == 100
    assert of_channels(free, before=changed) == {}
