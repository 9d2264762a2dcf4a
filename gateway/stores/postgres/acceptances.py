"""Acceptances by answer: a target's 2xx to ``order.paid`` is its word that it has the order.

Written in the transaction in which the delivery is finished: after a crash in between the order is
handed on again, under the same event id, and its word comes again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.domain import acceptances
from gateway.domain.events import Accepted
from gateway.domain.following import Acceptance
from gateway.stores.postgres.statements import sql

_LOCK = sql("lock_orders_by_id")
_WRITE = sql("write_acceptances")
_FORGET_AWAITED = sql("delete_awaiting_acceptance")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[Acceptance, ...]).decode


class Answered(Struct, frozen=True):
    """A target's 2xx to the ``order.paid`` of an order."""

    order_id: UUID
    target: str
    event_id: UUID
    answered_at: datetime


async def record(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    answered: Sequence[Answered],
    *,
    new_id: Callable[[], UUID],
) -> int:
    """Record the targets' words in the caller's transaction; return how many orders changed.

    The orders are locked in id order, and have their history, outbox row and next version
    afterwards, as if each word had come as an event. A repeat changes nothing. Two round trips
    whatever the number, three where something changes. Raises the driver's errors.
    """
    if not answered:
        return 0
    orders = {each.order_id for each in answered}
    states = {
        row["id"]: _State(row["version"], row["status"], _known(row["acceptances"]))
        for row in await connection.fetch(_LOCK, list(orders))
    }
    changed: list[tuple[Answered, int, str]] = []
    for each in sorted(answered, key=lambda each: (each.order_id, each.answered_at)):
        state = states.get(each.order_id)
        if state is None:
            continue
        told = Accepted("", each.target, "", each.answered_at)
        found = acceptances.told(state.known, told)
        if found is None:
            continue
        state.known = found
        state.version += 1
        changed.append((each, state.version, state.status))
    if changed:
        touched = sorted({each.order_id for each, _, _ in changed})
        await connection.execute(
            _WRITE,
            touched,
            [states[id_].version for id_ in touched],
            [states[id_].known[0].accepted_at for id_ in touched],
            [_encode(states[id_].known).decode() for id_ in touched],
            [each.order_id for each, _, _ in changed],
            [version for _, version, _ in changed],
            [status for _, _, status in changed],
            [each.target for each, _, _ in changed],
            [each.event_id for each, _, _ in changed],
            [each.answered_at for each, _, _ in changed],
            # Made under the lock: the history is sorted by ids, which must follow the steps.
            [new_id() for _ in changed],
            [new_id() for _ in changed],
        )
    pairs = sorted({(each.order_id, each.target) for each in answered})
    await connection.execute(
        _FORGET_AWAITED, [order_id for order_id, _ in pairs], [target for _, target in pairs]
    )
    return len({each.order_id for each, _, _ in changed})


class _State(Struct):
    version: int
    status: str
    known: tuple[Acceptance, ...]


def _known(stored: str | None) -> tuple[Acceptance, ...]:
    return () if stored is None else _decode(stored)
