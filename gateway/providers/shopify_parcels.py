"""Shopify's fulfilments: parcels that left, and what was delivered.

- A fulfilment is a parcel under its own id; one with several tracking numbers is several. Its
  number may be corrected later: the parcel is the same, and its message another.
- Goods that are not sent (``requires_shipping`` is false) are delivered when they are fulfilled.
- Who sends without a tracking number never hears of the delivery: such an order is delivered when
  the shop archives it.
"""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers import contract, shopify_lines
from gateway.providers.shared import fields, shop_orders

PARCELS_MAX = 100
#: Fields that only the message about one fulfilment has.
NAMES = frozenset({"order_id", "name", "status", "tracking_numbers"})
#: States of a fulfilment, and of its shipment; any other tells of no parcel.
_LEFT, _CANCELLED = "success", "cancelled"
_DELIVERED = frozenset({"delivered", "picked_up"})


class _Line(Struct):
    requires_shipping: bool = True


class _Content(Struct):
    quantity: int = 0
    sku: str | None = None
    variant_id: int | None = None
    product_id: int | None = None


class _Fulfilment(Struct):
    id: int = 0
    status: str | None = None
    shipment_status: str | None = None
    tracking_company: str | None = None
    tracking_number: str | None = None
    tracking_numbers: list[str] = []
    line_items: list[msgspec.Raw] = []
    created_at: str | None = None
    updated_at: str | None = None

    def numbers(self) -> list[str]:
        """Return the tracking numbers that can be stored; staff paste them with blanks."""
        written = self.tracking_numbers or [self.tracking_number or ""]
        known = dict.fromkeys("".join(each.split()) for each in written)
        return [each for each in known if fields.is_token(each, shop_orders.TRACKING_NO_MAX)]


_FULFILMENT = msgspec.json.Decoder(_Fulfilment)
_LINE = msgspec.json.Decoder(_Line)
_CONTENT = msgspec.json.Decoder(_Content)


def of_order(
    message: shop_orders.OrderMessage,
    listed: Sequence[msgspec.Raw],
    *,
    status: str | None,
    is_archived: bool,
    lines: Sequence[msgspec.Raw],
    park_untracked: bool,
) -> list[contract.Item]:
    """Return the parcels of an order, and its delivery. ``status`` is its fulfilment status."""
    known = [each for raw in listed[:PARCELS_MAX] if (each := _read(raw)) is not None]
    left = [each for each in known if each.status == _LEFT]
    is_done = status == "fulfilled"
    done = events.Delivered(message.order_no, message.at)
    if is_done and lines and not any(map(_is_sent, lines)):
        return [message.item("delivered", done)]
    found = []
    for each in left:
        found.extend(_items(message, each))
    if is_done and not left:
        shipped = events.Shipped(message.order_no, "", "", message.at)
        found.append(message.item("shipped", shipped))
    is_tracked = any(each.numbers() for each in left)
    if is_done and not is_tracked and park_untracked:
        detail = "fulfilled, but no parcel has a tracking number; see the option park_untracked"
        found.append(message.item("untracked", message.unmapped(detail)))
    if not left:
        found.extend(_cancelled(message, known))
    is_all_there = bool(left) and all(each.shipment_status in _DELIVERED for each in left)
    if is_done and (is_all_there or (is_archived and not is_tracked)):
        found.append(message.item("delivered", done))
    if len(listed) > PARCELS_MAX:
        found.append(message.notice(f"more than {PARCELS_MAX} fulfilments", "parcels"))
    return found


def of_fulfilment(message: shop_orders.OrderMessage, body: bytes) -> list[contract.Item]:
    """Return the parcels of a message about one fulfilment. Raises ``Rejected``."""
    each = fields.decoded_as_possible(_FULFILMENT, body, needed=("status",))
    return _items(message, each) if each.status == _LEFT else _cancelled(message, [each])


def _read(raw: msgspec.Raw) -> _Fulfilment | None:
    try:
        return fields.decoded_as_possible(_FULFILMENT, raw, needed=("status",))
    except errors.Rejected:
        return None


def _items(message: shop_orders.OrderMessage, each: _Fulfilment) -> list[contract.Item]:
    carrier = _carrier(each)
    numbers = each.numbers()
    lines = _lines(each.line_items) if len(numbers) < 2 else ()
    left_at = shop_orders.moment_or(message.at, each.created_at)
    there_at = shop_orders.moment_or(message.at, each.updated_at)
    found = []
    for n, number in enumerate(numbers or [""]):
        parcel_no = "" if each.id <= 0 else f"{each.id}-{n + 1}" if n else str(each.id)
        shipped = events.Shipped(
            message.order_no, carrier, number, left_at, parcel_no, lines,
        )  # fmt: skip
        digest = hashlib.blake2b(f"{carrier} {number}".encode(), digest_size=8).hexdigest()
        found.append(message.item(f"parcel:{parcel_no}:{digest}", shipped))
        if number and each.shipment_status in _DELIVERED:
            delivered = events.Delivered(message.order_no, there_at, number)
            found.append(message.item(f"delivered:{number}", delivered))
    return found


def _carrier(each: _Fulfilment) -> str:
    name = shop_orders.stripped(each.tracking_company)
    try:
        return fields.label(name, "carrier", shop_orders.CARRIER_MAX)
    except errors.Rejected:
        return "unknown" if each.numbers() else ""


def _lines(listed: Iterable[msgspec.Raw]) -> tuple[events.ParcelLine, ...]:
    """Return what a parcel holds; nothing where one line of it cannot be read."""
    try:
        lines = [fields.decoded_leniently(_CONTENT, raw) for raw in listed]
    except errors.Rejected:
        return ()
    return shop_orders.parcel_lines(
        (
            shop_orders.first_fitting(
                shopify_lines.numbers(line.sku, line.variant_id, line.product_id),
                shop_orders.SKU_MAX,
            ),
            line.quantity,
        )
        for line in lines
    )


def _cancelled(
    message: shop_orders.OrderMessage, known: Iterable[_Fulfilment]
) -> list[contract.Item]:
    """Park parcels that were cancelled and that no other took the place of."""
    found = []
    for each in known:
        if each.status == _CANCELLED and each.id > 0 and (numbers := ", ".join(each.numbers())):
            detail = f"fulfilment {each.id} was cancelled: its parcel {numbers} does not travel"
            found.append(message.item(f"cancelled:{each.id}", message.unmapped(detail)))
    return found


def _is_sent(raw: msgspec.Raw) -> bool:
    """Return whether a line of the order is sent, or may be."""
    try:
        return fields.decoded_leniently(_LINE, raw).requires_shipping
    except errors.Rejected:
        return True
