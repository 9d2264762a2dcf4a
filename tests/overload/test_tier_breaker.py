"""The circuit breakers of tiers: in which order they shed, for how long, how they recover."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.features import FEATURES, TIERS
from gateway.overload.tier_breaker import RULES, Rule, TierBreaker

TICK_S = 0.05
RULE = RULES[3]


class Clocked:
    """A breaker with its clock."""

    def __init__(self, rule: Rule = RULE) -> None:
        self.breaker = TierBreaker(rule)
        self.at_s = 0.0

    def hold(self, load: float, seconds: float) -> str:
        for _ in range(round(seconds / TICK_S)):
            self.at_s += TICK_S
            self.breaker.take(load, self.at_s, look=load)
        return self.breaker.state

    def admitted(self, of: int = 1000) -> int:
        return sum(not self.breaker.sheds_next() for _ in range(of))


def test_the_lesser_go_first_and_come_back_last() -> None:
    lesser = [RULES[tier] for tier in sorted(RULES, reverse=True) if tier > 1]
    for first, then in pairwise(lesser):
        assert first.on < then.on
        assert first.full <= then.on, "one is gone before the next begins to go"
        assert first.off < then.off
    assert all(rule.off < rule.on < rule.full for rule in RULES.values())
    assert min(rule.on for rule in lesser) >= 0.80
    assert max(rule.full for rule in lesser) <= 0.90
    assert 0 not in RULES, "callbacks are bounded by slots and nothing else"
    assert {feature.tier for feature in FEATURES} == set(TIERS)


def test_one_tick_is_no_load() -> None:
    clocked = Clocked()
    assert clocked.hold(1.25, TICK_S) == "admitting"
    assert clocked.hold(0.0, 1.0) == "admitting"
    assert clocked.admitted() == 1000


def test_two_ticks_past_full_are() -> None:
    clocked = Clocked()
    assert clocked.hold(RULE.full, 2 * TICK_S) == "shedding_all"
    assert clocked.admitted() == 0


@pytest.mark.parametrize(("part", "admitted"), [(0.0, 1000), (0.25, 750), (0.5, 500), (0.9, 100)])
def test_between_on_and_full_a_share_is_refused(part: float, admitted: int) -> None:
    clocked = Clocked()
    clocked.hold(RULE.on + part * (RULE.full - RULE.on), 1.0)
    assert clocked.breaker.state == "shedding_some"
    assert clocked.admitted() == pytest.approx(admitted, abs=1)


def test_it_comes_back_gradually_and_by_itself() -> None:
    clocked = Clocked()
    clocked.hold(1.0, 1.0)
    assert clocked.hold(RULE.off + 0.01, 60.0) == "shedding_all", "not while load is above off"
    assert clocked.hold(0.1, 4.9) == "shedding_all"
    assert clocked.hold(0.1, 0.2) == "recovering"
    shares = []
    for _ in range(11):
        shares.append(clocked.admitted())
        clocked.hold(0.1, 1.0)
    assert shares == sorted(shares)
    assert shares[0] < 50
    assert shares[5] == pytest.approx(500, abs=60)
    assert clocked.breaker.state == "admitting"
    assert clocked.admitted() == 1000


def test_it_stays_dark_for_ten_seconds_at_least() -> None:
    clocked = Clocked()
    clocked.hold(1.0, 2 * TICK_S)
    assert clocked.hold(0.0, 9.8) == "shedding_all"
    assert clocked.hold(0.0, 0.4) == "recovering"


def test_the_way_back_waits_between_off_and_on() -> None:
    clocked = Clocked()
    clocked.hold(1.0, 1.0)
    clocked.hold(0.1, 13.0)
    share = clocked.breaker.share
    assert 0 < share < 1
    assert clocked.hold(RULE.off + 0.01, 30.0) == "recovering"
    assert clocked.breaker.share == share


def test_a_relapse_doubles_the_quiet_time_up_to_a_minute() -> None:
    clocked = Clocked()
    clocked.hold(1.0, 1.0)
    waits = []
    for _ in range(6):
        before_s = clocked.at_s
        while clocked.hold(0.0, TICK_S) != "recovering":
            assert clocked.at_s - before_s < 100
        waits.append(round(clocked.at_s - before_s))
        clocked.hold(1.0, 2 * TICK_S)
        assert clocked.breaker.state == "shedding_all"
    assert waits == [9, 10, 20, 40, 60, 60]


def test_ten_quiet_minutes_forgive() -> None:
    clocked = Clocked()
    clocked.hold(1.0, 1.0)
    clocked.hold(0.0, 12.0)
    clocked.hold(1.0, 1.0)  # a relapse
    clocked.hold(0.0, 30.0)
    assert clocked.breaker.state == "admitting"
    clocked.hold(0.0, 601.0)
    clocked.hold(1.0, 10.0)
    assert clocked.hold(0.0, 5.2) == "recovering"


def test_submissions_come_back_within_seconds() -> None:
    clocked = Clocked(RULES[1])
    assert clocked.hold(1.25, 0.2) == "shedding_all"
    assert clocked.hold(0.5, 4.0) == "admitting"


@given(st.lists(st.tuples(st.floats(0, 1.25), st.floats(0.01, 20)), max_size=30))
def test_whatever_comes_the_share_fits_the_state(steps: list[tuple[float, float]]) -> None:
    clocked = Clocked()
    for load, seconds in steps:
        state = clocked.hold(load, min(seconds, 20))
        share = clocked.breaker.share
        assert 0 <= share <= 1
        if state == "admitting":
            assert share == 0
        if state == "shedding_all":
            assert share == 1
    # Left alone it always ends where it began.
    assert clocked.hold(0.0, 90.0) == "admitting"
    assert clocked.admitted() == 1000
