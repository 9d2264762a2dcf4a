"""Acceptances: which targets say that they have an order. The earliest word of each counts."""

from gateway.domain.events import Accepted
from gateway.domain.following import Acceptance, OrderState


def accept(event: Accepted, order: OrderState) -> bool:
    """Record a target's word, in place; return whether that changes anything."""
    found = told(order.acceptances, event)
    if found is None:
        return False
    order.acceptances, order.accepted_at = found, found[0].accepted_at
    return True


def told(known: tuple[Acceptance, ...], event: Accepted) -> tuple[Acceptance, ...] | None:
    """Return the words that are known with this one, the earliest first; None: nothing new.

    Of several words of one target the earliest counts, in whatever order they arrive.
    """
    new = Acceptance(event.target, event.reference, event.occurred_at)
    before = next((each for each in known if each.target == event.target), None)
    if before is not None and _said(before) <= _said(new):
        return None
    others = [each for each in known if each.target != event.target]
    return tuple(sorted([*others, new], key=lambda each: (each.accepted_at, each.target)))


def _said(acceptance: Acceptance) -> tuple[object, ...]:
    return acceptance.accepted_at, acceptance.reference
