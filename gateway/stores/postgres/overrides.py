"""Operators' overrides and plans in the ledger, each changed together with its audit row."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
from msgspec import Struct, field

from gateway.domain import asking, overrides
from gateway.domain.errors import TidegateError
from gateway.domain.overrides import Action, Override, OverrideRequest
from gateway.domain.plans import Plan
from gateway.stores.postgres import audit, errors, plan_audit
from gateway.stores.postgres.audit import Entry
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.statements import sql

_log = logging.getLogger(__name__)

#: Seconds that a call may take, the wait for a connection included.
_CALL_S = 2.0
#: Seconds that a read has to audit what began or ended by itself. It takes milliseconds; where the
#: audit log is locked, or a standby is lost, a later read does it: the reader needs the answer
#: within what a command (2.0 s in all) or a gateway's refresh (0.8 s) has.
_AUDIT_S = 0.3


class PlannedStep(Struct, frozen=True):
    """A step of a plan as it is stored. Published as JSON: its wire names stay."""

    plan: str
    target: str
    action: Action = field(name="mode")
    reason: str
    actor: str
    from_at: datetime
    until: datetime


class OverrideStore:
    """The overrides in the ledger. Every call raises ``Unavailable`` where Postgres is.

    Invariant: an override or plan changes together with its audit row, or neither does.
    """

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._is_audit_late = False

    async def every(self) -> list[Override]:
        """Return every override that is active, planned within a day, or pending approval.

        What began or ended by itself is audited by the first process that reads it. Where that
        fails a later read does it: it may not keep a reader from the overrides.
        """
        with errors.translated():
            async with asyncio.timeout(_CALL_S):
                records = await self._pool.fetch(sql("list_overrides"))
        if any(record["is_due"] for record in records):
            await self._audit_due()
        return [each for each in map(_override, records) if each.left_s > 0]

    async def set(self, request: OverrideRequest) -> bool:
        """Set an override, or one pending approval where a second person is needed.

        Returns whether it is active already. Raises ``InvalidOverride``.
        """
        overrides.check(request)
        is_pending = overrides.needs_approval(request.target, request.action)
        async with self.changing() as connection:
            await _write(connection, request, is_pending=is_pending, approved_by=None)
            action = "switch.ask" if is_pending else "switch.set"
            await audit.append(connection, request.actor, action, request.target, _detail(request))
        return not is_pending

    async def approve(self, target: str, *, actor: str) -> OverrideRequest | None:
        """Activate what another person requested; None when nothing is pending, or no longer.

        Raises ``InvalidOverride`` when it is the same person.
        """
        overrides.features_of(target)
        async with self.changing() as connection:
            record = await connection.fetchrow(sql("lock_pending_override"), target)
            if record is None:
                return None
            request = OverrideRequest(
                target, record["action"], record["for_s"], record["reason"], record["actor"]
            )
            if asking.person(request.actor) == asking.person(actor):
                raise overrides.InvalidOverride(
                    "actor", f"must be another person than {actor}, who requested it"
                )
            await connection.execute(sql("drop_pending_override"), target)
            await _write(connection, request, is_pending=False, approved_by=actor)
            detail = f"requested by {request.actor}; {_detail(request)}"
            await audit.append(connection, actor, "switch.agree", target, detail)
        return request

    async def clear(self, target: str, *, actor: str, reason: str = "") -> bool:
        """Leave a target to the load again; False when it had no override."""
        overrides.features_of(target)
        async with self.changing() as connection:
            removed = await connection.fetch(sql("clear_override"), target)
            if removed:
                detail = f"{_actions(removed)}{f': {reason}' if reason else ''}"
                await audit.append(connection, actor, "switch.clear", target, detail)
        return bool(removed)

    async def set_plan(self, plan: Plan, *, actor: str) -> bool:
        """Put a checked plan in place of the one of its name; return whether there was one.

        Raises ``InvalidOverride`` where another plan overrides a target at the same time.
        """
        steps = plan.steps
        same = {(each.target, each.action, each.from_at) for each in steps}
        async with self.changing() as connection:
            dropped = await connection.fetch(sql("drop_plan"), plan.name)
            # A step that continues in the new plan has begun already, and does not end.
            continuing = {
                _step(each): each["begin_audited_at"]
                for each in dropped
                if _step(each) in same and not each["is_over"]
            }
            other = await connection.fetchrow(
                sql("find_overlapping_plan"),
                [step.target for step in steps],
                [step.from_at for step in steps],
                [step.until for step in steps],
            )
            if other is not None:
                raise overrides.InvalidOverride(
                    f"steps[{other['n'] - 1}]",
                    f"overlaps a step of the plan {other['plan']} on {other['target']}",
                )
            await connection.execute(
                sql("add_plan_steps"),
                plan.name,
                actor,
                [step.target for step in steps],
                [step.action for step in steps],
                [step.reason for step in steps],
                [step.from_at for step in steps],
                [step.until for step in steps],
                [continuing.get((step.target, step.action, step.from_at)) for step in steps],
            )
            details = (
                f"{each.target} {each.action} {each.from_at.isoformat()} to "
                f"{each.until.isoformat()}: {each.reason}"
                for each in steps
            )
            gone = [each for each in dropped if _step(each) not in continuing]
            ends = plan_audit.removed(gone, actor=actor, why="its plan was replaced")
            set_ = Entry(actor, "plan.set", plan.name, "; ".join(details))
            await audit.append_all(connection, [*ends, set_])
        return bool(dropped)

    async def drop_plan(self, name: str, *, actor: str) -> bool:
        """Drop a plan, its steps that have begun too; False when there is none of that name."""
        async with self.changing() as connection:
            dropped = await connection.fetch(sql("drop_plan"), name)
            if dropped:
                ends = plan_audit.removed(dropped, actor=actor, why="its plan was dropped")
                drop = Entry(actor, "plan.drop", name, plan_audit.progress(dropped))
                await audit.append_all(connection, [*ends, drop])
        return bool(dropped)

    async def planned(self) -> list[PlannedStep]:
        """Return all steps of all plans, also those that ended within the last week."""
        with errors.translated():
            async with asyncio.timeout(_CALL_S):
                records = await self._pool.fetch(sql("list_plan_steps"))
        return [PlannedStep(**dict(record)) for record in records]

    @asynccontextmanager
    async def changing(self, *, within_s: float = _CALL_S) -> AsyncIterator[Connection]:
        """Lend a transaction in which overrides are changed and audited. Raises ``Unavailable``."""
        with errors.translated():
            async with asyncio.timeout(within_s):
                async with self._pool.acquire() as connection, connection.transaction():
                    yield connection

    async def _audit_due(self) -> None:
        """Remove what ended, and audit what began or ended by itself, once for all processes."""
        try:
            async with self.changing(within_s=_AUDIT_S) as connection:
                ended = await connection.fetch(sql("expire_overrides"))
                due = await plan_audit.due(connection)
                entries = [
                    Entry(audit.BY_ITSELF, "switch.end", each["target"], _actions([each]))
                    for each in ended
                ]
                await audit.append_all(connection, [*entries, *due])
        except TidegateError as exc:
            if not self._is_audit_late:
                _log.warning("what began or ended by itself is audited later: %s", exc)
            self._is_audit_late = True
        else:
            self._is_audit_late = False


def _override(record: "asyncpg.Record") -> Override:
    columns = dict(record)
    del columns["is_due"]
    return Override(**columns)


def _step(record: "asyncpg.Record") -> tuple[str, Action, datetime]:
    """Return what identifies a step across two plans of one name."""
    return record["target"], record["action"], record["from_at"]


async def _write(
    connection: Connection, request: OverrideRequest, *, is_pending: bool, approved_by: str | None
) -> None:
    lasts_s = overrides.APPROVAL_S if is_pending else request.for_s
    await connection.execute(
        sql("set_override"), request.target, request.action, request.reason, request.actor,
        is_pending, approved_by, request.for_s, lasts_s,
    )  # fmt: skip


def _detail(request: OverrideRequest) -> str:
    return f"{request.action} for {request.for_s:.0f} s: {request.reason}"


def _actions(records: "list[asyncpg.Record]") -> str:
    return ", ".join(
        f"{record['action']}{' (pending)' if record['is_pending'] else ''}" for record in records
    )
