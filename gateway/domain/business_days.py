"""Tasks of the night: which business day is due when, in a zone with or without summer time. Pure.

A business day is a date in the zone. The run of a day is due on the next day, at a time of the
clock there. A task is kept by its business day, never by the hour: in autumn the clock shows an
hour twice, and in spring it leaves one out, and each day is due once all the same.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta, tzinfo

#: How many days back a night is made up for in which no worker ran.
MISSED_NIGHTS_MAX = 7


def bounds(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return when the business day begins and ends, in UTC."""
    return _moment(day, time(), zone), _moment(day + timedelta(days=1), time(), zone)


def latest(now: datetime, at: time, zone: tzinfo) -> date:
    """Return the last business day whose run is due."""
    today = now.astimezone(zone).date()
    for days in range(3):
        day = today - timedelta(days=days)
        if _moment(day, at, zone) <= now:
            return day - timedelta(days=1)
    raise AssertionError("a time of the clock comes at least every second day")


def due(now: datetime, at: time, zone: tzinfo, done: Collection[date]) -> list[date]:
    """Return the business days whose run is due and not ``done``, the earliest first.

    A night in which nothing ran is made up for, up to ``MISSED_NIGHTS_MAX`` days back. Where no
    run was ever done, only the latest is due.
    """
    last = latest(now, at, zone)
    if not done:
        return [last]
    first = max(min(done), last - timedelta(days=MISSED_NIGHTS_MAX - 1))
    days = (last - first).days
    every = [first + timedelta(days=n) for n in range(days + 1)]
    return [day for day in every if day not in done]


def _moment(day: date, at: time, zone: tzinfo) -> datetime:
    """Return when the clock shows a time; of one shown twice, the first; of one left out, after.

    Python reads a time that the clock leaves out by the offset before the change: it is then the
    same time after it as it would have been without the change.
    """
    return datetime.combine(day, at, zone).astimezone(UTC)
