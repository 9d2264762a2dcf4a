"""The read side: one order, a page of orders, a history.

While the primary is unavailable the answers have an age, and what is not found may exist.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.domain.addresses import AddressLog
from gateway.domain.errors import Unavailable
from gateway.domain.views import EventView
from gateway.stores import unreadable
from gateway.stores.postgres.order_rows import Found, OrderRows
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.replicas import Answer, Readers
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

SortKey = Literal["placed_at", "paid_at"]
#: Optional filters: a plan made for the values at hand, not for every combination. Compiling one
#: for a page of few rows would take longer than reading them.
PLANNING = "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off"


_ADDRESS = "address_changes.change"
_decode_address = msgspec.json.Decoder(AddressLog).decode


class Filter(Struct, frozen=True):
    """The filter of a page of orders; None does not narrow.

    ``phones``: the spellings of one number. ``region``: country, province, city, district, as many
    as narrow. ``after`` is the (time, id) of the last order of the page before: ``key`` names the
    time by which pages are sorted.
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
    paid_from: datetime | None = None
    paid_to: datetime | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None
    tracking_no: str | None = None
    transaction_id: str | None = None
    provider: str | None = None
    buyer_id: str | None = None
    region: Sequence[str] | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 50

    @property
    def key(self) -> SortKey:
        """Return the time by which pages are sorted, newest first, before the id."""
        is_by_payment = self.paid_from is not None or self.paid_to is not None
        return "paid_at" if is_by_payment else "placed_at"


class OrderReader:
    """Finds orders. An answer without an age has all that was acknowledged before the call."""

    def __init__(self, *, readers: Readers, sealer: Sealer) -> None:
        self._readers = readers
        self._sealer = sealer
        self._rows = OrderRows(sealer=sealer)
        self._sealer = sealer

    async def order(
        self, id_: UUID, channels: Sequence[str] | None, is_test: bool | None = None
    ) -> Answer[Found] | None:
        """Return an order of these channels; None when there is none. Raises ``Unavailable``.

        ``is_test``: only a test order, or only a live one; None: either.
        """

        async def work(connection: Connection) -> asyncpg.Record | None:
            return await connection.fetchrow(sql("read_order"), id_, channels, is_test)

        read = await self._readers.read(work)
        if read.value is None:
            _check_is_current(read.age_s)
            return None
        return Answer(self._rows.found(read.value), read.age_s)

    async def page(self, wanted: Filter) -> Answer[list[Found]]:
        """Return a page, newest first by (``wanted.key``, id). Raises ``Unavailable``."""
        indexes = None if wanted.phones is None else [*map(self._sealer.phone_index, wanted.phones)]
        after_at, after_id = wanted.after or (None, None)
        arguments = [
            wanted.channels, wanted.order_no, wanted.status, wanted.placed_from,
            wanted.placed_to, indexes, after_at, after_id, wanted.limit,
            wanted.is_test, wanted.holds, wanted.is_part_paid, wanted.paid_from, wanted.paid_to,
            wanted.updated_from, wanted.updated_to, wanted.tracking_no, wanted.transaction_id,
            wanted.provider, wanted.buyer_id, wanted.region,
        ]  # fmt: skip

        async def work(connection: Connection) -> list[asyncpg.Record]:
            async with connection.transaction(readonly=True):
                await connection.execute(PLANNING)
                return list(await connection.fetch(sql("list_orders"), *arguments))

        read = await self._readers.read(work)
        return Answer([self._rows.found(record) for record in read.value], read.age_s)

    async def history(
        self, id_: UUID, channels: Sequence[str] | None, is_test: bool | None = None
    ) -> Answer[list[EventView]] | None:
        """Return an order's history, oldest first; None when there is no such order, as ``order``.

        Changed addresses are in clear: whoever shows them masks them. Raises ``Unavailable``.
        """

        async def work(connection: Connection) -> list[EventView] | None:
            if await connection.fetchval(sql("has_order"), id_, channels, is_test) is None:
                return None
            records = await connection.fetch(sql("read_history"), id_)
            return [self._event(record) for record in records]

        read = await self._readers.read(work)
        if read.value is None:
            _check_is_current(read.age_s)
            return None
        return Answer(read.value, read.age_s)

    def _event(self, record: asyncpg.Record) -> EventView:
        fields = dict(record.items())
        id_, change, plain = fields.pop("id"), fields.pop("change"), None
        if change is not None:
            plain = unreadable.opened(self._sealer, _ADDRESS, id_, change)
        address = None if plain is None else _decode_address(plain)
        return EventView(id=str(id_), **fields, address=address)


def _check_is_current(age_s: int | None) -> None:
    """Raise ``Unavailable`` when what was not found may have been written since."""
    if age_s is not None:
        raise Unavailable("postgres")
