"""Metrics of the intake. Labels come from closed lists; none carries a value of a message."""

from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from gateway.domain.following import ParkReason
from gateway.runtime.metrics import BATCH_BUCKETS, LATENCY_BUCKETS_S

PLACEMENTS = Counter(
    "tidegate_placements", "Order submissions by answer.", ["answer"]
)  # placed, replayed, key_reused, conflict, out_of_stock
#: The same by answer: finding a label costs as much as counting.
PLACEMENT = {
    answer: PLACEMENTS.labels(answer)
    for answer in ("placed", "replayed", "key_reused", "conflict", "out_of_stock")
}
FOLLOW_UPS = Counter(
    "tidegate_follow_ups", "Events after the placement by outcome.", ["outcome"]
)  # applied, repeat, waiting, parked, noted, journaled
REMARKS = Counter(
    "tidegate_remarks", "Requests to change an order's remark, by answer.", ["answer"]
)  # changed, same, version_changed, unreadable, unknown
PARKED = Counter(
    "tidegate_parked",
    "Entries parked for an operator since the start of the process, by reason.",
    ["reason"],
)
for _reason in get_args(ParkReason):
    # Exists from the start: that nothing was parked is a 0, not a gap.
    PARKED.labels(_reason)
REPLAYS = Counter(
    "tidegate_replays", "Parked events that were judged again, by outcome.", ["outcome"]
)  # applied, repeat, waiting, parked, noted
REJECTED_CALLBACKS_UNSTORED = Counter(
    "tidegate_refused_callbacks_unkept", "Rejected callbacks counted but not stored.", ["bound"]
)  # minute, waiting, unstorable
REPEATS = Counter(
    "tidegate_remembered", "Repeats answered without Postgres, by source.", ["where"]
)  # in_flight, redis, journal
JOURNALED = Counter(
    "tidegate_journaled", "Events journaled because Postgres could not take them.", ["lane"]
)
JOURNAL_USABLE = Gauge(
    "tidegate_journal_usable", "1 while the journal can be used.", multiprocess_mode="livemin"
)
JOURNAL_ENTRIES = Gauge(
    "tidegate_journal_entries", "Events that wait in the journal.", multiprocess_mode="mostrecent"
)
JOURNAL_OLDEST_S = Gauge(
    "tidegate_journal_oldest_seconds",
    "Age of the oldest event in the journal.",
    multiprocess_mode="mostrecent",
)
JOURNAL_FILL = Gauge(
    "tidegate_journal_fill", "Share of the journal's memory used.", multiprocess_mode="mostrecent"
)
BREAKER_OPEN = Gauge(
    "tidegate_breaker_open",
    "Circuit breaker of commits: 1 open, 0.5 half open, 0 closed.",
    multiprocess_mode="livemax",
)
UNAVAILABLE = Counter(
    "tidegate_unavailable", "Entries answered 503, by the part that did not answer.", ["part"]
)
BATCH_ROWS = Histogram(
    "tidegate_batch_rows", "Rows of a committed batch.", ["lane"], buckets=BATCH_BUCKETS
)
COMMIT_S = Histogram(
    "tidegate_commit_seconds", "Seconds from flush to commit.", ["lane"], buckets=LATENCY_BUCKETS_S
)
WAITING = Gauge(
    "tidegate_waiting", "Entries waiting for their commit.", ["lane"], multiprocess_mode="livesum"
)
STOCK = Counter(
    "tidegate_stock_checks", "Stock checks of orders, by outcome.", ["outcome"]
)  # checked, missing, dark, away, busy, failed
STOCK_S = Histogram(
    "tidegate_stock_check_seconds",
    "Seconds that the inventory took to answer.",
    buckets=LATENCY_BUCKETS_S,
)
