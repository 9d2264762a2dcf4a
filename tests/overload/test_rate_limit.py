"""Rate limits: a key gets its burst and its rate, no more and no less."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.overload.rate_limit import RateLimits


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
