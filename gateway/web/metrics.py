"""Figures of the HTTP side."""

from prometheus_client import Counter, Gauge

REQUESTS = Counter("tidegate_requests", "Requests by route and status.", ["route", "status"])
SHORT_WAY = Counter(
    "tidegate_short_way", "Submissions that were answered from the bytes they came as."
)
REFUSED_CALLBACKS = Counter(
    "tidegate_refused_callbacks",
    "Callbacks refused, by provider, account and reason.",
    ["provider", "account", "reason"],
)
QUOTA_REFUSED = Counter(
    "tidegate_quota_refused", "Requests beyond the quota of their API key or channel."
)
CONNECTIONS = Gauge("tidegate_connections", "Open client connections.", multiprocess_mode="livesum")
SHELVED = Counter(
    "tidegate_shelf_answers", "Pages given from the last minute's while lists were dark."
)
