"""The load figure: which signal decides, how CPU is gated, how it rises and falls."""

from collections.abc import Mapping
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.overload.load import BACK, FRONT, SHARE_MAX, Load, LoadFigure, Points, Signal

TICK_S = 0.05


def after(
    seconds: float, measured: Mapping[Signal, float], figure: LoadFigure, at_s: float
) -> Load:
    """Feed the same measurements for a while."""
    load = figure.take(measured, at_s)
    for n in range(1, round(seconds / TICK_S) + 1):
        load = figure.take(measured, at_s + n * TICK_S)
    return load


def test_every_signal_has_its_points() -> None:
    assert {*FRONT, *BACK} == set(get_args(Signal))
    assert all(points.at_80 < points.at_100 for points in (*FRONT.values(), *BACK.values()))


@pytest.mark.parametrize(
    ("value", "share"),
    [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (0.0125, 0.4), (0.025, 0.8), (0.05, 0.9),
     (0.075, 1.0), (0.1, 1.1), (1e9, SHARE_MAX), (float("inf"), SHARE_MAX)],
)  # fmt: skip
def test_a_share_lies_on_straight_lines(value: float, share: float) -> None:
    assert Points(0.025, 0.075).share(value) == pytest.approx(share)


@given(st.floats(0, 10), st.floats(0, 10))
def test_more_is_never_less(one: float, other: float) -> None:
    for points in (*FRONT.values(), *BACK.values()):
        low, high = sorted((one, other))
        assert 0 <= points.share(low) <= points.share(high) <= SHARE_MAX


@pytest.mark.parametrize("signal", sorted({*FRONT, *BACK} - {"cpu"}))
def test_each_signal_can_decide_alone_and_is_named(signal: Signal) -> None:
    points = FRONT.get(signal) or BACK[signal]
    load = after(1.0, {signal: points.at_100}, LoadFigure(), 0.0)
    assert load.figure == pytest.approx(1.0, abs=0.01)
    assert load.signal == signal
    assert load.figure == max(load.front, load.back)


def test_cpu_alone_does_not_shed() -> None:
    # A loop at half of its capacity shows up to 79 %, and hiccups show more.
    load = after(60.0, {"cpu": 1.0}, LoadFigure(), 0.0)
    assert load.figure == pytest.approx(0.65, abs=0.01)


def test_cpu_counts_where_a_queue_agrees() -> None:
    load = after(2.0, {"cpu": 0.96, "sojourn": FRONT["sojourn"].at_80 * 0.5 / 0.8}, LoadFigure(), 0)
    assert load.figure == pytest.approx(0.96, abs=0.01)
    assert load.signal == "cpu"


def test_the_backlog_of_a_hiccup_does_not_agree() -> None:
    figure = LoadFigure()
    after(10.0, {"cpu": 1.0}, figure, 0)
    load = after(0.4, {"cpu": 1.0, "sojourn": 0.018}, figure, 10.0)
    assert load.signal != "cpu"
    assert load.figure < 0.8


def test_a_queue_that_comes_and_goes_does_not_agree() -> None:
    figure = LoadFigure()
    for n in range(200):
        waits: dict[Signal, float] = {"cpu": 1.0, "sojourn": 0.018 if n % 5 else 0.0}
        load = figure.take(waits, n * TICK_S)
    assert load.figure < 0.72


def test_it_rises_in_two_ticks_and_falls_in_seconds() -> None:
    figure = LoadFigure()
    figure.take({}, 0.0)
    first = figure.take({"slots": 1.25}, 0.05)
    second = figure.take({"slots": 1.25}, 0.10)
    assert 0.5 < first.figure < 0.8 < second.figure
    calm = figure.take({}, 1.10)
    assert calm.figure > 0.5
    assert calm.signal == "slots", "what raised it stays the reason while it falls"
    assert after(8.0, {}, figure, 1.15).figure < 0.05


def test_a_long_pause_between_ticks_counts_as_its_time() -> None:
    figure = LoadFigure()
    figure.take({"slots": 1.0}, 0.0)
    assert figure.take({"slots": 1.0}, 5.0).figure == pytest.approx(1.0, abs=0.001)
    assert figure.take({}, 25.0).figure == pytest.approx(0.0, abs=0.001)


def test_only_what_waiting_cannot_recover_is_hard() -> None:
    assert LoadFigure().take({"lag": 9.0, "acklat": 9.0, "slots": 9.0}, 0.0).hard == 0.0
    assert LoadFigure().take({"ackwait": 2.0}, 0.0).hard == SHARE_MAX


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 1.0),
            st.dictionaries(st.sampled_from(get_args(Signal)), st.floats(0, 100), max_size=5),
        ),
        max_size=40,
    )
)
def test_the_figure_is_bounded_by_what_was_measured(
    ticks: list[tuple[float, dict[Signal, float]]],
) -> None:
    figure, at_s = LoadFigure(), 0.0
    highest = 0.0
    for elapsed_s, measured in ticks:
        at_s += elapsed_s
        load = figure.take(measured, at_s)
        highest = max(highest, *load.shares.values())
        assert 0.0 <= load.figure <= highest + 1e-9 <= SHARE_MAX + 1e-9
