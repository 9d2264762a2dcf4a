"""Missed orders as rows of a sheet, in the order of its columns."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

from gateway.domain import order_csv
from gateway.domain.missed import MissedOrder

COLUMNS = (
    "order_id", "channel", "order_no", "is_test", "version", "paid_at", "target", "event_id",
    "since", "age_s", "standing", "attempts", "last_attempt_at", "last_status_code", "last_reason",
    "is_disabled",
)  # fmt: skip


def head() -> str:
    """Return the line with the names of the columns."""
    return _written([COLUMNS])


def rows(missed: Iterable[MissedOrder], now: datetime) -> str:
    """Return a line for each order (RFC 4180), harmless in a spreadsheet."""
    return _written(_row(each, now) for each in missed)


def _row(each: MissedOrder, now: datetime) -> tuple[str, ...]:
    harmless, time, flag = order_csv.harmless, order_csv.time, order_csv.flag
    code = "" if each.last_status_code is None else str(each.last_status_code)
    return (
        str(each.order_id), each.channel, harmless(each.order_no), flag(each.is_test),
        str(each.version), time(each.paid_at), each.target, str(each.event_id),
        time(each.since), str(round(each.waited_s(now))), each.standing, str(each.attempts),
        time(each.last_attempt_at), code, harmless(each.last_reason), flag(each.is_disabled),
    )  # fmt: skip


def _written(lines: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue()
