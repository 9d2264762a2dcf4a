"""Addresses of orders, changed under the lock that follow-ups take."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain import addresses
from gateway.domain.addresses import Place
from gateway.domain.following import FollowUp, OrderState
from gateway.stores import unreadable
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

_READ = sql("read_recipients")
_CHANGE = sql("change_addresses")

_PRIVATE = "orders.private"
_LOG = "address_changes.change"

_encode = msgspec.json.Encoder().encode


class Recipient(Struct):
    """Where a locked order goes; ``private``: its sealed part, opened."""

    channel: str
    buyer_id: str
    place: Place
    private: bytes


async def read(
    connection: Connection, orders: Sequence[OrderState], *, sealer: Sealer
) -> tuple[dict[UUID, Recipient], frozenset[UUID]]:
    """Return the recipients of the locked orders, and the orders that have one nobody can open."""
    found: dict[UUID, Recipient] = {}
    closed: set[UUID] = set()
    for row in await connection.fetch(_READ, [order.id for order in orders]):
        id_, channel, buyer_id, *place, envelope = row
        private = unreadable.opened(sealer, _PRIVATE, id_, envelope)
        if private is None:
            closed.add(id_)
        else:
            found[id_] = Recipient(channel, buyer_id, Place(*place), private)
    return found, frozenset(closed)


async def write(
    connection: Connection,
    changes: Sequence[tuple[UUID, FollowUp]],
    recipients: Mapping[UUID, Recipient],
    *,
    sealer: Sealer,
) -> None:
    """Write the changed addresses of locked orders, each with its log."""
    logged: list[tuple[UUID, UUID, bytes, object]] = []
    indexes: dict[UUID, bytes] = {}
    for order_id, entry in changes:
        known = recipients[order_id]
        change = addresses.decode(entry.raw or b"")
        moved = addresses.readdressed(change, place=known.place, private=known.private)
        known.place, known.private = moved.place, moved.private
        buyer = f"buyer {len(known.channel)} {known.channel} {known.buyer_id}"
        indexes[order_id] = sealer.phone_index(moved.phone or buyer)
        log = sealer.seal(_LOG, entry.id.bytes, _encode(moved.log))
        logged.append((entry.id, order_id, log, entry.received_at))
    await connection.execute(
        _CHANGE,
        list(indexes),
        [recipients[id_].place.country for id_ in indexes],
        [recipients[id_].place.province for id_ in indexes],
        [recipients[id_].place.city for id_ in indexes],
        [recipients[id_].place.district for id_ in indexes],
        [sealer.seal(_PRIVATE, id_.bytes, recipients[id_].private) for id_ in indexes],
        list(indexes.values()),
        *map(list, zip(*logged, strict=True)),
    )
