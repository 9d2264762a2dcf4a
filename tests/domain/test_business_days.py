"""Each business day is due once, whatever the clock does in the night."""

import itertools
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from gateway.domain import business_days
from gateway.runtime import zones

SHANGHAI = zones.zone("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
TWO = time(2)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-11-29T17:59:59", "2026-11-28"),
        ("2026-11-29T18:00:00", "2026-11-29"),
        ("2026-11-30T17:59:59", "2026-11-29"),
    ],
)
def test_a_day_is_due_at_two_of_the_next(now: str, day: str) -> None:
    assert business_days.latest(utc(now), TWO, SHANGHAI) == date.fromisoformat(day)


def test_a_day_is_from_midnight_to_midnight_there() -> None:
    day = date(2026, 11, 29)
    assert business_days.bounds(day, SHANGHAI) == (
        utc("2026-11-28T16:00:00"),
        utc("2026-11-29T16:00:00"),
    )


def runs(
    zone: tzinfo, at: time, first: datetime, last: datetime, step: timedelta
) -> list[tuple[date, datetime]]:
    """Let a worker look every ``step``; return which day it ran, and when."""
    done: set[date] = set()
    ran = []
    now = first
    while now < last:
        for day in business_days.due(now, at, zone, done):
            ran.append((day, now))
            done.add(day)
        now += step
    return ran


@pytest.mark.parametrize("at", [time(1, 30), TWO, time(2, 30), time(3)])
@pytest.mark.parametrize(
    ("zone", "first"),
    [
        # Spring: 02:00 becomes 03:00. Autumn: 03:00 becomes 02:00.
        (BERLIN, "2026-03-26T00:00:00"),
        (BERLIN, "2026-10-22T00:00:00"),
        (ZoneInfo("America/New_York"), "2026-03-05T00:00:00"),
        (ZoneInfo("America/New_York"), "2026-10-29T00:00:00"),
        # Midnight itself is left out.
        (ZoneInfo("Asia/Beirut"), "2026-03-26T00:00:00"),
        # By half an hour.
        (ZoneInfo("Australia/Lord_Howe"), "2026-04-02T00:00:00"),
        (SHANGHAI, "2026-10-22T00:00:00"),
    ],
)
def test_the_clock_changes_and_every_day_is_done_once(zone: tzinfo, first: str, at: time) -> None:
    begin = utc(first)
    ran = runs(zone, at, begin, begin + timedelta(days=7), timedelta(minutes=10))
    days = [day for day, _ in ran]
    assert days == sorted(set(days)), "each once, and in their order"
    assert len(days) >= 7
    assert all((after - before).days == 1 for before, after in itertools.pairwise(days))
    # Not before the day is over.
    assert all(business_days.bounds(day, zone)[1] <= when for day, when in ran)
    # And the days join without a gap.
    for before, after in itertools.pairwise(days):
        assert business_days.bounds(before, zone)[1] == business_days.bounds(after, zone)[0]


def test_in_autumn_the_day_is_one_hour_longer_and_in_spring_shorter() -> None:
    for day, hours in ((date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 7, 1), 24)):
        begin, end = business_days.bounds(day, BERLIN)
        assert end - begin == timedelta(hours=hours)


def test_nights_in_which_nothing_ran_are_made_up_for_up_to_a_week() -> None:
    now = utc("2026-11-30T00:00:00")
    done = {date(2026, 11, 25), date(2026, 11, 27)}
    missing = business_days.due(now, TWO, SHANGHAI, done)
    assert missing == [date(2026, 11, day) for day in (26, 28, 29)]
    long_ago = business_days.due(now, TWO, SHANGHAI, {date(2026, 1, 1)})
    assert long_ago == [date(2026, 11, day) for day in range(23, 30)]


def test_where_nothing_ever_ran_only_the_last_day_is_due() -> None:
    assert business_days.due(utc("2026-11-30T00:00:00"), TWO, SHANGHAI, ()) == [date(2026, 11, 29)]


def test_a_zone_that_the_machine_does_not_know_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="'Asia/Nowhere' is no time zone of this machine"):
        zones.zone("Asia/Nowhere")
