"""Missed orders: who waits for a target's word for too long, and having it told once more."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from msgspec import Struct

from gateway.domain.missed import STOPPING, AcceptingTarget, MissedOrder, Place
from gateway.runtime.settings_targets import Target
from gateway.stores.postgres import audit, errors
from gateway.stores.postgres.statements import sql

#: Seconds that orders wait for a target which the settings do not name, before they are forgotten.
_UNKNOWN_TARGET_S = 86400.0
#: Orders that one transaction pushes: the audit log is locked until it ends.
PUSH_MAX = 1000


class MissedCount(Struct, frozen=True):
    """The missed orders of a target; ``oldest_s``: the seconds since the oldest was told."""

    target: str
    orders: int
    oldest_s: float


class Wanted(Struct, frozen=True):
    """Which missed orders; None does not narrow. ``after``: where the page before ended.

    ``is_pushable``: leave out those that are due already and those that are being attempted.
    """

    channels: Sequence[str] | None = None
    orders: Sequence[UUID] | None = None
    after: Place | None = None
    is_pushable: bool = False
    limit: int = 100


class MissedOrders:
    """Reads and pushes missed orders. All raise ``Unavailable``."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def page(
        self, targets: Sequence[AcceptingTarget], wanted: Wanted, now: datetime
    ) -> list[MissedOrder]:
        """Return missed orders of these targets, those that wait longest first."""
        after = wanted.after
        with errors.translated():
            records = await self._pool.fetch(
                sql("list_missed"),
                *_told_before(targets, now),
                wanted.channels,
                wanted.orders,
                after.since if after else None,
                after.order_id if after else None,
                after.target if after else None,
                wanted.limit,
                wanted.is_pushable,
            )
        return [MissedOrder(*record) for record in records]

    async def counts(self, targets: Sequence[AcceptingTarget], now: datetime) -> list[MissedCount]:
        """Return how many each of these targets missed; one that missed none is not there."""
        with errors.translated():
            records = await self._pool.fetch(sql("count_missed"), *_told_before(targets, now))
        return [MissedCount(*record) for record in records]

    async def forget_settled(
        self, targets: Sequence[AcceptingTarget], now: datetime, limit: int
    ) -> int:
        """Forget due orders that need no word any more; return how many, up to ``limit``.

        Also what waits for targets other than these for a day.
        """
        names = [target.name for target in targets]
        with errors.translated():
            tags = [
                await self._pool.execute(
                    sql("delete_settled_awaiting"), *_told_before(targets, now), limit
                ),
                await self._pool.execute(
                    sql("delete_awaiting_of_others"), names, _UNKNOWN_TARGET_S, limit
                ),
            ]
        return max(int(tag.rpartition(" ")[2]) for tag in tags)

    async def push(self, missed: Sequence[MissedOrder], *, actor: str) -> list[tuple[UUID, str]]:
        """Have the targets told of these orders once more, under the same event ids.

        Returns the (order, target) that are due now, at most ``PUSH_MAX``; recorded in the audit
        log. What was accepted meanwhile, is being attempted, or belongs to a disabled target is
        not among them.
        """
        chosen = missed[:PUSH_MAX]
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                records = await connection.fetch(
                    sql("push_missed"),
                    [each.order_id for each in chosen],
                    [each.target for each in chosen],
                )
                pushed = [(order_id, target) for order_id, target in records]
                numbers = {(each.order_id, each.target): each for each in chosen}
                await audit.append_all(
                    connection,
                    [
                        audit.Entry(
                            actor,
                            "missed.push",
                            f"{numbers[each].channel}/{numbers[each].order_no}",
                            f"order.paid to {each[1]} once more, event {numbers[each].event_id}",
                        )
                        for each in pushed
                    ],
                )
        return pushed


def accepting(targets: Sequence[Target]) -> list[AcceptingTarget]:
    """Return those of the configured targets that accept orders."""
    return [
        AcceptingTarget(target.name, timedelta(seconds=target.missed_after_s))
        for target in targets
        if target.accepts != "never"
    ]


def _told_before(targets: Sequence[AcceptingTarget], now: datetime) -> list[object]:
    return [
        [target.name for target in targets],
        [now - target.missed_after for target in targets],
        list(STOPPING),
    ]
