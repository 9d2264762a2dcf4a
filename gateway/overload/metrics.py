"""Figures of overload, and what operators force."""

from prometheus_client import Counter, Gauge

LOAD = Gauge(
    "tidegate_load",
    "Load of the busiest process: 0 idle, 0.8 lesser features begin to go, 1 full.",
    ["side"],
    multiprocess_mode="livemax",
)  # front, back
LOAD_SIGNAL = Gauge(
    "tidegate_load_signal", "Share of the load by signal.", ["signal"], multiprocess_mode="livemax"
)
PEERS = Gauge(
    "tidegate_peers",
    "Other processes of which it is known now what lies behind them, by whoever knows fewest.",
    multiprocess_mode="livemin",
)
SLOTS = Gauge(
    "tidegate_slots",
    "Requests between first byte and batch, their limit, and that of all until their answer.",
    ["what"],
    multiprocess_mode="livesum",
)
SHED_SHARE = Gauge(
    "tidegate_shed_share",
    "Share of a tier's requests that is refused for load.",
    ["tier"],
    multiprocess_mode="livemax",
)
SHED = Counter(
    "tidegate_shed",
    "Requests refused for load; with mode watch, those that would have been.",
    ["feature", "reason", "mode"],
)  # reasons: shed, slots, inflight, stall
FORCED = Gauge(
    "tidegate_forced",
    "1 while an operator has a feature refused (shed) or taken (admit) whatever the load.",
    ["feature", "word"],
    multiprocess_mode="livemax",
)
