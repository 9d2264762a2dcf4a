"""One event applied to one order, with the transactions that a test names."""

from gateway.domain import events, folding
from gateway.domain.following import OrderState, PaymentState, Step
from tests.domain.support import new_id, paid, payment_state


def apply(
    event: events.Event,
    order: OrderState | None,
    payment: PaymentState | None = None,
    *,
    is_new: bool = False,
    others: tuple[PaymentState, ...] = (),
    takes_parts: bool = True,
) -> Step:
    """Apply ``event``; ``others`` are transactions of the same order beside its own."""
    for row in (payment, *others):
        if row is not None and row.standing != "waiting" and order is not None:
            row.order_id = order.id
    known = [row for row in (payment, *others) if row is not None]
    rules = folding.Rules(takes_parts=lambda channel: takes_parts, new_id=new_id)
    return folding.apply(
        event, order=order, payment=payment, is_new=is_new, known=known, rules=rules
    )


def pay(
    order: OrderState | None,
    event: events.PaymentSucceeded | None = None,
    *,
    takes_parts: bool = True,
) -> Step:
    """Apply a payment that was not reported before."""
    event = event or paid()
    payment = payment_state(
        "waiting",
        amount=event.amount,
        currency=event.currency,
        order_no=event.order_no,
        paid_at=event.occurred_at,
    )
    return apply(event, order, payment, is_new=True, takes_parts=takes_parts)
