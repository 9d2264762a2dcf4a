"""Rejected callbacks: stored sealed and for a short while, for operators only."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.domain.rejected_callbacks import RejectedCallback
from gateway.stores.postgres import audit, errors
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer, SealingError

_PLACE = "refused_callbacks.message"


class _Message(Struct, array_like=True):
    headers: list[tuple[str, str]]
    body: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Message).decode


class Listed(Struct, frozen=True):
    """A rejected callback without its content. ``bytes`` is the length of the body."""

    id: UUID
    provider: str
    account: str
    reason: str
    hint: str
    received_at: datetime
    bytes: int


class Unopened(Struct, frozen=True):
    """One whose content cannot be opened, and why."""

    listed: Listed
    reason: str


class RejectedCallbacks:
    """The table of rejected callbacks. Every call may raise ``Unavailable``."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]", sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    async def add(self, rows: Sequence[RejectedCallback]) -> None:
        """Store them; what is stored already stays as it is."""
        sealed = [
            self._sealer.seal(_PLACE, row.id.bytes, _encode(_Message(list(row.headers), row.body)))
            for row in rows
        ]
        with errors.translated():
            await self._pool.execute(
                sql("insert_rejected_callbacks"),
                [row.id for row in rows],
                [row.provider for row in rows],
                [row.account for row in rows],
                [row.reason for row in rows],
                [row.hint for row in rows],
                [row.received_at for row in rows],
                [len(row.body) for row in rows],
                sealed,
            )

    async def newest(
        self, *, provider: str | None, account: str | None, reason: str | None, limit: int
    ) -> list[Listed]:
        """Return the newest ones, newest first; None does not narrow."""
        with errors.translated():
            rows = await self._pool.fetch(
                sql("list_rejected_callbacks"), provider, account, reason, limit
            )
        return [Listed(**dict(row)) for row in rows]

    async def counts(
        self, *, provider: str | None, account: str | None, reason: str | None
    ) -> dict[str, int]:
        """Return how many are stored, by reason, the most first; None does not narrow."""
        with errors.translated():
            rows = await self._pool.fetch(
                sql("count_rejected_callbacks"), provider, account, reason
            )
        return {str(found): int(count) for found, count in rows}

    async def open(self, id_: UUID, *, actor: str) -> RejectedCallback | Unopened | None:
        """Return one with its content; the audit log records who read it. None if there is none.

        ``Unopened`` where its content is damaged or the key it was sealed with is gone.
        """
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(sql("read_rejected_callback"), id_)
                if row is None:
                    return None
                listed = {name: row[name] for name in Listed.__struct_fields__}
                try:
                    message = _decode(self._sealer.open(_PLACE, id_.bytes, row["message"]))
                except SealingError as exc:
                    return Unopened(Listed(**listed), str(exc))
                except msgspec.MsgspecError:
                    return Unopened(Listed(**listed), "not a message of this version")
                detail = f"{row['provider']}/{row['account']}"
                await audit.append(connection, actor, "show_refused", str(id_), detail)
        return RejectedCallback(
            id_,
            row["provider"],
            row["account"],
            row["reason"],
            row["hint"],
            row["received_at"],
            message.headers,
            message.body,
        )
