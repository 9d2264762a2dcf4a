"""The read side: one order, a page of orders, a history."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain.orders import Private
from gateway.domain.views import EventView, ItemView, StoredOrder
from gateway.stores.postgres.replicas import Readers
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

_decode_items = msgspec.json.Decoder(list[ItemView]).decode
_decode_private = msgspec.json.Decoder(Private).decode


class Filter(Struct, frozen=True):
    """What a page of orders is narrowed to. ``channels`` None: all; times are of ``placed_at``.

    ``phone`` is normalised. ``after`` is the (placed_at, id) of the last order of the page before.
    """

    channels: Sequence[str] | None = None
    order_no: str | None = None
    status: str | None = None
    placed_from: datetime | None = None
    placed_to: datetime | None = None
    phone: str | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 50


class Reading:
    """Finds orders. What was acknowledged before a call is found by it."""

    def __init__(self, *, readers: Readers, sealer: Sealer) -> None:
        self._readers = readers
        self._sealer = sealer

    async def order(self, id_: UUID, channels: Sequence[str] | None) -> StoredOrder | None:
        """Return an order of these channels, or None. Raises ``Unavailable``."""
        async with self._readers.reader() as connection:
            record = await connection.fetchrow(sql("read_order"), id_, channels)
        return None if record is None else self._stored(record)

    async def page(self, wanted: Filter) -> list[StoredOrder]:
        """Return a page, newest first by (placed_at, id). Raises ``Unavailable``."""
        index = None if wanted.phone is None else self._sealer.phone_index(wanted.phone)
        after_at, after_id = wanted.after or (None, None)
        arguments = [
            wanted.channels, wanted.order_no, wanted.status, wanted.placed_from,
            wanted.placed_to, index, after_at, after_id, wanted.limit,
        ]  # fmt: skip
        async with self._readers.reader() as connection, connection.transaction(readonly=True):
            # Optional filters: a plan made for the values at hand, not for every combination.
            await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            records = await connection.fetch(sql("list_orders"), *arguments)
        return [self._stored(record) for record in records]

    async def history(self, id_: UUID, channels: Sequence[str] | None) -> list[EventView] | None:
        """Return an order's history, oldest first; None when there is no such order."""
        async with self._readers.reader() as connection:
            if await connection.fetchval(sql("has_order"), id_, channels) is None:
                return None
            records = await connection.fetch(sql("read_history"), id_)
        return [EventView(str(record[0]), *record[1:]) for record in records]

    def _stored(self, record: Sequence[object]) -> StoredOrder:
        fields = dict(record.items())  # type: ignore[attr-defined]  # an asyncpg.Record
        row: UUID = fields["id"]
        private = self._sealer.open("orders.private", row.bytes, fields["private"])
        fields["id"] = str(row)
        fields["items"] = _decode_items(fields["items"])
        fields["private"] = _decode_private(private)
        return StoredOrder(**fields)
