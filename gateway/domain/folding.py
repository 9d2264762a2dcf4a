"""Folding: apply one event to one order. Pure, and the only place that decides what an event does.

``apply`` changes the ``OrderState`` and ``PaymentState`` it is given and returns the step.
Events commute as far as money can: in whatever order {placed, paid, refunded, closed} arrive,
an order that saw all of them ends in the same state.
"""

from collections.abc import Iterable
from decimal import Decimal

from gateway.domain import events, transitions
from gateway.domain.following import OrderState, PaymentState, Standing, Step
from gateway.domain.orders import Hold

#: In what order events that waited together are applied: money in, money out, then the rest.
RANK: dict[type, int] = {
    events.PaymentSucceeded: 0,
    events.RefundSucceeded: 1,
    events.Closed: 2,
    events.Shipped: 3,
    events.Delivered: 4,
    events.Noted: 5,
    events.Unmapped: 6,
}

#: The hold of an order while money that is not due stays with it, the gravest first.
_OWED: dict[Standing, Hold] = {
    "after_close": "paid_after_close",
    "mismatch": "amount_mismatch",
    "duplicate": "duplicate_payment",
}


def apply(
    event: events.Event,
    *,
    order: OrderState | None,
    payment: PaymentState | None,
    is_new: bool,
    payments: Iterable[PaymentState],
) -> Step:
    """Apply ``event`` to ``order`` and ``payment``, in place; return the step that was made.

    ``payment`` is the row of the event's transaction; ``is_new``: this very event created it.
    ``payments`` holds at least every transaction of the order. A changed order has its version
    raised by one.
    """
    if isinstance(event, events.Noted):
        return Step("noted")
    if isinstance(event, events.Unmapped):
        at = order.status if order is not None else None
        return Step("parked", at, at, "unmapped", event.detail)
    if isinstance(event, events.PaymentSucceeded):
        assert payment is not None, "a payment event brings its payment row"
        return _pay(event, order, payment, is_new, payments)
    if isinstance(event, events.RefundSucceeded):
        return _refund(event, order, payment, payments)
    assert isinstance(event, events.Closed | events.Shipped | events.Delivered)
    return _move(event, order)


def _pay(
    event: events.PaymentSucceeded,
    order: OrderState | None,
    payment: PaymentState,
    is_new: bool,
    payments: Iterable[PaymentState],
) -> Step:
    if not is_new and (contradiction := _contradiction(event, order, payment)):
        return contradiction
    if not is_new and payment.standing != "waiting":
        return Step("repeat")
    if order is None:
        if is_new:
            return Step("waiting")
        if event.order_no and not payment.order_no:
            # The first message of the transaction did not name its order; this one does.
            payment.order_no = event.order_no
            return Step("waiting")
        # The event that waits already carries all of it: a second one adds nothing.
        return Step("repeat")
    payment.order_id = order.id
    before = order.status
    if event.currency != order.currency or event.amount != order.payable:
        detail = f"paid {event.amount} {event.currency}, due {order.payable} {order.currency}"
        _mark_not_due(order, payment, "mismatch", payments)
        return Step("parked", before, before, "amount_mismatch", detail)
    if before == "pending_payment":
        order.status = transitions.TRANSITIONS[before, "payment_succeeded"]
        order.paid = event.amount
        order.paid_at = event.occurred_at
        order.version += 1
        payment.standing = "applied"
        return Step("applied", before, order.status)
    if before == "closed" and order.paid == 0:
        order.paid = event.amount
        order.paid_at = event.occurred_at
        _mark_not_due(order, payment, "after_close", payments)
        return Step("parked", before, before, "paid_after_close", "a refund is owed")
    _mark_not_due(order, payment, "duplicate", payments)
    return Step("parked", before, before, "duplicate_payment", "another transaction paid already")


def _contradiction(
    event: events.PaymentSucceeded, order: OrderState | None, payment: PaymentState
) -> Step | None:
    """Return the step of a message that contradicts an earlier one about its transaction."""
    at = order.status if order is not None else None
    detail = f"{payment.amount} {payment.currency}"
    if event.currency != payment.currency or event.amount != payment.amount:
        detail = f"paid {event.amount} {event.currency}, but {detail} when first reported"
        return Step("parked", at, at, "amount_mismatch", detail)
    if event.order_no and payment.order_no and event.order_no != payment.order_no:
        detail = f"paid order {event.order_no}, but {payment.order_no} when first reported"
        return Step("parked", at, at, "duplicate_payment", detail)
    return None


def _mark_not_due(
    order: OrderState, payment: PaymentState, standing: Standing, payments: Iterable[PaymentState]
) -> None:
    payment.standing = standing
    order.hold = _held_for(order, payments)
    order.version += 1


def _held_for(order: OrderState, payments: Iterable[PaymentState]) -> Hold | None:
    """Return the order's hold: money that must be refunded, else the hold it was placed with."""
    owed = {
        payment.standing
        for payment in payments
        if payment.order_id == order.id
        and (payment.refunded < payment.amount or not payment.amount)
    }
    return next((hold for standing, hold in _OWED.items() if standing in owed), order.placed_hold)


def _refund(
    event: events.RefundSucceeded,
    order: OrderState | None,
    payment: PaymentState | None,
    payments: Iterable[PaymentState],
) -> Step:
    if order is None or payment is None or payment.standing == "waiting":
        return Step("waiting")
    before = order.status
    if payment.order_id != order.id:
        detail = f"transaction {payment.transaction_id} paid another order"
        return Step("parked", before, before, "unmapped", detail)
    total = _refunded_total(event, payment.refunded)
    if event.currency != payment.currency or total > payment.amount:
        detail = f"refunded {total} {event.currency} of {payment.amount} {payment.currency}"
        return Step("parked", before, before, "refund_exceeds_payment", detail)
    if total == payment.refunded:
        return Step("repeat", before, before)
    delta = total - payment.refunded
    payment.refunded = total
    is_full = total == payment.amount
    if payment.standing in ("applied", "after_close"):
        order.refunded += delta
        if is_full:
            order.status = transitions.TRANSITIONS[before, "refund_succeeded"]
    if is_full and payment.standing in _OWED:
        # This reason to hold the order is gone; another one may remain.
        order.hold = _held_for(order, payments)
    order.version += 1
    return Step("applied", before, order.status)


def _refunded_total(event: events.RefundSucceeded, so_far: Decimal) -> Decimal:
    return max(so_far, event.amount) if event.cumulative else so_far + event.amount


def _move(
    event: events.Closed | events.Shipped | events.Delivered, order: OrderState | None
) -> Step:
    if order is None:
        if parcel := events.tracking_no(event):
            # Shipped long ago, or not by this shop: no order will come that this could wait for.
            detail = f"not exactly one order was shipped under {parcel}"
            return Step("parked", reason="unknown_order", detail=detail)
        return Step("waiting")
    before = order.status
    key = (before, events.action(event))
    if key in transitions.REPEATED:
        return Step("repeat", before, before)
    if key in transitions.PREMATURE:
        return Step("waiting", before, before)
    if key not in transitions.TRANSITIONS:
        detail = f"{key[1]} cannot follow {before}"
        return Step("parked", before, before, "impossible_transition", detail)
    order.status = transitions.TRANSITIONS[key]
    order.version += 1
    match event:
        case events.Closed():
            order.closed_at = event.occurred_at
        case events.Shipped():
            order.shipped_at = event.occurred_at
            order.carrier, order.tracking_no = event.carrier, event.tracking_no
        case events.Delivered():
            order.completed_at = event.occurred_at
    return Step("applied", before, order.status)
