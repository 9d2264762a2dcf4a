"""Exceptions in the ledger: cases with class, owner, deadline, and the journal of each."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.domain.errors import TidegateError
from gateway.domain.exception_cases import (
    Cause,
    ClassPolicy,
    ClosedCase,
    Entry,
    ExceptionClass,
    NewCase,
)
from gateway.stores.postgres import audit, errors
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer, SealingError

_PLACE = "exception_entries.message"


class ExceptionCase(Struct, frozen=True):
    """A case. ``owner`` empty: nobody's; ``resolved_at`` null: it is open."""

    id: UUID
    kind: str
    source: str
    reason: str
    detail: str
    order_id: UUID | None
    order_no: str
    channel: str
    owner: str
    opened_at: datetime
    due_at: datetime
    escalated_at: datetime | None
    resolved_at: datetime | None
    relapses: int


class CaseEntry(Struct, frozen=True):
    """A line of a case's journal. ``message``: what a person wrote; null where it is unreadable."""

    at: datetime
    actor: str
    entry: str
    note: str
    message: str | None


class CaseFilter(Struct, frozen=True):
    """Which cases to list, the most urgent first; None does not narrow."""

    is_open: bool | None = True
    kind: str | None = None
    owner: str | None = None
    order_no: str | None = None
    due_before: datetime | None = None
    #: The last case of the page before.
    after: UUID | None = None
    limit: int = 50


class KindCount(Struct, frozen=True):
    """The open cases of a class, and how many of them are overdue."""

    kind: str
    open: int
    overdue: int


class NotFound(TidegateError):
    """There is no such case, or no such order; or the number is that of several orders."""


class Change(Struct, frozen=True):
    """What a person does to a case. ``message`` is what they wrote; it is stored sealed."""

    entry: Literal["assigned", "deadline", "commented", "resolved", "reopened"]
    actor: str
    message: str = ""
    owner: str = ""
    due_at: datetime | None = None


class Exceptions:
    """The table of cases. Every call may raise ``Unavailable``."""

    def __init__(
        self,
        *,
        pool: "asyncpg.Pool[asyncpg.Record]",
        sealer: Sealer,
        new_id: Callable[[], UUID],
    ) -> None:
        self._pool = pool
        self._sealer = sealer
        self._new_id = new_id

    async def causes(self, now: datetime, *, part_paid_s: float, limit: int) -> list[Cause]:
        """Return what is wrong in the ledger and has no case, at most ``limit`` of each source.

        ``part_paid_s``: how long an order may stay paid in part.
        """
        with errors.translated():
            rows = await self._pool.fetch(sql("find_exception_causes"), now, part_paid_s, limit)
        return [Cause(**dict(row)) for row in rows]

    async def open(self, cases: Sequence[NewCase], *, actor: str, message: str = "") -> int:
        """Open cases, or open again those whose cause had ended; return how many of both."""
        rows = msgspec.json.encode([_row(case) for case in _by_key(cases)]).decode()
        at = {case.id: case.opened_at for case in cases}
        now = max(at.values(), default=None)
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                opened = await connection.fetch(sql("open_exceptions"), rows)
                if now is not None:
                    await self._write(
                        connection,
                        [
                            (id_, "reopened" if is_relapse else "opened", "", message)
                            for id_, is_relapse in opened
                        ],
                        at=now,
                        actor=actor,
                    )
        return len(opened)

    async def end(self, now: datetime, *, limit: int) -> int:
        """End the cases whose cause has ended; return how many were resolved by that."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                ended = await connection.fetch(sql("end_exceptions"), now, limit)
                await self._write(
                    connection,
                    [(id_, "resolved", "its cause has ended", "") for (id_,) in ended],
                    at=now,
                    actor=audit.BY_ITSELF,
                )
        return len(ended)

    async def escalate(
        self, now: datetime, policies: Mapping[ExceptionClass, ClassPolicy], *, limit: int
    ) -> int:
        """Escalate overdue cases, once each; return how many."""
        kinds = list(policies)
        to = [policies[kind].escalate_to for kind in kinds]
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                late = await connection.fetch(sql("escalate_exceptions"), now, kinds, to, limit)
                await self._write(
                    connection,
                    [(id_, "escalated", f"owner: {owner or 'nobody'}", "") for id_, owner in late],
                    at=now,
                    actor=audit.BY_ITSELF,
                )
        return len(late)

    async def page(self, wanted: CaseFilter) -> list[ExceptionCase]:
        """Return cases by deadline."""
        with errors.translated():
            rows = await self._pool.fetch(
                sql("list_exceptions"),
                wanted.is_open,
                wanted.kind,
                wanted.owner,
                wanted.order_no,
                wanted.due_before,
                wanted.after,
                wanted.limit,
            )
        return [ExceptionCase(**dict(row)) for row in rows]

    async def case(self, id_: UUID) -> tuple[ExceptionCase, list[CaseEntry]]:
        """Return a case and its journal, oldest first. Raises ``NotFound``."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                found = await _locked(connection, id_)
                rows = await connection.fetch(sql("read_exception_entries"), id_)
        return found, [self._entry(row) for row in rows]

    async def change(self, id_: UUID, change: Change, *, now: datetime) -> ExceptionCase:
        """Do what a person decided; return the case as it is then. Raises ``NotFound``.

        A resolved case stays resolved when it is resolved again, and an open one that is opened
        again stays as it is: nothing is written then. The audit log has every change.
        """
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                before = await _locked(connection, id_)
                after, note = _changed(before, change, now)
                if after == before and change.entry != "commented":
                    return before
                await connection.execute(
                    sql("change_exception"),
                    id_,
                    after.owner,
                    after.due_at,
                    after.resolved_at,
                    after.escalated_at,
                    after.relapses,
                    after.opened_at,
                )
                await self._write(
                    connection, [(id_, change.entry, note, change.message)], at=now,
                    actor=change.actor,
                )  # fmt: skip
                await audit.append(
                    connection, change.actor, f"exception_{change.entry}", str(id_), note
                )
        return after

    async def of_cause(self, source: str, key: str) -> ExceptionCase:
        """Return the case of a cause. Raises ``NotFound``."""
        with errors.translated():
            row = await self._pool.fetchrow(sql("find_exception_of_cause"), source, key)
        if row is None:
            raise NotFound("there is no such exception")
        return ExceptionCase(**dict(row))

    async def order(self, order: str, *, channel: str | None = None) -> tuple[UUID, str, str]:
        """Return id, number and channel of the order of an id or number. Raises ``NotFound``."""
        try:
            id_ = UUID(order)
        except ValueError:
            id_ = None
        with errors.translated():
            rows = await self._pool.fetch(sql("find_exception_orders"), id_, order, channel)
        if not rows:
            raise NotFound(f"no order has the number or id {order}")
        if len(rows) > 1:
            raise NotFound(f"several orders have the number {order}: name the channel too")
        return tuple(rows[0])

    async def times(self, since: datetime) -> list[ClosedCase]:
        """Return the times of open cases, and of those resolved at or after ``since``."""
        with errors.translated():
            rows = await self._pool.fetch(sql("report_exceptions"), since)
        return [ClosedCase(**dict(row)) for row in rows]

    async def counts(self, now: datetime) -> list[KindCount]:
        """Return the open cases by class."""
        with errors.translated():
            rows = await self._pool.fetch(sql("count_exceptions"), now)
        return [KindCount(**dict(row)) for row in rows]

    async def _write(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        entries: Sequence[tuple[UUID, Entry, str, str]],
        *,
        at: datetime,
        actor: str,
    ) -> None:
        """Write lines of journals: of each the case, what was done, the note and the message."""
        if not entries:
            return
        ids = [self._new_id() for _ in entries]
        await connection.execute(
            sql("add_exception_entries"),
            ids,
            [case for case, _, _, _ in entries],
            [at] * len(ids),
            [actor] * len(ids),
            [entry for _, entry, _, _ in entries],
            [note for _, _, note, _ in entries],
            [
                self._sealer.seal(_PLACE, id_.bytes, message.encode()) if message else None
                for id_, (_, _, _, message) in zip(ids, entries, strict=True)
            ],
        )

    def _entry(self, row: Mapping[str, Any]) -> CaseEntry:
        message: str | None = ""
        if row["message"] is not None:
            try:
                message = self._sealer.open(_PLACE, row["id"].bytes, row["message"]).decode()
            except SealingError:
                message = None
        return CaseEntry(row["at"], row["actor"], row["entry"], row["note"], message)


def _by_key(cases: Sequence[NewCase]) -> list[NewCase]:
    """Return cases in the order of their unique keys, or two workers could deadlock."""
    return sorted(cases, key=lambda case: (case.cause.source, case.cause.key))


def _row(case: NewCase) -> dict[str, object]:
    cause = case.cause
    return {
        "id": case.id,
        "kind": case.kind,
        "source": cause.source,
        "source_key": cause.key,
        "reason": cause.reason,
        "detail": cause.detail,
        "order_id": cause.order_id,
        "order_no": cause.order_no,
        "channel": cause.channel,
        "owner": case.owner,
        "opened_at": case.opened_at,
        "due_at": case.due_at,
    }


async def _locked(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", id_: UUID
) -> ExceptionCase:
    row = await connection.fetchrow(sql("lock_exception"), id_)
    if row is None:
        raise NotFound(f"there is no exception {id_}")
    return ExceptionCase(**dict(row))


def _changed(case: ExceptionCase, change: Change, now: datetime) -> tuple[ExceptionCase, str]:
    """Return the case after a change, and the note about it."""
    replace = msgspec.structs.replace
    if change.entry == "assigned":
        return replace(case, owner=change.owner), f"owner: {change.owner or 'nobody'}"
    if change.entry == "deadline":
        assert change.due_at is not None, "who sets a deadline says when it is"
        is_later = change.due_at > now
        escalated_at = None if is_later else case.escalated_at
        note = f"due: {change.due_at:%Y-%m-%d %H:%M} UTC"
        return replace(case, due_at=change.due_at, escalated_at=escalated_at), note
    if change.entry == "resolved":
        return replace(case, resolved_at=case.resolved_at or now), ""
    if change.entry == "reopened" and case.resolved_at is not None:
        # It has the time it had before to be done with.
        due_at = now + (case.due_at - case.opened_at)
        return replace(
            case, resolved_at=None, escalated_at=None, opened_at=now, due_at=due_at,
            relapses=case.relapses + 1,
        ), ""  # fmt: skip
    return case, ""
