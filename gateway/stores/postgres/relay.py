"""The relay's transaction: from the outbox into the change feed and the deliveries."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.domain.handoff_decisions import Staged
from gateway.stores.postgres import errors
from gateway.stores.postgres.statements import sql

_encode = msgspec.json.Encoder().encode
#: Seconds until a delivery that waits for an earlier one is looked at all the same: that one may be
#: ended at this very moment, by who does not see this one yet.
_BLOCKED_S = 0.25


class OutboxRow(Struct, frozen=True):
    """A row of the outbox. ``event``: what is asked of it; None: its order does not exist."""

    position: int
    id: UUID
    order_id: UUID
    version: int
    topic: str
    priority: int
    created_at: datetime
    event: Staged | None


class Relayed(Struct, frozen=True):
    """What a transaction moved: rows, and deliveries by target."""

    rows: int
    deliveries: Mapping[str, int]


_NOTHING = Relayed(0, {})

#: Returns the targets that a row is for.
Match = Callable[[OutboxRow], Sequence[str]]


class RelayStore:
    """Moves rows out of the outbox. All of it raises ``Unavailable``.

    Invariants:

    - A row is in the outbox, or in the feed and in the deliveries of all its targets.
    - One relay at a time, over all workers: what is visible of the feed is complete up to its last
      position, and of one order it is in the order of its versions.
    """

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def see(self, targets: Sequence[str]) -> dict[str, int]:
        """Note the targets, if they are new; return the last position that is not for each."""
        with errors.translated():
            rows = await self._pool.fetch(sql("see_targets"), targets)
        return dict(map(tuple, rows))

    async def move(
        self,
        limit: int,
        match: Match,
        *,
        topics: Collection[str] | None = None,
        accepting: Collection[str] = (),
    ) -> Relayed:
        """Move up to ``limit`` rows, the oldest first; none while another relay does.

        ``match`` is asked of rows of these ``topics``; None: of all. ``accepting``: targets whose
        word is awaited for each order that they are told is paid.
        """
        wanted = None if topics is None else list(topics)
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                if not await connection.fetchval(sql("lock_relay")):
                    return _NOTHING
                records = await connection.fetch(sql("take_outbox"), limit, wanted)
                total = records[0]["total"]
                rows = [_row(each) for each in records if each["id"] is not None]
                matched = [(target, row) for row in rows for target in match(row)]
                if matched:
                    await connection.execute(
                        sql("add_deliveries"), _deliveries(matched), _BLOCKED_S
                    )
                awaited = [
                    (target, row)
                    for target, row in matched
                    if row.topic == "order.paid" and target in accepting
                ]
                if awaited:
                    await connection.execute(
                        sql("await_acceptance"),
                        [row.order_id for _, row in awaited],
                        [target for target, _ in awaited],
                        [row.id for _, row in awaited],
                        [row.position for _, row in awaited],
                        [row.version for _, row in awaited],
                        [row.created_at for _, row in awaited],
                    )
        counts: dict[str, int] = {}
        for target, _ in matched:
            counts[target] = counts.get(target, 0) + 1
        return Relayed(total, counts)


def _row(record: asyncpg.Record) -> OutboxRow:
    _, position, id_, order_id, version, topic, priority, created_at, channel, *of_order = record
    event = None if channel is None else Staged(topic, channel, *of_order)
    return OutboxRow(position, id_, order_id, version, topic, priority, created_at, event)


def _deliveries(matched: Sequence[tuple[str, OutboxRow]]) -> str:
    return _encode(
        [
            {
                "target": target,
                "event_id": row.id,
                "position": row.position,
                "order_id": row.order_id,
                "version": row.version,
                "topic": row.topic,
                "priority": row.priority,
                "occurred_at": row.created_at,
            }
            for target, row in matched
        ]
    ).decode()
