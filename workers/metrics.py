"""Metrics of what happens after the answer. Labels come from closed lists."""

from prometheus_client import Counter, Gauge

#: tasks: drainer, sweeper, timeouts, housekeeper, parked, missed, nightly, recheck
ROUNDS = Counter(
    "tidegate_worker_rounds",
    "Rounds of a task of this worker: done, or postponed because a part did not answer.",
    ["task", "result"],
)
LAST_DONE_S = Gauge(
    "tidegate_worker_last_done_timestamp_seconds",
    "Unix time at which a round of a task was last done.",
    ["task"],
)
DRAINED = Counter(
    "tidegate_drained", "Entries that left the journal, by lane and outcome.", ["lane", "outcome"]
)  # outcomes: committed, parked
SETTLED = Counter(
    "tidegate_settled_orders", "Orders that an event was waiting for, settled by the sweeper."
)
OVERDUE = Counter(
    "tidegate_overdue_events", "Events parked because they waited too long for their order."
)
TIMED_OUT = Counter(
    "tidegate_timed_out_orders", "Orders closed because nothing of them was paid in time."
)
DELETED = Counter(
    "tidegate_deleted", "What the housekeeper deleted because its time was over.", ["what"]
)  # monthly partitions; rows of windows, rejected_callbacks
PARKED_OPEN = Gauge(
    "tidegate_parked_open",
    "Rows of `parked` that wait for a person, by reason, and by the provider that told of it.",
    ["reason", "provider"],
)
RECHECKED = Counter(
    "tidegate_rechecked",
    "What was re-checked some seconds after a payment or an order, and what had to be mended.",
    ["what"],
)  # events that waited, orders that changed, order.paid restaged
SCAN_FINDINGS = Counter(
    "tidegate_scan_findings",
    "What the nightly scan and the re-check found new: money and orders that do not agree.",
    ["kind"],
)
MISSED_ORDERS = Gauge(
    "tidegate_missed_orders",
    "Orders that are paid, and that a target has not accepted within its `missed_after_s`.",
    ["target"],
)
MISSED_OLDEST_S = Gauge(
    "tidegate_missed_oldest_seconds",
    "Seconds since the target was to be told of the oldest order that it missed; 0: none.",
    ["target"],
)
PARKED_OLDEST_S = Gauge(
    "tidegate_parked_oldest_seconds", "Age of the oldest row that waits for a person; 0: none."
)
UNMATCHED = Gauge(
    "tidegate_unmatched_events",
    "Events that wait for their order, or for what must come before them, by provider.",
    ["provider"],
)
UNMATCHED_OLDEST_S = Gauge(
    "tidegate_unmatched_events_oldest_seconds",
    "Age of the oldest event that waits for its order; 0: none.",
)
EXCEPTIONS = Counter(
    "tidegate_exceptions", "Exceptions that this worker opened, ended or escalated.", ["what"]
)
EXCEPTIONS_OPEN = Gauge(
    "tidegate_exceptions_open", "Exceptions that no person resolved yet, by class.", ["kind"]
)
EXCEPTIONS_OVERDUE = Gauge(
    "tidegate_exceptions_overdue", "Open exceptions whose deadline is over, by class.", ["kind"]
)
ALERT_FIRING = Gauge("tidegate_alert_firing", "1 while the rule of an alert fires.", ["rule"])
ALERT_MESSAGES = Counter(
    "tidegate_alert_messages",
    "Messages about alerts, by channel and whether it took them.",
    ["channel", "result"],
)  # results: taken, refused
