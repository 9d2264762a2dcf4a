"""Metrics of the HTTP side."""

from prometheus_client import Counter, Gauge

REQUESTS = Counter("tidegate_requests", "Requests by route and status.", ["route", "status"])
FAST_PATH = Counter("tidegate_short_way", "Submissions answered by the fast path.")
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
