"""What one message of a provider tells: orders that a shop took, and what happened to orders."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from gateway.domain.errors import Invalid, Poisoned
from gateway.domain.events import Event, Unmapped
from gateway.domain.following import FollowUp
from gateway.domain.orders import Submission
from gateway.intake.accept import Intake

_DETAIL_MAX = 500


class ShopMessage(Struct, frozen=True):
    """A verified message. ``items`` are (key, what it tells), an order before its events.

    ``source`` is ``<provider>:<account>``; ``channels`` those whose orders it may speak of.
    """

    source: str
    provider: str
    channels: tuple[str, ...]
    trigger: str
    items: Sequence[tuple[str, Event | Submission]]
    body: bytes
    received_at: datetime


async def accept(message: ShopMessage, *, intake: Intake, new_id: Callable[[], UUID]) -> None:
    """Return when everything that was told is committed, journaled or set aside.

    Raises ``Unavailable``; telling it all again is harmless then. An order that can not be
    stored as it is, or that is not the one stored under its number, is parked as ``unmapped``.
    """
    left: list[tuple[str, Event]] = []
    is_kept = False
    for key, event in message.items:
        if not isinstance(event, Submission):
            left.append((key, event))
            continue
        trouble, is_new = await _place(message, event, intake=intake)
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
                channels=message.channels,
                event=event,
                trigger=message.trigger,
                received_at=message.received_at,
                # Kept once: with the order it brought, or else with the first event.
                raw=message.body if n == 0 and not is_kept else None,
            )
        )
        for n, (key, event) in enumerate(left)
    ]
    for result in await asyncio.gather(*pending, return_exceptions=True):
        # What was set aside is stored and in front of a person: sending again helps nobody.
        if isinstance(result, BaseException) and not isinstance(result, Poisoned):
            raise result


async def _place(message: ShopMessage, order: Submission, *, intake: Intake) -> tuple[str, bool]:
    """Place an order; return why a person must look (or ``""``), and whether it is new."""
    try:
        placement = intake.shop_placement(order, raw=message.body, trigger=message.trigger)
    except Invalid as exc:
        faults = "; ".join([f"{fault.field} {fault.reason}" for fault in exc.faults])
        return faults[:_DETAIL_MAX], False
    try:
        placed = await intake.accept_order(placement)
    except Poisoned:
        return "", True
    if placed.answer in ("conflict", "key_reused"):
        return "the order is not as it was when it was placed", False
    return "", placed.answer == "placed"
