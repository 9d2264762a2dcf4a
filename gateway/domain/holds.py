"""Holds: why a person must look at an order, what that stops, and what ends it."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from gateway.domain.following import OrderState, PaymentState, Standing
from gateway.domain.orders import Hold

#: What a hold can stop. ``hand_off``: the order is not told to the warehouse as paid. ``shipping``:
#: what says that it left waits until the hold ends. Money is taken whatever the hold.
Stop = Literal["hand_off", "shipping"]

#: Payments that count as money of their order, whether it was due or not.
COUNTED: frozenset[Standing] = frozenset({"applied", "after_close", "duplicate"})

_NOTHING = Decimal(0)
_EVERYTHING: frozenset[Stop] = frozenset({"hand_off", "shipping"})


class HoldRule(Struct, frozen=True):
    """What a hold stops, and who or what ends it, as a sentence for people."""

    stops: frozenset[Stop]
    ended_by: str


#: Every hold, the gravest first: of several reasons, an order shows the first.
HOLDS: dict[Hold, HoldRule] = {
    "disputed": HoldRule(_EVERYTHING, "the dispute is won or lost"),
    "refund_owed": HoldRule(_EVERYTHING, "what was paid for the closed order is refunded"),
    "amount_mismatch": HoldRule(_EVERYTHING, "the payment that does not fit is refunded in full"),
    "by_person": HoldRule(_EVERYTHING, "a person releases the order"),
    "suspected_brushing": HoldRule(_EVERYTHING, "a person releases the order"),
    "screened": HoldRule(_EVERYTHING, "a person releases the order"),
    "lookalike": HoldRule(_EVERYTHING, "a person releases the order"),
    "duplicate_payment": HoldRule(frozenset(), "one of the payments is refunded"),
    "overpaid": HoldRule(frozenset(), "the surplus is refunded"),
    "screened_note": HoldRule(frozenset(), "a person releases the order"),
}


def stops(hold: Hold | None, what: Stop) -> bool:
    """Return whether an order with this hold may not do that."""
    return hold is not None and what in HOLDS[hold].stops


def hold_of(order: OrderState, payments: Iterable[PaymentState]) -> Hold | None:
    """Return the gravest reason to hold the order, or None.

    ``payments`` holds at least every transaction of the order. A function of what is known, so
    that it does not depend on the order of arrival.
    """
    found: set[Hold] = set()
    for payment in payments:
        if payment.order_id != order.id:
            continue
        if any(dispute.state == "opened" for dispute in payment.disputes):
            found.add("disputed")
        is_kept = payment.refunded < payment.amount or not payment.amount
        if payment.standing == "mismatch" and is_kept:
            found.add("amount_mismatch")
    if owed := owed_back(order):
        found.add(_reason_of_surplus(order, owed, payments))
    if order.placed_hold is not None and order.released_at is None:
        found.add(order.placed_hold)
    if is_held_by_person(order):
        found.add("by_person")
    return next((hold for hold in HOLDS if hold in found), None) if found else None


def is_held_by_person(order: OrderState) -> bool:
    """Return whether a person held the order after it was last released."""
    held_at, released_at = order.held_at, order.released_at
    return held_at is not None and (released_at is None or held_at > released_at)


def owed_back(order: OrderState) -> Decimal:
    """Return what must go back to the buyer of the money that counts for the order."""
    kept = order.paid - order.refunded
    due = _NOTHING if order.closed_at is not None else order.payable
    return kept - due if kept > due else _NOTHING


def _reason_of_surplus(order: OrderState, owed: Decimal, payments: Iterable[PaymentState]) -> Hold:
    if order.closed_at is not None:
        return "refund_owed"
    is_whole = any(
        payment.order_id == order.id
        and payment.standing in COUNTED
        and 0 < payment.amount - payment.refunded <= owed
        for payment in payments
    )
    return "duplicate_payment" if is_whole else "overpaid"
