"""The life of an order: one closed table of status transitions, used everywhere.

A transition that the table does not list is never made. What arrives early waits; what can
never be applied is parked with a reason.
"""

from gateway.domain.orders import Status

#: (from, action) -> to. A partial refund leaves the status; a full one makes this transition.
TRANSITIONS: dict[tuple[Status, str], Status] = {
    ("pending_payment", "payment_succeeded"): "paid",
    ("pending_payment", "timed_out"): "closed",
    ("pending_payment", "cancelled"): "closed",
    ("paid", "shipped"): "shipped",
    ("shipped", "delivered"): "completed",
    ("paid", "refund_succeeded"): "refunded",
    ("shipped", "refund_succeeded"): "refunded",
    ("completed", "refund_succeeded"): "refunded",
    # What was paid after the close was refunded in full: nothing is owed.
    ("closed", "refund_succeeded"): "refunded",
}

#: Early, not impossible: these wait for the transition that must come before them.
PREMATURE: frozenset[tuple[Status, str]] = frozenset(
    {
        ("pending_payment", "shipped"),
        ("pending_payment", "delivered"),
        ("paid", "delivered"),
    }
)

#: Repeats: the order already has the status that this would bring, or one after it.
REPEATED: frozenset[tuple[Status, str]] = frozenset(
    {
        ("closed", "timed_out"),
        ("closed", "cancelled"),
        ("shipped", "shipped"),
        ("completed", "shipped"),
        ("completed", "delivered"),
    }
)
