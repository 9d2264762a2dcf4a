"""The parked rows of replays in a batch of follow-ups: locked, and written after the fold."""

from collections.abc import Sequence

import asyncpg
import msgspec

from gateway.domain.following import Replay
from gateway.domain.followup_replays import ReplayedRow, ReplayFold
from gateway.domain.followup_rows import WaitingEvent
from gateway.stores.postgres.statements import sql

_LOCK = sql("lock_replayed_rows")
_FINISH = sql("finish_replays")
_CORRECT_PAYMENTS = sql("correct_payments")
_CORRECT_WAITING = sql("correct_waiting")

_decode_waiting = msgspec.json.Decoder(WaitingEvent).decode
_encode = msgspec.json.Encoder().encode


async def lock(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", replays: Sequence[Replay]
) -> list[ReplayedRow]:
    """Return the parked rows of replays, locked until the transaction ends."""
    records = await connection.fetch(
        _LOCK, [each.parked_id for each in replays], [each.waiting_id for each in replays]
    )
    return [
        ReplayedRow(
            id=row["id"],
            reason=row["reason"],
            detail=row["detail"],
            transaction_no=row["transaction_no"],
            replays=row["replays"],
            is_open=row["is_open"],
            waiting=None if row["waiting"] is None else _decode_waiting(row["waiting"]),
        )
        for row in records
    ]


async def finish(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", fold: ReplayFold
) -> None:
    """Write what the replays of a batch came to, in the same transaction as all else."""
    if fold.corrected:
        rows = _encode(list(fold.corrected.values())).decode()
        await connection.execute(_CORRECT_PAYMENTS, rows)
    if fold.told_anew:
        await connection.execute(_CORRECT_WAITING, _encode(fold.told_anew).decode())
    if fold.verdicts:
        await connection.execute(_FINISH, _encode(fold.verdicts).decode())
