"""What a person does to an order, as facts: held, released, reopened, a parcel cancelled. Pure.

The latest word counts by when it was said, not by when it arrives: an action may have been
journaled. Whether a person may do it now is asked before (``action_rules``).
"""

from collections.abc import Sequence

from gateway.domain import events, parcels, payments, transitions
from gateway.domain.following import OrderState, PaymentState, Step

ByPerson = (
    events.HeldByPerson
    | events.Released
    | events.Reopened
    | events.ParcelCancelled
    | events.AddressChanged
)


def apply(event: ByPerson, order: OrderState | None, known: Sequence[PaymentState]) -> Step:
    """Add what a person did to the facts of an order. ``known``: see ``folding.apply``."""
    if order is None:
        if isinstance(event, events.AddressChanged):
            # The address itself is in the message, and what waits has none.
            return Step("parked", reason="unknown_order", detail="no order has this number")
        return Step("waiting")
    match event:
        case events.HeldByPerson():
            step = _hold(event, order)
        case events.Released():
            step = _release(event, order)
        case events.Reopened():
            step = _reopen(event, order)
        case events.ParcelCancelled():
            step = _cancel_parcel(event, order)
        case events.AddressChanged():
            return _change_address(event, order)
    if step.outcome == "applied":
        payments.sum_up(order, known)
    return step


def _hold(event: events.HeldByPerson, order: OrderState) -> Step:
    at = order.status
    if order.held_at is not None and event.occurred_at <= order.held_at:
        return Step("repeat", at, at)
    order.held_at = event.occurred_at
    return Step("applied", at, at, detail=event.reason)


def _release(event: events.Released, order: OrderState) -> Step:
    at = order.status
    if order.released_at is not None and event.occurred_at <= order.released_at:
        return Step("repeat", at, at)
    # Kept also where nothing is held: what it ends may have been journaled, and come later.
    order.released_at = event.occurred_at
    return Step("applied", at, at, detail=event.reason)


def _reopen(event: events.Reopened, order: OrderState) -> Step:
    at = order.status
    if order.reopened_at is not None and event.occurred_at <= order.reopened_at:
        return Step("repeat", at, at)
    is_closed = order.closed_at is not None
    if is_closed and (at, "reopened") not in transitions.TRANSITIONS:
        return transitions.impossible(event, at)
    order.reopened_at = event.occurred_at
    if order.closed_at is not None and order.closed_at <= event.occurred_at:
        order.closed_at = order.closed_cause = None
    return Step("applied", at, at, detail=event.reason)


def _cancel_parcel(event: events.ParcelCancelled, order: OrderState) -> Step:
    at = order.status
    known = parcels.known_by_tracking_no(event.tracking_no, order)
    if known is None:
        return Step("waiting", at, at)
    if known.delivered_at is not None:
        return transitions.impossible(event, at)
    if known.cancelled_at is not None:
        return Step("repeat", at, at)
    parcels.cancel(event, known, order)
    return Step("applied", at, at, detail=event.reason)


def _change_address(event: events.AddressChanged, order: OrderState) -> Step:
    at = order.status
    if (at, "address_changed") not in transitions.TRANSITIONS:
        return transitions.impossible(event, at)
    return Step("applied", at, at)
