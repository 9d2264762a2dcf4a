"""Parcels: what left and what arrived, folded into an order. Pure.

An order is ``shipped`` with its first parcel, and ``completed`` when all parcels that are known
were delivered, or when the shop says that the order is. A parcel that leaves after that makes it
``shipped`` again, unless the shop had said so.
"""

from collections.abc import Callable
from uuid import UUID

import msgspec

from gateway.domain.events import Delivered, ParcelCancelled, Shipped
from gateway.domain.following import OrderState, Parcel


def knows(event: Shipped, order: OrderState) -> bool:
    """Return whether the order has this parcel already, just as it is told."""
    known = _same_parcel(event, order)
    return known is not None and _corrected(known, event) == known


def ship(event: Shipped, order: OrderState, *, new_id: Callable[[], UUID]) -> None:
    """Add a parcel, or correct the one that is known."""
    known = _same_parcel(event, order)
    if known is None:
        parcel = Parcel(
            id=new_id(),
            order_id=order.id,
            carrier=event.carrier,
            tracking_no=event.tracking_no,
            parcel_no=event.parcel_no,
            lines=event.lines,
            shipped_at=event.occurred_at,
        )
        order.parcels = (*order.parcels, parcel)
    else:
        parcel = _corrected(known, event)
        order.parcels = tuple(parcel if each is known else each for each in order.parcels)
    _sum_up(order)


def deliver(event: Delivered, order: OrderState) -> bool | None:
    """Mark a parcel, or the whole order, as delivered; return whether that changed anything.

    None: the order has no such parcel yet.
    """
    if not event.tracking_no:
        if order.is_delivered:
            return False
        order.is_delivered = True
        order.completed_at = order.completed_at or event.occurred_at
        return True
    for known in order.parcels:
        if known.tracking_no == event.tracking_no:
            if known.delivered_at is not None:
                return False
            arrived = msgspec.structs.replace(known, delivered_at=event.occurred_at)
            order.parcels = tuple(arrived if each is known else each for each in order.parcels)
            _sum_up(order)
            return True
    return None


def known_by_tracking_no(tracking_no: str, order: OrderState) -> Parcel | None:
    """Return the order's parcel with this number, one that left before one that was cancelled."""
    found = [each for each in order.parcels if each.tracking_no == tracking_no]
    return next((each for each in found if each.is_live()), found[0] if found else None)


def cancel(event: ParcelCancelled, known: Parcel, order: OrderState) -> None:
    """Mark a parcel as cancelled: the order is as if it had not left."""
    cancelled = msgspec.structs.replace(known, cancelled_at=event.occurred_at)
    order.parcels = tuple(cancelled if each is known else each for each in order.parcels)
    _sum_up(order)


def of_before(order: OrderState, *, new_id: Callable[[], UUID]) -> tuple[Parcel, ...]:
    """Return the parcel of an order that was shipped when orders had one and it had no row."""
    if order.shipped_at is None or order.tracking_no is None:
        return ()
    return (
        Parcel(
            id=new_id(),
            order_id=order.id,
            carrier=order.carrier or "",
            tracking_no=order.tracking_no,
            parcel_no="",
            lines=(),
            shipped_at=order.shipped_at,
            delivered_at=order.completed_at,
        ),
    )


def _corrected(known: Parcel, event: Shipped) -> Parcel:
    """Return the parcel with what is told now: its own sender may correct it, others fill gaps."""
    is_own = bool(event.parcel_no) and event.parcel_no == known.parcel_no
    if known.cancelled_at is not None and event.occurred_at > known.cancelled_at:
        # It left after all.
        known = msgspec.structs.replace(known, cancelled_at=None, shipped_at=event.occurred_at)
    return msgspec.structs.replace(
        known,
        carrier=(is_own and event.carrier) or known.carrier or event.carrier,
        tracking_no=(is_own and event.tracking_no) or known.tracking_no or event.tracking_no,
        parcel_no=known.parcel_no or event.parcel_no,
        lines=(is_own and event.lines) or known.lines or event.lines,
        shipped_at=min(event.occurred_at, known.shipped_at),
    )


def _same_parcel(event: Shipped, order: OrderState) -> Parcel | None:
    """Return the parcel that the event is about: by the sender's number, else by tracking number.

    A parcel without any number is the next one that is told with a number, and whatever is told
    without a number is the parcel that is known.
    """
    if not event.parcel_no and not event.tracking_no:
        return order.parcels[0] if order.parcels else None
    for known in order.parcels:
        if event.parcel_no and known.parcel_no == event.parcel_no:
            return known
    for known in order.parcels:
        is_another = event.parcel_no and known.parcel_no
        if known.tracking_no == event.tracking_no and event.tracking_no and not is_another:
            return known
    for known in order.parcels:
        if not known.parcel_no and not known.tracking_no:
            return known
    return None


def _sum_up(order: OrderState) -> None:
    live = [parcel for parcel in order.parcels if parcel.is_live()]
    if not live:
        order.shipped_at = order.carrier = order.tracking_no = None
        order.completed_at = order.completed_at if order.is_delivered else None
        return
    first = min(live, key=lambda parcel: (parcel.shipped_at, parcel.id))
    order.shipped_at = first.shipped_at
    order.carrier, order.tracking_no = first.carrier or None, first.tracking_no or None
    if order.is_delivered:
        return
    arrived = [parcel.delivered_at for parcel in live if parcel.delivered_at is not None]
    order.completed_at = max(arrived) if len(arrived) == len(live) else None
