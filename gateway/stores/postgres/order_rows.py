"""Rows of ``order_columns.sql`` as orders, their private part opened where that can be."""

from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from gateway.domain.order_details import (
    StoredDetails,
    decode_acceptances,
    decode_parcels,
    decode_payments,
    decode_screening,
)
from gateway.domain.orders import Private
from gateway.domain.views import ItemView, StoredOrder
from gateway.stores import unreadable
from gateway.stores.sealing import Sealer

#: An order, and what belongs to it.
Found: TypeAlias = tuple[StoredOrder, StoredDetails]

_PRIVATE = "orders.private"
_decode_items = msgspec.json.Decoder(list[ItemView]).decode
_decode_private = msgspec.json.Decoder(Private).decode


class OrderRows:
    """Turns rows into orders."""

    def __init__(self, *, sealer: Sealer) -> None:
        self._sealer = sealer

    def found(self, record: asyncpg.Record) -> Found:
        """Return the order that a row is; other columns are not looked at."""
        details = StoredDetails(
            decode_payments(record["payments"]),
            decode_parcels(record["parcels"]),
            list(record["aliases"]),
            decode_acceptances(record["acceptances"]),
            None if record["screening"] is None else decode_screening(record["screening"]),
        )
        return self._stored(record), details

    def _stored(self, record: asyncpg.Record) -> StoredOrder:
        fields: dict[str, Any] = {name: record[name] for name in StoredOrder.__struct_fields__}
        row: UUID = fields["id"]
        fields["private"] = self._private(row, fields["private"])
        fields["id"] = str(row)
        fields["items"] = _decode_items(fields["items"])
        return StoredOrder(**fields)

    def _private(self, row: UUID, envelope: bytes) -> Private | None:
        """Return the private part of an order; None where it cannot be opened."""
        plain = unreadable.opened(self._sealer, _PRIVATE, row, envelope)
        if plain is None:
            return None
        try:
            return _decode_private(plain)
        except msgspec.MsgspecError:
            unreadable.note(_PRIVATE, str(row), envelope, "not the private part of an order")
            return None
