"""Metrics of the HTTP side."""

from prometheus_client import Counter, Gauge, Histogram

from gateway.runtime.metrics import Tally

#: Seconds; from an order of an idle gateway to one that waits for a part that does not answer.
REQUEST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

REQUESTS = Counter("tidegate_requests", "Requests by route and status.", ["route", "status"])
REQUEST_S = Histogram(
    "tidegate_request_seconds",
    "Seconds from the first bytes of a request to its answer, by route and outcome; of exports "
    "and streams until they begin. Early rejections are not among them.",
    ["route", "outcome"],
    buckets=REQUEST_BUCKETS_S,
)  # ok, replayed, journaled, invalid, unauthorised, conflict, limited, shed, unavailable, failed
FAST_PATH = Tally(Counter("tidegate_short_way", "Submissions answered by the fast path."))
REJECTED_CALLBACKS = Counter(
    "tidegate_refused_callbacks",
    "Rejected callbacks by provider, account and reason.",
    ["provider", "account", "reason"],
)
RATE_LIMITED = Counter(
    "tidegate_quota_refused", "Requests beyond the rate limit of their API key or channel."
)
CONNECTIONS = Gauge("tidegate_connections", "Open client connections.", multiprocess_mode="livesum")
CACHED_ANSWERS = Counter(
    "tidegate_shelf_answers", "Pages answered from the response cache while lists were shed."
)
