"""What the database contains: the other side of the comparison in ``verify``."""

import asyncio
import time
from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

#: The tables whose rows must be the same on the replica.
TABLES = (
    "orders", "order_events", "payments", "refunds", "disputes", "parcels", "waiting", "parked",
    "outbox", "raw_messages", "order_changes", "deliveries", "delivery_attempts",
)  # fmt: skip

_POLL_INTERVAL_S = 0.1
#: Seconds without a change after which nobody relays the outbox. A relay looks once a second.
_STILL_S = 3.0

_ORDERS = """
SELECT id, channel, order_no, status, version, hold, currency, payable, paid, refunded FROM orders
"""
_PAYMENTS = """
SELECT provider, transaction_id, order_id, currency, amount, refunded, standing FROM payments
"""
_EVENTS = """
SELECT id, order_id, source, source_key, action, from_status, to_status, outcome, reason
  FROM order_events
"""
# Rows are sorted by content: their physical order differs between servers.
_DIGEST = """
SELECT count(*), coalesce(md5(string_agg(digest, '' ORDER BY digest COLLATE "C")), '')
  FROM (SELECT md5(t::text) AS digest FROM {table} t) AS digests
"""
# An event whose order was never placed keeps waiting, rightly.
_PAIRS = """
SELECT count(*)
  FROM waiting w
  JOIN orders o ON o.order_no = w.order_no AND o.channel = ANY (w.channels)
"""
_DISPUTES = """
SELECT p.order_id, d.state, d.amount FROM disputes d JOIN payments p ON p.id = d.payment_id
"""
_PARCELS = "SELECT order_id, tracking_no, delivered_at IS NOT NULL FROM parcels"
_ALIASES = "SELECT alias, order_id FROM order_aliases"
_PARKED = "SELECT source, source_key, order_id, reason FROM parked WHERE resolved_at IS NULL"


class Order(msgspec.Struct, frozen=True):
    """A row of ``orders``: the columns that a promise is about."""

    id: UUID
    channel: str
    order_no: str
    status: str
    version: int
    hold: str | None
    currency: str
    payable: Decimal
    paid: Decimal
    refunded: Decimal


class Payment(msgspec.Struct, frozen=True):
    """A row of ``payments``."""

    provider: str
    transaction_id: str
    order_id: UUID | None
    currency: str
    amount: Decimal
    refunded: Decimal
    standing: str


class Dispute(msgspec.Struct, frozen=True):
    """A row of ``disputes``."""

    order_id: UUID | None
    state: str
    amount: Decimal


class Parcel(msgspec.Struct, frozen=True):
    """A row of ``parcels``."""

    order_id: UUID
    tracking_no: str
    is_delivered: bool


class Event(msgspec.Struct, frozen=True):
    """A row of ``order_events``."""

    id: UUID
    order_id: UUID | None
    source: str
    source_key: str
    action: str
    from_status: str | None
    to_status: str | None
    outcome: str
    reason: str | None


class Parked(msgspec.Struct, frozen=True):
    """An open row of ``parked``."""

    source: str
    source_key: str
    order_id: UUID | None
    reason: str


class Stored(msgspec.Struct, kw_only=True):
    """One database at one moment."""

    orders: list[Order]
    payments: list[Payment]
    disputes: list[Dispute]
    parcels: list[Parcel]
    events: list[Event]
    parked: list[Parked]
    #: Order numbers of the events that still wait.
    waiting: list[str]
    #: The id of the order by each other id that was returned for it.
    aliases: dict[UUID, UUID]
    #: How often the bytes of a message are stored, by the id of the order or event.
    raw: Counter[UUID]


async def read(connection: Any) -> Stored:
    """Read all of it, in the transaction that the connection is in."""
    return Stored(
        orders=[Order(*row) for row in await connection.fetch(_ORDERS)],
        payments=[Payment(*row) for row in await connection.fetch(_PAYMENTS)],
        disputes=[Dispute(*row) for row in await connection.fetch(_DISPUTES)],
        parcels=[Parcel(*row) for row in await connection.fetch(_PARCELS)],
        events=[Event(*row) for row in await connection.fetch(_EVENTS)],
        parked=[Parked(*row) for row in await connection.fetch(_PARKED)],
        waiting=[row[0] for row in await connection.fetch("SELECT order_no FROM waiting")],
        aliases=dict([tuple(row) for row in await connection.fetch(_ALIASES)]),
        raw=Counter(row[0] for row in await connection.fetch("SELECT id FROM raw_messages")),
    )


async def read_from(url: str) -> Stored:
    """Read the database behind a URL as it is at one moment."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await read(connection)
    finally:
        await connection.close()


class TableDigest(msgspec.Struct, frozen=True):
    """A digest of a table: equal for two tables with the same rows."""

    rows: int
    digest: str


async def table_digests(url: str) -> dict[str, TableDigest]:
    """Return a digest of every table of ``TABLES``, over every column of every row."""
    connection = await asyncpg.connect(url)
    found = {}
    try:
        for table in TABLES:
            row = await connection.fetchrow(_DIGEST.format(table=table))
            found[table] = TableDigest(*row)
    finally:
        await connection.close()
    return found


async def settle(primary_url: str, replica_url: str, *, within_s: float) -> float:
    """Wait until no event waits for a stored order, and the replica has caught up.

    And until the outbox is empty, or stays as it is: where a worker relays it, a primary and a
    replica that are read one after the other would differ.

    Return the seconds taken.
    Returns after ``within_s`` in any case: what is wrong then shows in the comparison.
    """
    began_s = time.monotonic()
    primary = await asyncpg.connect(primary_url)
    replica = await asyncpg.connect(replica_url) if replica_url else None
    try:
        while time.monotonic() - began_s < within_s:
            if not await primary.fetchval(_PAIRS):
                break
            await asyncio.sleep(_POLL_INTERVAL_S)
        outbox, still_since_s = -1, time.monotonic()
        while time.monotonic() - began_s < within_s:
            now = await primary.fetchval("SELECT count(*) FROM outbox")
            if now != outbox:
                outbox, still_since_s = now, time.monotonic()
            if not outbox or time.monotonic() - still_since_s > _STILL_S:
                break
            await asyncio.sleep(_POLL_INTERVAL_S)
        if replica is not None:
            # Not what is written so far: what commits without waiting for its flush counts too.
            written = await primary.fetchval("SELECT pg_current_wal_insert_lsn()::text")
            while time.monotonic() - began_s < within_s:
                replayed = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
                if await replica.fetchval(replayed, written):
                    break
                await asyncio.sleep(_POLL_INTERVAL_S)
    finally:
        for connection in (primary, replica):
            if connection is not None:
                await connection.close()
    return time.monotonic() - began_s
