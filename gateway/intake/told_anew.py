"""What becomes of an order that a shop tells and that is not stored as it is told.

A shop tells the whole order with whatever happens to it. A change of it is one event, however many
messages repeat it: its key is the digest of the order as told, and not the message.

The keys have blanks, which no provider's own keys have.
"""

from collections.abc import Sequence
from datetime import datetime

from gateway.domain import fingerprint
from gateway.domain.errors import Fault
from gateway.domain.events import Amended, Unmapped
from gateway.domain.messages import MessagePart
from gateway.domain.orders import Submission
from gateway.domain.placing import Conflict, Placed, Placement

_DETAIL_MAX = 500
_CALLBACK = "callback:"


def trigger(source: str) -> str:
    """Return the trigger of what an account reports in a callback."""
    return _CALLBACK + source


def amendment(order: Submission, placed: Placed, at: datetime) -> tuple[str, Amended]:
    """Return key and event of an order that differs from the one stored under its number.

    The key counts the amendments before it: a price that goes up, down and up again is three.
    """
    digest = fingerprint.payload(order).hex()
    items = tuple(order.items)
    amended = Amended(order.order_no, order.currency, order.amounts, items, digest, at)
    before = placed.amendments if isinstance(placed, Conflict) else 0
    return f"amended {order.order_no} {before} {digest}", amended


def of_journaled(placement: Placement, placed: Placed) -> MessagePart | None:
    """Return what a shop's order told that was journaled and differs from the stored one.

    None: it is not from a shop, or does not differ.
    """
    account = placement.trigger.removeprefix(_CALLBACK)
    is_told = placement.is_from_shop and account != placement.trigger
    if placed.answer != "conflict" or not is_told:
        return None
    order = placement.submission
    key, event = amendment(order, placed, placement.received_at)
    return MessagePart(
        id=placement.id,
        source=account,
        source_key=key,
        provider=account.partition(":")[0],
        channels=(order.channel,),
        event=event,
        trigger=placement.trigger,
        received_at=placement.received_at,
        raw=placement.raw,
        is_test=order.is_test,
        message=placement.raw,
    )


def not_storable(order: Submission, faults: Sequence[Fault], at: datetime) -> tuple[str, Unmapped]:
    """Return key and event of an order that cannot be stored, with its faults."""
    digest = fingerprint.payload(order).hex()
    detail = "; ".join([f"{fault.field} {fault.reason}" for fault in faults])[:_DETAIL_MAX]
    return f"refused {order.order_no} {digest}", Unmapped("order", order.order_no, detail, at)
