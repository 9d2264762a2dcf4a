"""The read side: one order, a page of orders, a history.

While the primary is unavailable the answers have an age, and what is not found may exist.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.domain.order_details import StoredDetails, decode_parcels, decode_payments
from gateway.domain.orders import Private
from gateway.domain.views import EventView, ItemView, StoredOrder
from gateway.stores import unreadable
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.replicas import Answer, Readers
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

_PRIVATE = "orders.private"
_decode_items = msgspec.json.Decoder(list[ItemView]).decode
_decode_private = msgspec.json.Decoder(Private).decode


class Filter(Struct, frozen=True):
    """The filter of a page of orders; None does not narrow. Times are of ``placed_at``.

    ``phones``: the spellings of one number. ``after`` is the (placed_at, id) of the last order of
    the page before.
    """

    channels: Sequence[str] | None = None
    order_no: str | None = None
    status: str | None = None
    placed_from: datetime | None = None
    placed_to: datetime | None = None
    phones: Sequence[str] | None = None
    is_test: bool | None = None
    holds: Sequence[str] | None = None
    is_part_paid: bool | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 50


class OrderReader:
    """Finds orders. An answer without an age has all that was acknowledged before the call."""

    def __init__(self, *, readers: Readers, sealer: Sealer) -> None:
        self._readers = readers
        self._sealer = sealer

    async def order(
        self, id_: UUID, channels: Sequence[str] | None, is_test: bool | None = None
    ) -> Answer[tuple[StoredOrder, StoredDetails]] | None:
        """Return an order of these channels; None when there is none. Raises ``Unavailable``.

        ``is_test``: only a test order, or only a live one; None: either.
        """

        async def work(connection: Connection) -> asyncpg.Record | None:
            return await connection.fetchrow(sql("read_order"), id_, channels, is_test)

        read = await self._readers.read(work)
        if read.value is None:
            _check_is_current(read.age_s)
            return None
        *order, payments, parcels, aliases = read.value.items()
        details = StoredDetails(
            decode_payments(payments[1]), decode_parcels(parcels[1]), list(aliases[1])
        )
        return Answer((self._stored(dict(order)), details), read.age_s)

    async def page(self, wanted: Filter) -> Answer[list[StoredOrder]]:
        """Return a page, newest first by (placed_at, id). Raises ``Unavailable``."""
        indexes = None if wanted.phones is None else [*map(self._sealer.phone_index, wanted.phones)]
        after_at, after_id = wanted.after or (None, None)
        arguments = [
            wanted.channels, wanted.order_no, wanted.status, wanted.placed_from,
            wanted.placed_to, indexes, after_at, after_id, wanted.limit,
            wanted.is_test, wanted.holds, wanted.is_part_paid,
        ]  # fmt: skip

        async def work(connection: Connection) -> list[asyncpg.Record]:
            async with connection.transaction(readonly=True):
                # Optional filters: a plan made for the values at hand, not for every combination.
                await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
                return list(await connection.fetch(sql("list_orders"), *arguments))

        read = await self._readers.read(work)
        return Answer([self._stored(dict(record.items())) for record in read.value], read.age_s)

    async def history(
        self, id_: UUID, channels: Sequence[str] | None, is_test: bool | None = None
    ) -> Answer[list[EventView]] | None:
        """Return an order's history, oldest first; None when there is no such order, as ``order``.

        Raises ``Unavailable``.
        """

        async def work(connection: Connection) -> list[EventView] | None:
            if await connection.fetchval(sql("has_order"), id_, channels, is_test) is None:
                return None
            records = await connection.fetch(sql("read_history"), id_)
            return [EventView(str(record[0]), *record[1:]) for record in records]

        read = await self._readers.read(work)
        if read.value is None:
            _check_is_current(read.age_s)
            return None
        return Answer(read.value, read.age_s)

    def _stored(self, fields: dict[str, Any]) -> StoredOrder:
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


def _check_is_current(age_s: int | None) -> None:
    """Raise ``Unavailable`` when what was not found may have been written since."""
    if age_s is not None:
        raise Unavailable("postgres")
