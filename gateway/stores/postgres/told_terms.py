"""A stored order as far as a shop tells it: the rows of ``read_terms.sql``."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from gateway.domain.orders import Amounts, Item, Private
from gateway.domain.retelling import Terms
from gateway.stores import unreadable
from gateway.stores.sealing import Sealer

_PRIVATE = "orders.private"
_decode_items = msgspec.json.Decoder(list[Item]).decode
_decode_private = msgspec.json.Decoder(Private).decode


def read(stored: Mapping[str, Any], *, row: UUID, sealer: Sealer) -> Terms:
    """Return the terms of a row. Its private part is None where it cannot be opened."""
    plain = unreadable.opened(sealer, _PRIVATE, row, stored["private"])
    return Terms(
        currency=stored["currency"],
        amounts=Amounts(
            goods=stored["goods"],
            payable=stored["payable"],
            shop_discount=stored["shop_discount"],
            platform_subsidy=stored["platform_subsidy"],
            freight=stored["freight"],
            tax=stored["tax"],
            tax_included=stored["tax_included"],
        ),
        items=_decode_items(stored["items"]),
        buyer_id=stored["buyer_id"],
        placed_at=stored["placed_at"],
        place=(stored["country"], stored["province"], stored["city"], stored["district"]),
        private=None if plain is None else _decode_private(plain),
    )
