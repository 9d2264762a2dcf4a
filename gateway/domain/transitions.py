"""The life of an order: one closed table of moves, and the status that the facts make.

A move that the table does not list is never made. What arrives early waits; what can never be
applied is parked with a reason. The status is not moved by hand: events add facts (paid in full,
a parcel left, closed), and ``status_of`` says what they come to, in whatever order they arrived.
"""

from gateway.domain import events
from gateway.domain.following import OrderState, Step
from gateway.domain.orders import Status

#: (status, action) -> the status that it may make. Parts of a payment, partial refunds, parcels
#: after the first and failed refunds may leave the status as it is, or bring an earlier one back.
TRANSITIONS: dict[tuple[Status, str], Status] = {
    ("pending_payment", "payment_succeeded"): "paid",
    ("pending_payment", "timed_out"): "closed",
    # With a part paid: `cancelling` until that went back.
    ("pending_payment", "cancelled"): "closed",
    ("paid", "cancelled"): "cancelling",
    ("paid", "shipped"): "shipped",
    # Nothing that is sent: services, downloads, a pick-up.
    ("paid", "delivered"): "completed",
    ("shipped", "shipped"): "shipped",
    ("shipped", "delivered"): "completed",
    # One more parcel after all that were known had arrived.
    ("completed", "shipped"): "shipped",
    ("paid", "refund_succeeded"): "refunded",
    ("shipped", "refund_succeeded"): "refunded",
    ("completed", "refund_succeeded"): "refunded",
    ("cancelling", "refund_succeeded"): "refunded",
    # What was paid after the close was refunded in full: nothing is owed.
    ("closed", "refund_succeeded"): "refunded",
    # Of a part that was paid.
    ("pending_payment", "refund_succeeded"): "pending_payment",
    # Refunded before it was told why.
    ("refunded", "cancelled"): "refunded",
    # What people alone do. A release is possible whatever the status: it ends a hold.
    ("closed", "reopened"): "pending_payment",
    ("cancelling", "reopened"): "paid",
    # `shipped` while another parcel is on its way.
    ("shipped", "parcel_cancelled"): "paid",
    ("pending_payment", "held"): "pending_payment",
    ("paid", "held"): "paid",
    ("shipped", "held"): "shipped",
    ("pending_payment", "amended"): "pending_payment",
    ("paid", "amended"): "paid",
    ("pending_payment", "address_changed"): "pending_payment",
    ("paid", "address_changed"): "paid",
}

#: Early, not impossible: these wait for the payment that must come before them, unless the buyer
#: pays on delivery; and the end of an order that was sent waits for the refund, unless the buyer
#: was to pay on delivery and did not.
PREMATURE: frozenset[tuple[Status, str]] = frozenset(
    {
        ("pending_payment", "shipped"),
        ("pending_payment", "delivered"),
        ("shipped", "cancelled"),
        ("completed", "cancelled"),
    }
)

#: Repeats: the order already has the fact that this would bring.
REPEATED: frozenset[tuple[Status, str]] = frozenset(
    {
        ("closed", "timed_out"),
        ("closed", "cancelled"),
        ("cancelling", "cancelled"),
        ("completed", "delivered"),
    }
)


def status_of(order: OrderState) -> Status:
    """Return the status that the facts of an order come to.

    Closed comes first, then refunded, then how far the goods are, then the payment.
    """
    is_emptied = order.paid > 0 and order.refunded == order.paid
    if order.closed_at is not None:
        if is_emptied:
            return "refunded"
        return "cancelling" if order.closed_cause == "cancelled" and order.paid > 0 else "closed"
    if is_emptied and order.paid_at is not None:
        return "refunded"
    if order.completed_at is not None:
        return "completed"
    if order.shipped_at is not None:
        return "shipped"
    return "paid" if order.paid_at is not None else "pending_payment"


def impossible(event: events.Event, at: Status) -> Step:
    """Return the step of an event that the table does not list: it is parked."""
    detail = f"{events.action(event)} cannot follow {at}"
    return Step("parked", at, at, "impossible_transition", detail)
