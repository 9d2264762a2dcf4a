"""Approvals in the ledger, their requests sealed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from gateway.domain import approvals
from gateway.domain.approvals import Approval, State
from gateway.domain.errors import Unavailable
from gateway.stores import unreadable
from gateway.stores.postgres import errors
from gateway.stores.postgres.read_limiter import Connection, Pool, ReadLimiter, acquired
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

#: Seconds that a call may take, the wait for a connection included.
_CALL_S = 2.0
#: Of the connections that write: the others are for orders and payments.
_AT_ONCE = 1
_BODY = "approvals.body"


class NotDecided(Exception):
    """The approval cannot be decided so; the message says why. ``is_own``: by who asked for it."""

    def __init__(self, reason: str, *, is_own: bool = False) -> None:
        super().__init__(reason)
        self.is_own = is_own


class ApprovalStore:
    """The approvals. Every call raises ``Unavailable`` where Postgres is.

    Invariant: an approval is decided once, under its lock, and not by the person who asked for it.
    """

    def __init__(self, *, pool: Pool, sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer
        self._limiter = ReadLimiter(_AT_ONCE)

    async def add(self, asked: Approval) -> Approval:
        """Store an approval that is asked for; return it, or the one that was asked for before."""
        async with self._connection() as connection:
            row = await connection.fetchrow(
                sql("add_approval"), asked.id, asked.action, asked.order_id, asked.channel,
                asked.order_no, asked.is_test,
                self._sealer.seal(_BODY, asked.id.bytes, asked.body or b""), asked.digest,
                asked.request_key, asked.version, asked.reason, asked.requested_by,
                asked.requested_at, asked.expires_at,
            )  # fmt: skip
        if row is None:
            # Another request with this key is being stored now: its repeat finds it.
            raise Unavailable("contention")
        return self._approval(row)

    async def asked_before(self, request_key: str) -> Approval | None:
        """Return the approval that was asked for under an Idempotency-Key."""
        async with self._connection() as connection:
            row = await connection.fetchrow(sql("read_approval_by_key"), request_key)
        return None if row is None else self._approval(row)

    async def listed(
        self,
        channels: Sequence[str] | None,
        *,
        now: datetime,
        id_: UUID | None = None,
        order_id: UUID | None = None,
        state: State | None = None,
        limit: int = 200,
    ) -> list[Approval]:
        """Return approvals of these channels, newest first; None: of any."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                sql("list_approvals"), channels, id_, order_id, state, now, limit
            )
        return [self._approval(row) for row in rows]

    async def decide(
        self,
        id_: UUID,
        channels: Sequence[str] | None,
        *,
        is_approving: bool,
        actor: str,
        reason: str | None,
        now: datetime,
    ) -> Approval | None:
        """Approve or reject; return the approval, decided. None: there is none of these channels.

        Raises ``NotDecided``. What was decided so already is returned as it is.
        """
        async with self._connection() as connection, connection.transaction():
            row = await connection.fetchrow(sql("lock_approval"), id_, channels)
            if row is None:
                return None
            found = self._approval(row)
            if approvals.is_same_person(found, actor):
                detail = f"must be another person than {actor}, who requested it"
                raise NotDecided(f"actor {detail}", is_own=True)
            if fault := approvals.fault(found, now=now, is_approving=is_approving):
                raise NotDecided(fault)
            if found.state != "pending":
                return found
            state: State = "approved" if is_approving else "rejected"
            await connection.execute(sql("decide_approval"), id_, state, actor, now, reason)
        return msgspec.structs.replace(
            found, state=state, decided_by=actor, decided_at=now, decision_reason=reason
        )

    async def end(self, id_: UUID, state: State, reason: str | None = None) -> None:
        """Write what became of an approved action."""
        async with self._connection() as connection:
            await connection.execute(sql("end_approval"), id_, state, reason)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with self._limiter.slot():
            with errors.translated():
                async with asyncio.timeout(_CALL_S), acquired(self._pool) as connection:
                    yield connection

    def _approval(self, row: asyncpg.Record) -> Approval:
        fields = dict(row.items())
        fields["body"] = unreadable.opened(self._sealer, _BODY, fields["id"], fields["body"])
        return Approval(**fields)
