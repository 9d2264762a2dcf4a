"""Payments that come with their order: a platform took the money before it handed the order over.

The order is placed first, then the payment is told like any other event. Both are idempotent, so
whatever falls between the two is made good by the repeat of the submission.
"""

from uuid import UUID

import msgspec

from gateway.domain import events, placing
from gateway.domain.following import Done, FollowUp
from gateway.domain.orders import Status, Submission
from gateway.domain.placing import Placed, Placement

#: The status of orders that were never paid; of a closed one it depends on what came first.
_UNPAID: frozenset[Status] = frozenset({"pending_payment", "closed"})


def source(order: Submission) -> str:
    """Return who reports the payment: no account of a provider can have this name."""
    return f"{'submitted-test' if order.is_test else 'submitted'}:{order.channel}"


def follow_up(placement: Placement, placed: Placed, *, id_: UUID) -> FollowUp | None:
    """Return the event of the payment that came with a placed order; None: there is none to tell.

    The same payment of the same order has the same key; of another amount, it is told as well, and
    parked as the contradiction that it is.
    """
    order = placement.submission
    payment = order.payment
    if not payment or placed.answer not in ("placed", "replayed"):
        return None
    amount = payment.amount or order.amounts.payable
    if not amount:
        return None  # of 0.00: it was placed as paid
    return FollowUp(
        id=id_,
        source=source(order),
        source_key=f"{order.order_no} {payment.transaction_id} {amount.normalize():f}",
        provider=payment.provider,
        channels=(order.channel,),
        event=events.PaymentSucceeded(
            transaction_id=payment.transaction_id,
            order_no=order.order_no,
            amount=amount,
            currency=order.currency,
            occurred_at=payment.paid_at,
        ),
        trigger=placement.trigger,
        received_at=placement.received_at,
        # Stored with the order where that is new.
        raw=placement.raw if placed.answer == "replayed" else None,
        is_test=order.is_test,
    )


def paid_with(placement: Placement, placed: Placed, done: Done | None) -> Placed:
    """Return the answer to an order that came with its payment: the same to every repeat.

    ``done`` has the order as it is now; None: that is not known, for the ledger is unavailable.
    """
    if placed.is_journaled or done is None or done.status is None:
        is_paid = _covers(placement)
    else:
        is_paid = done.status not in _UNPAID
    if is_paid:
        _, version = placing.first_state(placement.submission)
        return msgspec.structs.replace(placed, status="paid", version=version + 1)
    if done is not None and done.hold is not None:
        return msgspec.structs.replace(placed, hold=done.hold)
    return placed


def _covers(placement: Placement) -> bool:
    payment, due = placement.submission.payment, placement.submission.amounts.payable
    assert payment, "asked only of an order with a payment"
    amount = payment.amount or due
    return amount == due or (amount > due and placement.policy.parts == "accept")
