"""Remarks: changed one order at a time, under the lock that follow-ups take too.

A payment that is folded meanwhile waits for the lock or holds it, and neither writes what the
other does: follow-ups do not write the private part, and this writes nothing else. Only one order
is locked, and its key in the history is its own, so there is no deadlock.
"""

import asyncio
from collections.abc import Callable
from uuid import UUID

import asyncpg
import msgspec

from gateway.domain import remarks
from gateway.domain.errors import Unavailable
from gateway.domain.remarks import Edit, Edited
from gateway.runtime import retry
from gateway.stores import unreadable
from gateway.stores.postgres import errors
from gateway.stores.postgres.outbox_signal import Signal, Silence
from gateway.stores.postgres.read_limiter import (
    Connection,
    Pool,
    ReadLimiter,
    acquired,
    terminated_after,
)
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

_LOCK = sql("lock_order")
_WRITE = sql("write_remark")

_TRIES_MAX = 6
#: Of the connections that write: the others are for orders and payments.
_AT_ONCE = 1
_PRIVATE = "orders.private"
_MESSAGE = "raw_messages.body"


class Remarks:
    """Changes remarks in the ledger. Has the statements and the sealing; ``remarks.judge`` decides.

    After a change the order has its next version, and its history, raw message and outbox row
    are committed with it.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        sealer: Sealer,
        new_id: Callable[[], UUID],
        edit_s: float,
        signal: Signal = Silence(),  # noqa: B008 - it has no state
    ) -> None:
        """``edit_s``: seconds after which an edit is abandoned, whatever it waits for.

        ``signal``: told of each commit.
        """
        self._signal = signal
        self._pool = pool
        self._sealer = sealer
        self._new_id = new_id
        self._edit_s = edit_s
        self._limiter = ReadLimiter(_AT_ONCE)

    async def change(self, edit: Edit) -> Edited | None:
        """Apply an edit; return its outcome, committed. None: there is no such order.

        Raises ``Unavailable`` when nothing was stored or it is not known whether it was: the
        repeat of an edit that was applied finds it so.
        """
        until_s = asyncio.get_running_loop().time() + self._edit_s
        async with self._limiter.slot():
            for attempt in range(_TRIES_MAX):
                try:
                    edited = await self._try(edit, until_s)
                    if self._signal.is_on:
                        self._signal.staged()
                    return edited
                except errors.Contended:
                    await retry.jitter(attempt)
        raise Unavailable("contention")

    async def _try(self, edit: Edit, until_s: float) -> Edited | None:
        with errors.translated():
            async with acquired(self._pool) as connection:
                left_s = until_s - asyncio.get_running_loop().time()
                with terminated_after(connection, left_s):
                    async with connection.transaction():
                        return await self._change_locked(connection, edit)

    async def _change_locked(self, connection: Connection, edit: Edit) -> Edited | None:
        record = await connection.fetchrow(_LOCK, edit.order_id, edit.channels, edit.is_test)
        if record is None:
            return None
        id_: UUID = record["id"]
        channel, status, version = record["channel"], record["status"], record["version"]
        verdict = self._judged(edit, id_, version, record["private"])
        answer: remarks.Answer
        if isinstance(verdict, remarks.Replace):
            answer, version = "changed", version + 1
            await self._write(connection, edit, record, version, verdict.private)
        else:
            answer = verdict
        return Edited(answer, id_, channel, record["order_no"], status, version, record["hold"])

    def _judged(
        self, edit: Edit, id_: UUID, version: int, envelope: bytes
    ) -> remarks.Replace | remarks.Answer:
        """Judge an edit; ``unreadable``: what else is in the private part would be lost."""
        private = unreadable.opened(self._sealer, _PRIVATE, id_, envelope)
        if private is None:
            return "unreadable"
        try:
            return remarks.judge(edit, version=version, private=private)
        except msgspec.MsgspecError:
            unreadable.note(_PRIVATE, str(id_), envelope, "not the private part of an order")
            return "unreadable"

    async def _write(
        self,
        connection: Connection,
        edit: Edit,
        order: asyncpg.Record,
        version: int,
        private: bytes,
    ) -> None:
        id_: UUID = order["id"]
        # Made under the lock: the history is sorted by ids, which must follow the steps.
        event_id = self._new_id()
        await connection.execute(
            _WRITE,
            id_,
            version,
            self._sealer.seal(_PRIVATE, id_.bytes, private),
            event_id,
            f"remark:{order['channel']}",
            # A version of an order is reached once.
            f"{id_}:{version}",
            order["status"],
            edit.trigger,
            edit.received_at,
            self._sealer.seal(_MESSAGE, event_id.bytes, edit.raw),
            self._new_id(),
        )
