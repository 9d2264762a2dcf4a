"""What becomes of an order that a shop tells and that is not stored as it is told.

A shop tells the whole order with whatever happens to it. A change of it is one event, however many
messages repeat it: its key is a digest of what is told, and not the message.

The keys have blanks, which no provider's own keys have.
"""

from collections.abc import Sequence
from datetime import datetime

from gateway.domain import fingerprint, messages, retelling
from gateway.domain.errors import Fault
from gateway.domain.events import Amended, Event, Unmapped
from gateway.domain.messages import MessagePart
from gateway.domain.orders import Submission
from gateway.domain.placing import Conflict, Placed, Placement

_DETAIL_MAX = 500
#: Begins the trigger of what an account reports in a callback; its source follows.
CALLBACK = "callback:"
#: Parts beside the order, in the id of its message. No message has half as many orders.
_PART, _BESIDE = 0xFFFF, 0x8000


def parts(placement: Placement, placed: Placed, *, account: str) -> list[MessagePart]:
    """Return what an order of a shop tells that differs from the stored one, as events.

    They are of the order's own channel alone: its number may be another order's in another
    channel of the account.
    """
    order = placement.submission
    return [
        MessagePart(
            id=messages.part_id(placement.id, (placement.id.int & _PART) | (_BESIDE * n)),
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
        for n, (key, event) in enumerate(_events(placement, placed))
    ]


def account(placement: Placement) -> str:
    """Return the account of the shop that told an order; ``""``: no shop did."""
    is_told = placement.is_from_shop and placement.trigger.startswith(CALLBACK)
    return placement.trigger.removeprefix(CALLBACK) if is_told else ""


def _events(placement: Placement, placed: Placed) -> list[tuple[str, Event]]:
    """Return key and event of each change.

    The key of an amendment counts those before it: a price that goes up, down and up again is
    three. All that is not money is one change for as long as it stays as it is told.
    """
    order, at = placement.submission, placement.received_at
    if not isinstance(placed, Conflict):
        return []
    told: list[tuple[str, Event]] = []
    differs = retelling.OF_MONEY if placed.differs is None else placed.differs
    if not set(retelling.OF_MONEY).isdisjoint(differs):
        digest = placement.payload_digest.hex()
        items = tuple(order.items)
        amended = Amended(order.order_no, order.currency, order.amounts, items, digest, at)
        told.append((f"amended {order.order_no} {placed.amendments} {digest}", amended))
    rest = [name for name in differs if name not in retelling.OF_MONEY]
    if rest:
        detail = f"{', '.join(rest)}: not as the order is stored"
        key = f"changed {order.order_no} {retelling.digest_beside_money(order)}"
        told.append((key, Unmapped("order", order.order_no, detail, at)))
    return told


def not_storable(order: Submission, faults: Sequence[Fault], at: datetime) -> tuple[str, Unmapped]:
    """Return key and event of an order that cannot be stored, with its faults."""
    digest = fingerprint.payload(order).hex()
    detail = "; ".join([f"{fault.field} {fault.reason}" for fault in faults])[:_DETAIL_MAX]
    return f"refused {order.order_no} {digest}", Unmapped("order", order.order_no, detail, at)
