"""Metrics of the hand-off. Targets come from the settings: a closed list."""

from prometheus_client import Counter, Gauge, Histogram

RELAYED = Counter(
    "tidegate_relayed_events", "Events that the relay moved from the outbox into the change feed."
)
OUTBOX = Gauge("tidegate_outbox_waiting", "Rows of the outbox that wait to be relayed.")
OUTBOX_OLDEST_S = Gauge(
    "tidegate_outbox_oldest_seconds", "Age of the oldest row that waits to be relayed; 0: none."
)
PENDING = Gauge("tidegate_deliveries_pending", "Deliveries that a target must get.", ["target"])
PENDING_OLDEST_S = Gauge(
    "tidegate_deliveries_oldest_seconds",
    "How long ago the oldest event happened that a target must get; 0: there is none.",
    ["target"],
)
DEAD = Gauge(
    "tidegate_deliveries_dead", "Dead letters: deliveries whose last attempt failed.", ["target"]
)
DISABLED = Gauge(
    "tidegate_target_disabled",
    "1 while nothing is handed on to a target: it answered 410.",
    ["target"],
)
TARGET_OPEN = Gauge(
    "tidegate_target_breaker",
    "Circuit breaker of a target: 0 closed, 0.5 tries a few, 1 open.",
    ["target"],
)
ATTEMPTS = Counter(
    "tidegate_delivery_attempts",
    "Attempts that ended, by target and outcome.",
    ["target", "outcome"],
)  # outcomes: delivered, failed, withdrawn
DEAD_LETTERS = Counter(
    "tidegate_dead_letters",
    "Deliveries whose last attempt failed, since this worker started.",
    ["target"],
)
DELIVERY_S = Histogram(
    "tidegate_delivery_seconds",
    "Seconds from the change of an order until a target had it.",
    ["target"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0),
)
