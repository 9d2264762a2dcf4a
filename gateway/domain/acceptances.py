"""Acceptances: which targets say that they have an order. The earliest word of each counts."""

from gateway.domain.events import Accepted
from gateway.domain.following import Acceptance, OrderState


def accept(event: Accepted, order: OrderState) -> bool:
    """Record a target's word, in place; return whether that changes anything.

    Of several words of one target the earliest counts, in whatever order they arrive.
    """
    told = Acceptance(event.target, event.reference, event.occurred_at)
    known = next((each for each in order.acceptances if each.target == event.target), None)
    if known is not None and _key(known) <= _key(told):
        return False
    others = [each for each in order.acceptances if each.target != event.target]
    order.acceptances = tuple(sorted([*others, told], key=_sorted))
    order.accepted_at = order.acceptances[0].accepted_at
    return True


def _key(acceptance: Acceptance) -> tuple[object, ...]:
    return acceptance.accepted_at, acceptance.reference


def _sorted(acceptance: Acceptance) -> tuple[object, ...]:
    return acceptance.accepted_at, acceptance.target
