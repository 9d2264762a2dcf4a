"""Figures of the way in. Labels come from closed lists; none carries a value of a message."""

from prometheus_client import Counter, Gauge, Histogram

from gateway.runtime.metrics import BATCH_BUCKETS, LATENCY_BUCKETS_S

PLACEMENTS = Counter(
    "tidegate_placements", "Order submissions by answer.", ["answer"]
)  # placed, replayed, key_reused, conflict
#: The same by answer: to look a label up costs as much as to count.
PLACEMENT = {
    answer: PLACEMENTS.labels(answer) for answer in ("placed", "replayed", "key_reused", "conflict")
}
FOLLOW_UPS = Counter(
    "tidegate_follow_ups", "Events after the placement by outcome.", ["outcome"]
)  # applied, repeat, waiting, parked, noted
PARKED = Counter("tidegate_parked", "What was set aside for a person, by reason.", ["reason"])
REMEMBERED = Counter(
    "tidegate_remembered", "Repeats answered without Postgres, by where from.", ["where"]
)  # in_flight, redis
UNAVAILABLE = Counter(
    "tidegate_unavailable", "Events answered 503 by the part that could not answer.", ["part"]
)
BATCH_ROWS = Histogram(
    "tidegate_batch_rows", "Rows of a committed batch.", ["lane"], buckets=BATCH_BUCKETS
)
COMMIT_S = Histogram(
    "tidegate_commit_seconds", "Seconds from flush to commit.", ["lane"], buckets=LATENCY_BUCKETS_S
)
WAITING = Gauge(
    "tidegate_waiting", "Events waiting for their commit.", ["lane"], multiprocess_mode="livesum"
)
