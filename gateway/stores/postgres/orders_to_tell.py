"""Reads orders as targets are told them: in their current state, by the primary."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from gateway.domain.handoff_payload import OrderToTell, PaymentRow
from gateway.domain.order_details import decode_parcels
from gateway.domain.orders import Private
from gateway.domain.views import ItemView
from gateway.runtime import logs
from gateway.stores import unreadable
from gateway.stores.postgres import errors
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

_log = logging.getLogger(__name__)
_log.addFilter(logs.Budget(records=10, every_s=60.0))

_PRIVATE = "orders.private"
_decode_items = msgspec.json.Decoder(list[ItemView]).decode
_decode_payments = msgspec.json.Decoder(list[PaymentRow]).decode
_decode_private = msgspec.json.Decoder(Private).decode


class OrdersToTell:
    """Reads orders for targets that may see what is sealed, and for those that may not."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]", sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    async def read(
        self, ids: Sequence[UUID], *, has_private: bool
    ) -> Mapping[UUID, OrderToTell | None]:
        """Return the orders that exist; None: it cannot be read whole, or opened.

        Raises ``Unavailable``.
        """
        with errors.translated():
            # One text: the driver takes longer over each item of an array than over an order.
            rows = await self._pool.fetch(
                sql("read_orders_to_tell"), ",".join(map(str, ids)), has_private
            )
        return {row["id"]: self._whole(row, has_private) for row in rows}

    def _whole(self, row: asyncpg.Record, has_private: bool) -> OrderToTell | None:
        """Read one order; what is wrong with it must not keep the others."""
        try:
            return self._order(dict(row.items()), has_private)
        except (msgspec.MsgspecError, ValueError):
            _log.exception("an order cannot be told", extra={"order_id": str(row["id"])})
            return None

    def _order(self, fields: dict[str, Any], has_private: bool) -> OrderToTell | None:
        if has_private:
            fields["private"] = self._private(fields["id"], fields["private"])
            if fields["private"] is None:
                return None
        fields["items"] = _decode_items(fields["items"])
        payments, parcels = fields["payments"], fields["parcels"]
        fields["payments"] = [] if payments == "[]" else _decode_payments(payments)
        fields["parcels"] = [] if parcels == "[]" else decode_parcels(parcels)
        return OrderToTell(**fields)

    def _private(self, row: UUID, envelope: bytes) -> Private | None:
        plain = unreadable.opened(self._sealer, _PRIVATE, row, envelope)
        if plain is None:
            return None
        try:
            return _decode_private(plain)
        except msgspec.MsgspecError:
            unreadable.note(_PRIVATE, str(row), envelope, "not the private part of an order")
            return None
