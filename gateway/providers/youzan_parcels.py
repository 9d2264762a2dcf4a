"""Youzan's parcels, as a message about the complete order lists them.

``delivery_order`` is a list of deliveries, each with the lines it holds and its parcels
(``dists``). A parcel without a number is a delivery in the city, or one that the shop did not
enter yet.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers import youzan_lines
from gateway.providers.shared import fields, shop_orders

PARCELS_MAX = 100


class _Express(Struct):
    express_id: youzan_lines.Id | None = None
    express_no: str | None = None


class _Dist(Struct):
    dist_id: youzan_lines.Id | None = None
    express_info: _Express | None = None


class _Oid(Struct):
    oid: youzan_lines.Id | None = None


class _Delivery(Struct):
    dists: list[_Dist] = []
    oids: list[_Oid] = []


_DELIVERIES = msgspec.json.Decoder(list[msgspec.Raw])
_DELIVERY = msgspec.json.Decoder(_Delivery)
_NONE = frozenset({b"", b'""', b"null"})


def shipped(
    raw: msgspec.Raw, order: msgspec.Raw, *, order_no: str, at: datetime
) -> list[events.Shipped]:
    """Return the parcels with a number, the first ones of many. Raises ``Rejected``."""
    found = []
    for delivery in _read(raw):
        lines = _lines(delivery.oids, order) if len(delivery.dists) == 1 else ()
        for dist in delivery.dists:
            express = dist.express_info or _Express()
            number = "".join((express.express_no or "").split())
            if fields.is_token(number, shop_orders.TRACKING_NO_MAX):
                carrier, parcel_no = map(_number, (express.express_id, dist.dist_id))
                found.append(events.Shipped(order_no, carrier, number, at, parcel_no, lines))
    return found[:PARCELS_MAX]


def _read(raw: msgspec.Raw) -> Sequence[_Delivery]:
    if bytes(raw).strip() in _NONE:
        return ()
    found = []
    for each in fields.decoded_leniently(_DELIVERIES, raw):
        try:
            found.append(fields.decoded_as_possible(_DELIVERY, each, needed=()))
        except errors.Rejected:
            continue
    return found


def _lines(oids: Sequence[_Oid], order: msgspec.Raw) -> tuple[events.ParcelLine, ...]:
    """Return what a delivery holds; nothing where that cannot be read."""
    try:
        pieces: Mapping[str, tuple[str, int]] = youzan_lines.pieces(order)
    except errors.Rejected:
        return ()
    return shop_orders.parcel_lines(pieces.get(_number(each.oid), ("", 0)) for each in oids)


def _number(value: youzan_lines.Id | None) -> str:
    """Return an id as text; ``""`` for none, or one that cannot be stored."""
    text = youzan_lines.known(value)
    return text if fields.is_token(text, shop_orders.CARRIER_MAX) else ""
