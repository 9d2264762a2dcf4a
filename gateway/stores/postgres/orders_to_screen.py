"""Reads stored orders as they were placed, for rules to be tried against. Writes nothing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET, Struct

from gateway.domain import phones
from gateway.domain.channels import ChannelPolicy
from gateway.domain.orders import Amounts, Hold, Item, Private, Recipient, Submission
from gateway.domain.placing import Placement
from gateway.domain.views import ItemView
from gateway.stores import unreadable
from gateway.stores.postgres import errors
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

_PRIVATE = "orders.private"
_decode_items = msgspec.json.Decoder(list[ItemView]).decode
_decode_private = msgspec.json.Decoder(Private).decode


class StoredPlacement(Struct, frozen=True):
    """An order as it was placed, and the hold that it got then.

    ``placement`` None: what is sealed of it cannot be opened. Whether it came with its payment, or
    from a shop, is not stored: it counts as neither.
    """

    id: UUID
    placed_hold: Hold | None
    placement: Placement | None


class OrdersToScreen:
    """Pages through the orders, newest first."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]", sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    async def page(self, *, before: UUID | None, limit: int) -> list[StoredPlacement]:
        """Return the newest orders before the one of this id. Raises ``Unavailable``."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                records = await connection.fetch(sql("list_orders_to_screen"), before, limit)
        return [
            StoredPlacement(record["id"], record["placed_hold"], self._placement(record))
            for record in records
        ]

    def _placement(self, row: Mapping[str, Any]) -> Placement | None:
        plain = unreadable.opened(self._sealer, _PRIVATE, row["id"], row["private"])
        if plain is None:
            return None
        try:
            submission = _submission(row, _decode_private(plain))
        except msgspec.MsgspecError:
            return None
        to = submission.to
        return Placement(
            id=row["id"],
            submission=submission,
            raw=b"",
            phone=phones.normalised(to.phone, to.country) if to.phone else "",
            request_id=None,
            payload_digest=b"",
            exact=b"",
            lookalike=b"",
            same_goods=b"",
            policy=ChannelPolicy(),
            trigger="",
            received_at=row["received_at"],
        )


def _submission(row: Mapping[str, Any], private: Private) -> Submission:
    to = None
    if row["country"]:
        to = Recipient(
            name=private.name or None,
            phone=private.phone or None,
            country=row["country"],
            street=private.street or None,
            province=row["province"],
            city=row["city"],
            district=row["district"],
            postcode=private.postcode,
            id_number=private.id_number,
        )
    return Submission(
        channel=row["channel"],
        order_no=row["order_no"],
        buyer_id=row["buyer_id"],
        placed_at=row["placed_at"],
        currency=row["currency"],
        items=[_item(each) for each in _decode_items(row["items"])],
        amounts=Amounts(
            **{
                name: row[name]
                for name in (
                    "goods", "payable", "shop_discount", "platform_subsidy", "freight", "tax",
                )
            }
        ),
        recipient=to,
        remark=private.remark,
        is_test=row["is_test"],
        attributes=private.attributes,
        platform_state=row["platform_state"],
    )  # fmt: skip


def _item(line: ItemView) -> Item:
    return Item(
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        unit_price=Decimal(line.unit_price),
        discount=Decimal(line.discount),
        weight_g=UNSET if line.weight_g is None else line.weight_g,
    )
