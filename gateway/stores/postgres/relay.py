"""The relay's transaction: from the outbox into the change feed and the deliveries."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.domain.handoff_decisions import Staged, Subscription
from gateway.stores.postgres import errors
from gateway.stores.postgres.statements import sql

_encode = msgspec.json.Encoder().encode
#: Seconds until a delivery that waits for an earlier one is looked at all the same: that one may be
#: ended at this very moment, by who does not see this one yet.
_BLOCKED_S = 0.25
#: Seconds for which a target is told that no worker has in its settings any more. Longer than it
#: takes to give all workers new ones, or to get PostgreSQL back.
_KNOWN_S = 3600.0


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


class Wanted(Struct, frozen=True):
    """What a target wants, as a worker has it in its settings."""

    subscription: Subscription
    is_accepting: bool


class Relayed(Struct, frozen=True):
    """What a transaction moved: rows, and deliveries by target."""

    rows: int
    deliveries: Mapping[str, int]


_NOTHING = Relayed(0, {})

#: Returns the targets that a row is for.
Match = Callable[[OutboxRow], Sequence[str]]

_decode_wanted = msgspec.json.Decoder(Wanted).decode


class RelayStore:
    """Moves rows out of the outbox. All of it raises ``Unavailable``.

    Invariants:

    - A row is in the outbox, or in the feed and in the deliveries of all its targets.
    - One relay at a time, over all workers: what is visible of the feed is complete up to its last
      position, and of one order it is in the order of its versions.
    """

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def see(self, targets: Mapping[str, Wanted]) -> dict[str, int]:
        """Note that a worker has these targets, for those whose settings do not name them.

        Returns the last position of the outbox that is not for each.
        """
        names = sorted(targets)
        with errors.translated():
            rows = await self._pool.fetch(
                sql("see_targets"), names, [_encode(targets[name]).decode() for name in names]
            )
        return dict(map(tuple, rows))

    async def move(
        self,
        limit: int,
        match: Match,
        *,
        topics: Collection[str] | None = None,
        known: Collection[str] = (),
        accepting: Collection[str] = (),
    ) -> Relayed:
        """Move up to ``limit`` rows, the oldest first; none while another relay does.

        ``match`` is asked of rows of these ``topics``; None: of all.
        ``known``: the targets that ``match`` answers for; others that some worker knows get what
        that one says that they want.
        ``accepting``: of ``known``, those whose word is awaited for each order that they are told
        is paid.
        """
        wanted = None if topics is None else list(topics)
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                if not await connection.fetchval(sql("lock_relay")):
                    return _NOTHING
                records = await connection.fetch(
                    sql("take_outbox"), limit, wanted, list(known), _KNOWN_S
                )
                total, is_for_others = records[0]["total"], records[0]["is_for_others"]
                rows = [_row(each) for each in records if each["id"] is not None]
                matched = [(target, row) for row in rows for target in match(row)]
                if rows and is_for_others:
                    others = await connection.fetch(sql("targets_of_others"), list(known), _KNOWN_S)
                    accepting = {*accepting, *_match_others(rows, others, matched)}
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
    position, id_, order_id, version, topic, priority, created_at, channel, *of_order = record[2:]
    event = None if channel is None else Staged(topic, channel, *of_order)
    return OutboxRow(position, id_, order_id, version, topic, priority, created_at, event)


def _match_others(
    rows: Sequence[OutboxRow],
    others: Sequence[asyncpg.Record],
    matched: list[tuple[str, OutboxRow]],
) -> list[str]:
    """Add what these targets want to ``matched``; return those whose word is awaited."""
    accepting = []
    for name, after, text in others:
        wanted = _decode_wanted(text)
        if wanted.is_accepting:
            accepting.append(name)
        matched += [
            (name, row)
            for row in rows
            if row.event and row.position > after and wanted.subscription.wants(row.event)
        ]
    return accepting


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
