"""Folding: apply one event to one order. Pure, and the only place that decides what an event does.

``apply`` changes the ``OrderState`` and ``PaymentState`` it is given and returns the step.
Events add facts; the status, the sums and the hold follow from all facts together. So events
commute as far as the world does: in whatever order {placed, paid, refunded, cancelled, shipped,
delivered} arrive, an order that saw all of them ends in the same state.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

from msgspec import Struct

from gateway.domain import (
    acceptances,
    by_person,
    events,
    holds,
    money,
    parcels,
    payments,
    transitions,
)
from gateway.domain.following import OrderState, PaymentState, Step

#: In what order events that waited together are applied: money in, money out, then the rest.
RANK: dict[type, int] = {
    events.Amended: 0,
    events.PaymentSucceeded: 1,
    events.RefundSucceeded: 2,
    events.RefundFailed: 3,
    events.Dispute: 4,
    events.HeldByPerson: 5,
    events.Released: 6,
    events.PaysOnDelivery: 7,
    events.Closed: 8,
    events.Reopened: 9,
    events.Shipped: 10,
    events.Delivered: 11,
    events.ParcelCancelled: 12,
    events.AddressChanged: 13,
    events.Accepted: 14,
    events.Noted: 15,
    events.Unmapped: 16,
}


class Rules(Struct, frozen=True):
    """What folding needs to know beside the ledger.

    ``takes_parts``: whether several payments may add up, by channel. ``new_id`` makes ids of rows.
    """

    takes_parts: Callable[[str], bool]
    new_id: Callable[[], UUID]
    #: Entries were journaled before: who asked for an action was answered, and is told otherwise.
    is_late: bool = False


def apply(
    event: events.Event,
    *,
    order: OrderState | None,
    payment: PaymentState | None,
    is_new: bool,
    known: Sequence[PaymentState],
    rules: Rules,
) -> Step:
    """Apply ``event`` to ``order`` and ``payment``, in place; return the step that was made.

    ``payment`` is the row of the event's transaction; ``is_new``: this very event created it.
    ``known`` holds at least every transaction of the order. An order that changed, or whose
    payment did, has its version raised by one and the status that its facts come to.
    """
    if isinstance(event, events.Noted):
        return Step("noted")
    if isinstance(event, events.Unmapped):
        at = order.status if order is not None else None
        return Step("parked", at, at, "unmapped", event.detail)
    step = _step(event, order, payment, is_new, known, rules)
    if order is not None and (step.outcome == "applied" or step.is_change):
        order.status = step.to_status = transitions.status_of(order)
        order.version += 1
    return step


def _step(
    event: events.Event,
    order: OrderState | None,
    payment: PaymentState | None,
    is_new: bool,
    known: Sequence[PaymentState],
    rules: Rules,
) -> Step:
    match event:
        case events.PaymentSucceeded():
            assert payment is not None, "a payment event brings its payment row"
            takes_parts = order is None or rules.takes_parts(order.channel)
            return payments.pay(
                event, order, payment, is_new=is_new, payments=known, takes_parts=takes_parts
            )
        case events.RefundSucceeded() | events.RefundFailed():
            return payments.refund(event, order, payment, payments=known, new_id=rules.new_id)
        case events.Dispute():
            return payments.dispute(event, order, payment, payments=known, new_id=rules.new_id)
        case events.Closed():
            return _close(event, order, known)
        case events.Shipped():
            return _ship(event, order, rules)
        case events.Delivered():
            return _deliver(event, order)
        case events.Accepted():
            return _accept(event, order)
        case events.Amended():
            return _amend(event, order, known)
        case (
            events.HeldByPerson()
            | events.Released()
            | events.Reopened()
            | events.ParcelCancelled()
            | events.AddressChanged()
        ):
            return by_person.apply(event, order, known)
        case events.PaysOnDelivery():
            return _pay_on_delivery(order)
        case _:
            raise TypeError(f"no rule for {event!r}")


def _close(event: events.Closed, order: OrderState | None, known: Sequence[PaymentState]) -> Step:
    if order is None:
        return Step("waiting")
    before = order.status
    if order.reopened_at is not None and event.occurred_at <= order.reopened_at:
        return Step("noted", before, before, detail="a person reopened the order since")
    if (before, event.cause) in transitions.REPEATED:
        return Step("repeat", before, before)
    if event.only_unpaid and (order.paid > 0 or order.paid_at is not None):
        # One way to pay was given up; another one was taken.
        return Step("noted", before, before)
    is_refused = order.pays_on_delivery and before == "shipped" and not order.paid
    if (before, event.cause) in transitions.PREMATURE and not is_refused:
        return Step("waiting", before, before)
    if (before, event.cause) not in transitions.TRANSITIONS and not is_refused:
        return transitions.impossible(event, before)
    order.closed_at, order.closed_cause = event.occurred_at, event.cause
    payments.sum_up(order, known)
    return Step("applied", before, before)


def _ship(event: events.Shipped, order: OrderState | None, rules: Rules) -> Step:
    if order is None:
        return Step("waiting")
    before = order.status
    if parcels.knows(event, order):
        return Step("repeat", before, before)
    if _is_early(order, "shipped"):
        return Step("waiting", before, before)
    if not _may(order, "shipped"):
        return transitions.impossible(event, before)
    if holds.stops(order.hold, "shipping"):
        return Step("waiting", before, before)
    parcels.ship(event, order, new_id=rules.new_id)
    return Step("applied", before, before)


def _deliver(event: events.Delivered, order: OrderState | None) -> Step:
    if order is None:
        if parcel := events.tracking_no(event):
            # Shipped long ago, or not by this shop: no order will come that this could wait for.
            detail = f"not exactly one order was shipped under {parcel}"
            return Step("parked", reason="unknown_order", detail=detail)
        return Step("waiting")
    before = order.status
    if _is_early(order, "delivered"):
        return Step("waiting", before, before)
    if not _may(order, "delivered") and (before, "delivered") not in transitions.REPEATED:
        return transitions.impossible(event, before)
    if order.shipped_at is None and holds.stops(order.hold, "shipping"):
        return Step("waiting", before, before)
    match parcels.deliver(event, order):
        case None:
            return Step("waiting", before, before)
        case False:
            return Step("repeat", before, before)
        case _:
            return Step("applied", before, before)


def _accept(event: events.Accepted, order: OrderState | None) -> Step:
    """Record a target's word, whatever became of the order meanwhile: it has the order."""
    if order is None:
        return Step("waiting")
    before = order.status
    if before == "pending_payment" and not order.pays_on_delivery:
        # It cannot have been told that the order is paid: the payment is on its way here, too.
        return Step("waiting", before, before)
    if not acceptances.accept(event, order):
        return Step("repeat", before, before)
    number = f" as {event.reference}" if event.reference else ""
    return Step("applied", before, before, detail=f"by {event.target}{number}")


def _amend(event: events.Amended, order: OrderState | None, known: Sequence[PaymentState]) -> Step:
    if order is None:
        return Step("waiting")
    before, told = order.status, event.amounts
    if event.currency != order.currency:
        detail = f"reported again in {event.currency}, stored in {order.currency}"
        return Step("parked", before, before, "unmapped", detail)
    is_open = order.paid_at is None and order.closed_at is None
    detail = ""
    if told.payable != order.payable:
        new, old = (money.named(each, order.currency) for each in (told.payable, order.payable))
        detail = f"due {new} instead of {old}"
        if not is_open:
            late = f"{detail}, reported too late"
            return Step("parked", before, before, "impossible_transition", late)
    order.payable = told.payable
    if is_open and not told.payable:
        order.paid_at = event.occurred_at
    payments.sum_up(order, known)
    return Step("applied", before, before, detail=detail)


def _pay_on_delivery(order: OrderState | None) -> Step:
    if order is None:
        return Step("waiting")
    before = order.status
    if order.pays_on_delivery:
        return Step("repeat", before, before)
    order.pays_on_delivery = True
    return Step("applied", before, before)


def _is_early(order: OrderState, action: str) -> bool:
    return (order.status, action) in transitions.PREMATURE and not order.pays_on_delivery


def _may(order: OrderState, action: str) -> bool:
    key = order.status, action
    return key in transitions.TRANSITIONS or key in transitions.PREMATURE
