"""Authority: whether an account's event may touch an order, and a payment.

An account at a provider is configured with the channels whose orders it is paid for. Whatever a
message of it names, nothing outside those channels changes. Every way in asks here: events that
arrive, wait, are swept, drained from the journal, polled or replayed.
"""

from collections.abc import Iterable, Sequence

from gateway.domain.following import OrderState, PaymentState


def by_person(provider: str) -> str:
    """Return the source of payments that people record for a provider: no account's name."""
    return f"{provider}:by person"


def may_touch(
    *,
    source: str,
    channels: Sequence[str],
    order: OrderState | None,
    payment: PaymentState | None = None,
) -> bool:
    """Return whether an event of the account ``source`` may change ``order`` and ``payment``.

    The order must be of one of the account's ``channels``. The payment must have been reported by
    the same account, or have been booked to this very order: two accounts that are paid for one
    channel may both report a transaction. Transaction numbers alone prove nothing: each account
    has a name space of its own.
    """
    if order is not None and order.channel not in channels:
        return False
    if payment is None or payment.source == source:
        return True
    return order is not None and payment.order_id == order.id


def payment_of(
    candidates: Iterable[PaymentState],
    *,
    source: str,
    channels: Sequence[str],
    order: OrderState | None,
) -> PaymentState | None:
    """Return the payment that the event's transaction number means, or None.

    ``candidates`` are the payments of the event's provider with that number, of any account. What
    is booked to ``order`` already comes before what the account itself reported: reported by two
    accounts that are paid for its channel, a transaction counts once.
    """
    allowed = [
        payment
        for payment in candidates
        if may_touch(source=source, channels=channels, order=order, payment=payment)
    ]
    booked = (
        payment
        for payment in allowed
        if order is not None and payment.order_id == order.id and payment.standing != "repeat"
    )
    return next(booked, next((payment for payment in allowed if payment.source == source), None))
