"""A shop message: orders that a shop took, and events of orders, in one verified message."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from gateway.domain import orders
from gateway.domain.channels import Policies
from gateway.domain.errors import Invalid, Poisoned
from gateway.domain.events import Event, Unmapped
from gateway.domain.following import FollowUp
from gateway.domain.orders import Submission
from gateway.intake.accept import Intake

_DETAIL_MAX = 500


class ShopMessage(Struct, frozen=True):
    """A verified message. ``items`` are (key, order or event), an order before its events.

    ``source`` is ``<provider>:<account>``; ``policies`` has the channels whose orders it may name,
    each with its rules.
    ``is_test``: the account is one for tests, and so are the orders that it names.
    """

    source: str
    provider: str
    policies: Policies
    trigger: str
    items: Sequence[tuple[str, Event | Submission]]
    body: bytes
    received_at: datetime
    is_test: bool = False


async def accept(message: ShopMessage, *, intake: Intake, new_id: Callable[[], UUID]) -> None:
    """Return when every item is committed, journaled or parked.

    Raises ``Unavailable``; sending the whole message again is harmless then. An order that
    cannot be stored as it is, or that differs from the one stored under its number, is parked as
    ``unmapped``.
    """
    left: list[tuple[str, Event]] = []
    is_kept = False
    is_test = message.is_test
    for key, event in message.items:
        if not isinstance(event, Submission):
            left.append((key, event))
            continue
        order = orders.as_test(event) if message.is_test else event
        # The events that follow are those of this order.
        is_test = order.is_test
        trouble, is_new = await _place(message, order, intake=intake)
        is_kept = is_kept or is_new
        if trouble:
            left.append((key, Unmapped("order", event.order_no, trouble, message.received_at)))
    pending = [
        intake.accept_event(
            FollowUp(
                id=new_id(),
                source=message.source,
                source_key=key,
                provider=message.provider,
                channels=tuple(message.policies),
                event=event,
                trigger=message.trigger,
                received_at=message.received_at,
                # Stored once: with the order it brought, or else with the first event.
                raw=message.body if n == 0 and not is_kept else None,
                is_test=is_test,
            )
        )
        for n, (key, event) in enumerate(left)
    ]
    for result in await asyncio.gather(*pending, return_exceptions=True):
        # What was parked is stored, and an operator sees it: sending it again would not help.
        if isinstance(result, BaseException) and not isinstance(result, Poisoned):
            raise result


async def _place(message: ShopMessage, order: Submission, *, intake: Intake) -> tuple[str, bool]:
    """Place an order; return why it must be parked (or ``""``), and whether it is new."""
    try:
        placement = intake.shop_placement(
            order, raw=message.body, trigger=message.trigger, policies=message.policies
        )
    except Invalid as exc:
        faults = "; ".join([f"{fault.field} {fault.reason}" for fault in exc.faults])
        return faults[:_DETAIL_MAX], False
    try:
        placed = await intake.accept_order(placement)
    except Poisoned:
        return "", True
    if placed.answer in ("conflict", "key_reused"):
        return "the order differs from the one stored under its number", False
    return "", placed.answer == "placed"
