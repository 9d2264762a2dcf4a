"""Metrics of overload control and of operators' overrides."""

from prometheus_client import Counter, Gauge

LOAD = Gauge(
    "tidegate_load",
    "Load of the busiest process: 0 idle, 0.8 lesser features begin to be shed, 1 full.",
    ["side"],
    multiprocess_mode="livemax",
)  # front, back
LOAD_SIGNAL = Gauge(
    "tidegate_load_signal", "Share of the load by signal.", ["signal"], multiprocess_mode="livemax"
)
PEERS = Gauge(
    "tidegate_peers",
    "Other processes whose published load is known now; of several processes the lowest count.",
    multiprocess_mode="livemin",
)
SLOTS = Gauge(
    "tidegate_slots",
    "Requests between first byte and batch, the concurrency limit, and the in-flight limit.",
    ["what"],
    multiprocess_mode="livesum",
)
SHED_SHARE = Gauge(
    "tidegate_shed_share",
    "Share of a tier's requests that is rejected for load.",
    ["tier"],
    multiprocess_mode="livemax",
)
SHED = Counter(
    "tidegate_shed",
    "Requests rejected for load; with mode watch, those that would have been.",
    ["feature", "reason", "mode"],
)  # reasons: shed, slots, inflight, stall, operator
FORCED = Gauge(
    "tidegate_forced",
    "1 while an operator's override sheds or admits a feature, or sheds its tier early.",
    ["feature", "word"],
    multiprocess_mode="livemax",
)
