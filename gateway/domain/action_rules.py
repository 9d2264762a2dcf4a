"""Whether a person may do something to an order as it is. Pure, asked under the order's lock.

The table of moves (``transitions``) says what a status allows; parcels, payments and the hold say
the rest. What an action asks for and is so already is no conflict: its repeat is answered as the
first was (RFC 9110, 13.1.1).
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal

from gateway.domain import events, holds, money, parcels
from gateway.domain.asking import ACTIONS, Action, Asked, Refusal
from gateway.domain.following import OrderState, PaymentState
from gateway.domain.orders import Hold, Status
from gateway.domain.transitions import PREMATURE, REPEATED, TRANSITIONS

#: What ends the holds that a release ends.
_RELEASED = "a person releases the order"
#: None: it may be done. ``same``: it is so already.
Verdict = Refusal | Literal["same"] | None

#: The word of each action in the table of moves; a release is possible whatever the status.
_WORDS: dict[Action, str] = {
    "ship": "shipped",
    "deliver": "delivered",
    "close": "cancelled",
    "reopen": "reopened",
    "cancel-parcel": "parcel_cancelled",
    "refund": "refund_succeeded",
    "hold": "held",
    "make-up-payment": "payment_succeeded",
    "amend": "amended",
    "address": "address_changed",
}


def judge(
    event: events.Event,
    asked: Asked,
    order: OrderState | None,
    *,
    named: Sequence[PaymentState],
    takes_parts: bool,
    is_readable: bool,
) -> Verdict:
    """Return whether an action may be applied to its locked order.

    ``named``: the payments of any order with the number that the event names; ``is_readable``:
    whether the private part of the order can be opened.
    """
    if order is None or order.id != asked.order_id:
        return _of_another(event, order)
    verdict = _verdict(event, order, named, takes_parts)
    if verdict == "same":
        return verdict
    if asked.version not in (None, order.version):
        return Refusal("version_changed", "read the order again, then decide")
    if verdict is None and isinstance(event, events.AddressChanged) and not is_readable:
        return Refusal("unreadable", "what is stored of the recipient cannot be opened")
    return verdict


def allowed_in(status: Status, hold: Hold | None) -> tuple[Action, ...]:
    """Return the actions that a status and a hold allow, as far as these tell."""
    found: list[Action] = []
    for action in ACTIONS:
        if action == "hold" and hold == "by_person":
            continue
        if action == "release":
            is_allowed = hold is not None and holds.HOLDS[hold].ended_by == _RELEASED
        elif (action == "ship" and holds.stops(hold, "shipping")) or (
            action == "hold" and hold == "by_person"
        ):
            is_allowed = False
        elif action == "refund" and status == "pending_payment":
            # Of a part that was paid, which these do not tell.
            is_allowed = False
        else:
            is_allowed = (status, _WORDS[action]) in TRANSITIONS
        if is_allowed:
            found.append(action)
    return tuple(found)


def allowed(order: OrderState) -> tuple[Action, ...]:
    """Return the actions that the order's status, hold and money allow."""
    return tuple(action for action in ACTIONS if _is_allowed(action, order))


def _is_allowed(action: Action, order: OrderState) -> bool:
    match action:
        case "release":
            return _is_releasable(order)
        case "ship" if holds.stops(order.hold, "shipping"):
            return False
        case "deliver" if order.shipped_at is None and holds.stops(order.hold, "shipping"):
            return False
        case "refund" if order.refunded >= order.paid:
            return False
        case "hold" if holds.is_held_by_person(order):
            return False
    word = _WORDS[action]
    if (order.status, word) in PREMATURE:
        return order.pays_on_delivery
    return (order.status, word) in TRANSITIONS


def _verdict(
    event: events.Event,
    order: OrderState,
    named: Sequence[PaymentState],
    takes_parts: bool,
) -> Verdict:
    match event:
        case events.RefundSucceeded():
            return _refund(event, order, named)
        case events.PaymentSucceeded():
            return _make_up(event, order, named, takes_parts)
        case _:
            rule: Callable[[Any, OrderState], Verdict] = _RULES[type(event)]
            return rule(event, order)


def _ship(event: events.Shipped, order: OrderState) -> Verdict:
    known = parcels.known_by_tracking_no(event.tracking_no, order)
    if known is not None and known.is_live():
        is_same = known.carrier == event.carrier and (not event.lines or event.lines == known.lines)
        if is_same:
            return "same"
        detail = (
            f"parcel {event.tracking_no} of {known.carrier or 'no carrier'} has another content"
        )
        if known.carrier != event.carrier:
            detail = f"parcel {event.tracking_no} is known, with the carrier {known.carrier}"
        return _refused(order, f"{detail}: cancel it first, and ship it anew")
    return _moved("ship", order) or _leaving("ship", order)


def _deliver(event: events.Delivered, order: OrderState) -> Verdict:
    if event.tracking_no:
        known = parcels.known_by_tracking_no(event.tracking_no, order)
        if known is None:
            detail = f"the order has no parcel {event.tracking_no}"
            return _refused(order, detail, is_early=True)
        if known.delivered_at is not None:
            return "same"
    elif order.is_delivered:
        return "same"
    if (order.status, "delivered") in REPEATED:
        return None
    refusal = _moved("deliver", order)
    if refusal is None and order.shipped_at is None:
        return _leaving("deliver", order)
    return refusal


def _cancel_parcel(event: events.ParcelCancelled, order: OrderState) -> Verdict:
    known = parcels.known_by_tracking_no(event.tracking_no, order)
    if known is None:
        detail = f"the order has no parcel {event.tracking_no}"
        return _refused(order, detail, is_early=True)
    if known.delivered_at is not None:
        return _refused(order, f"parcel {event.tracking_no} was delivered")
    if not known.is_live():
        return "same"
    return _moved("cancel-parcel", order)


def _close(event: events.Closed, order: OrderState) -> Verdict:
    if (order.status, event.cause) in REPEATED:
        return "same"
    if order.pays_on_delivery and order.status == "shipped" and not order.paid:
        return None
    if (order.status, event.cause) in PREMATURE:
        detail = f"the order is {order.status}: cancel its parcels first, or refund what was paid"
        return _refused(order, detail, is_early=True)
    return _moved("close", order)


def _refund(
    event: events.RefundSucceeded, order: OrderState, named: Sequence[PaymentState]
) -> Verdict:
    payment = next(
        (
            each
            for each in named
            if each.order_id == order.id and each.standing not in ("waiting", "repeat")
        ),
        None,
    )
    if payment is None:
        detail = f"no payment {event.transaction_id} is booked to the order"
        return _refused(order, detail, is_early=True)
    told = [each for each in payment.refunds if each.refund_no == event.refund_no]
    last = max(told, key=lambda each: (each.occurred_at, each.is_failed), default=None)
    if last is not None and last.is_failed:
        detail = f"refund {event.refund_no} failed: record the other way under another number"
        return _refused(order, detail)
    if last is not None:
        if last.amount == event.amount:
            return "same"
        recorded = money.named(last.amount, payment.currency)
        return _refused(order, f"refund {event.refund_no} is recorded with {recorded}")
    kept = payment.amount - payment.refunded
    if event.currency != payment.currency or event.amount > kept:
        left = money.named(kept, payment.currency)
        return _refused(order, f"of payment {event.transaction_id} {left} can go back")
    # Money that does not count for the order goes back in whatever status.
    return None if payment.standing == "mismatch" else _moved("refund", order)


def _make_up(
    event: events.PaymentSucceeded,
    order: OrderState,
    named: Sequence[PaymentState],
    takes_parts: bool,
) -> Verdict:
    for known in named:
        if known.order_id == order.id:
            if (known.currency, known.amount) == (event.currency, event.amount):
                return "same"
            booked = money.named(known.amount, known.currency)
            return _refused(order, f"payment {event.transaction_id} is booked with {booked}")
        if known.order_id is not None:
            return _refused(order, f"payment {event.transaction_id} is booked to another order")
        if known.order_no and not order.has_number(known.order_no):
            # It waits for that order, and would count for both.
            detail = f"payment {event.transaction_id} is told for order {known.order_no}"
            return _refused(order, detail)
    if refusal := _moved("make-up-payment", order):
        return refusal
    due = order.payable - (order.paid - order.refunded)
    if event.amount > due or (not takes_parts and event.amount != order.payable):
        named_due = money.named(max(due, Decimal(0)), order.currency)
        return _refused(order, f"{named_due} is due, in the channel {order.channel}")
    return None


def _amend(event: events.Amended, order: OrderState) -> Verdict:
    if refusal := _moved("amend", order):
        return refusal
    if order.paid_at is not None and event.amounts.payable != order.payable:
        due = money.named(order.payable, order.currency)
        return _refused(order, f"{due} was due and is paid: only its lines can be changed")
    return None


def _reopen(_: events.Reopened, order: OrderState) -> Verdict:
    is_open_again = order.closed_at is None and order.reopened_at is not None
    return "same" if is_open_again else _moved("reopen", order)


def _hold(_: events.HeldByPerson, order: OrderState) -> Verdict:
    return "same" if holds.is_held_by_person(order) else _moved("hold", order)


def _release(_: events.Released, order: OrderState) -> Verdict:
    return None if _is_releasable(order) else "same"


def _readdress(_: events.AddressChanged, order: OrderState) -> Verdict:
    return _moved("address", order)


_RULES: dict[type, Callable[[Any, OrderState], Verdict]] = {
    events.Shipped: _ship,
    events.Delivered: _deliver,
    events.ParcelCancelled: _cancel_parcel,
    events.Closed: _close,
    events.Reopened: _reopen,
    events.HeldByPerson: _hold,
    events.Released: _release,
    events.Amended: _amend,
    events.AddressChanged: _readdress,
}


def _moved(action: Action, order: OrderState) -> Refusal | None:
    """Return the refusal of what the table of moves does not list for the order's status."""
    pair = order.status, _WORDS[action]
    if pair in TRANSITIONS or (pair in PREMATURE and order.pays_on_delivery):
        return None
    return _refused(order, _sentence(action, order), is_early=pair in PREMATURE)


def _leaving(action: Action, order: OrderState) -> Refusal | None:
    if not holds.stops(order.hold, "shipping"):
        return None
    ends = holds.HOLDS[order.hold].ended_by if order.hold else ""
    detail = f"the order is held as {order.hold}, until {ends}"
    return _refused(order, detail, is_early=True)


def _is_releasable(order: OrderState) -> bool:
    is_placed_held = order.placed_hold is not None and order.released_at is None
    return is_placed_held or holds.is_held_by_person(order)


def _sentence(action: Action, order: OrderState) -> str:
    return f"{action} is not possible while the order is {order.status}"


def _refused(order: OrderState, detail: str, *, is_early: bool = False) -> Refusal:
    return Refusal("too_early" if is_early else "not_allowed", detail, allowed(order))


def _of_another(event: events.Event, order: OrderState | None) -> Refusal:
    if order is None:
        return Refusal("unknown", "no order has this number any more")
    detail = f"payment {events.transaction_id(event)} is that of another order"
    return Refusal("not_allowed", detail)
