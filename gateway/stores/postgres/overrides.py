"""Operators' modes: a row for each that stands, changed together with its audit row."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
from msgspec import Struct

from gateway.domain import overrides
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
#: Seconds that a look has to write down what began or ended by itself. It takes milliseconds; who
#: keeps the audit log, or a lost standby, is left to a later look: whoever looks needs the answer
#: within what a command (2.0 s in all) or a gateway's look (0.8 s) has.
_TELL_S = 0.3


class Planned(Struct, frozen=True):
    """A step of a plan as it is kept."""

    plan: str
    target: str
    mode: Action
    reason: str
    actor: str
    from_at: datetime
    until: datetime


class OverrideStore:
    """The modes in the ledger. Every call raises ``Unavailable`` when Postgres is away."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._is_behind = False

    async def every(self) -> list[Override]:
        """Return every mode that stands or is asked for.

        What began or ended by itself is written down by whoever sees it first. Where that fails it
        is left to a later look: it may not keep anybody from knowing what stands.
        """
        with errors.translated():
            async with asyncio.timeout(_CALL_S):
                records = await self._pool.fetch(sql("list_switches"))
        if any(record["is_due"] for record in records):
            await self._tell()
        return [mode for mode in map(_mode, records) if mode.left_s > 0]

    async def set(self, order: OverrideRequest) -> bool:
        """Carry out an order at once, or ask for a second person where one is needed.

        Returns whether it stands already. Raises ``modes.Wrong``.
        """
        overrides.check(order)
        is_asked = overrides.needs_second(order.target, order.word)
        async with self.changing() as connection:
            await _write(connection, order, is_asked=is_asked, second=None)
            action = "switch.ask" if is_asked else "switch.set"
            await audit.append(connection, order.actor, action, order.target, _told(order))
        return not is_asked

    async def agree(self, target: str, *, actor: str) -> OverrideRequest | None:
        """Carry out what another person asked for; None when nothing is asked, or no longer.

        Raises ``modes.Wrong`` when it is the same person.
        """
        overrides.features_of(target)
        async with self.changing() as connection:
            record = await connection.fetchrow(sql("asked_switch"), target)
            if record is None:
                return None
            order = OverrideRequest(
                target, record["word"], record["for_s"], record["reason"], record["actor"]
            )
            if _person(order.actor) == _person(actor):
                raise overrides.InvalidOverride(
                    "actor", f"must be another person than {actor}, who asked for it"
                )
            await connection.execute(sql("drop_asked_switch"), target)
            await _write(connection, order, is_asked=False, second=actor)
            detail = f"asked by {order.actor}; {_told(order)}"
            await audit.append(connection, actor, "switch.agree", target, detail)
        return order

    async def clear(self, target: str, *, actor: str, reason: str = "") -> bool:
        """Leave a target to the load again; False when nothing was said of it."""
        overrides.features_of(target)
        async with self.changing() as connection:
            taken = await connection.fetch(sql("clear_switch"), target)
            if taken:
                detail = f"{_taken(taken)}{f': {reason}' if reason else ''}"
                await audit.append(connection, actor, "switch.clear", target, detail)
        return bool(taken)

    async def plan(self, plan: Plan, *, actor: str) -> bool:
        """Put a checked plan in place of the one of its name; whether there was one.

        Raises ``modes.Wrong`` where another plan says something else of a target at that time.
        """
        wanted = plan.steps
        same = {(each.target, each.mode, each.from_at) for each in wanted}
        async with self.changing() as connection:
            dropped = await connection.fetch(sql("drop_planned"), plan.name)
            # A step that goes on in the new plan has begun already, and does not end.
            going_on = {
                _step(each): each["begin_told_at"]
                for each in dropped
                if _step(each) in same and not each["is_over"]
            }
            other = await connection.fetchrow(
                sql("other_plan"),
                [step.target for step in wanted],
                [step.from_at for step in wanted],
                [step.until for step in wanted],
            )
            if other is not None:
                raise overrides.InvalidOverride(
                    f"steps[{other['n'] - 1}]",
                    f"overlaps with what the plan {other['plan']} says of {other['target']}",
                )
            await connection.execute(
                sql("add_planned"),
                plan.name,
                actor,
                [step.target for step in wanted],
                [step.mode for step in wanted],
                [step.reason for step in wanted],
                [step.from_at for step in wanted],
                [step.until for step in wanted],
                [going_on.get((step.target, step.mode, step.from_at)) for step in wanted],
            )
            told = (
                f"{each.target} {each.mode} {each.from_at.isoformat()} to {each.until.isoformat()}"
                f": {each.reason}"
                for each in wanted
            )
            gone = [each for each in dropped if _step(each) not in going_on]
            ends = plan_audit.taken_away(gone, actor=actor, why="its plan was replaced")
            set_ = Entry(actor, "plan.set", plan.name, "; ".join(told))
            await audit.append_all(connection, [*ends, set_])
        return bool(dropped)

    async def drop_plan(self, name: str, *, actor: str) -> bool:
        """Drop a plan, its steps that have begun too; False when there is none of that name."""
        async with self.changing() as connection:
            dropped = await connection.fetch(sql("drop_planned"), name)
            if dropped:
                ends = plan_audit.taken_away(dropped, actor=actor, why="its plan was dropped")
                drop = Entry(actor, "plan.drop", name, plan_audit.counted(dropped))
                await audit.append_all(connection, [*ends, drop])
        return bool(dropped)

    async def planned(self) -> list[Planned]:
        """Return all steps of all plans, also those of the last week that are over."""
        with errors.translated():
            async with asyncio.timeout(_CALL_S):
                records = await self._pool.fetch(sql("list_planned"))
        return [Planned(**dict(record)) for record in records]

    @asynccontextmanager
    async def changing(self, *, within_s: float = _CALL_S) -> AsyncIterator[Connection]:
        """Lend a transaction in which a mode is changed and audited. Raises ``Unavailable``."""
        with errors.translated():
            async with asyncio.timeout(within_s):
                async with self._pool.acquire() as connection, connection.transaction():
                    yield connection

    async def _tell(self) -> None:
        """Take away what ended, and write down what began or ended by itself, once for all."""
        try:
            async with self.changing(within_s=_TELL_S) as connection:
                ended = await connection.fetch(sql("end_switches"))
                due = await plan_audit.due(connection)
                entries = [
                    Entry(audit.BY_ITSELF, "switch.end", each["target"], _taken([each]))
                    for each in ended
                ]
                await audit.append_all(connection, [*entries, *due])
        except TidegateError as exc:
            if not self._is_behind:
                _log.warning("what began or ended by itself is written down later: %s", exc)
            self._is_behind = True
        else:
            self._is_behind = False


def _mode(record: "asyncpg.Record") -> Override:
    fields = dict(record)
    del fields["is_due"]
    return Override(**fields)


def _step(record: "asyncpg.Record") -> tuple[str, Action, datetime]:
    return record["target"], record["word"], record["from_at"]


async def _write(
    connection: Connection, order: OverrideRequest, *, is_asked: bool, second: str | None
) -> None:
    lasts_s = overrides.AGREE_S if is_asked else order.for_s
    await connection.execute(
        sql("set_switch"), order.target, order.word, order.reason, order.actor, is_asked, second,
        order.for_s, lasts_s,
    )  # fmt: skip


def _person(actor: str) -> str:
    """Return the name of an actor without that of his key: two keys of one are one person."""
    return actor.partition(" (")[0]


def _told(order: OverrideRequest) -> str:
    return f"{order.word} for {order.for_s:.0f} s: {order.reason}"


def _taken(records: "list[asyncpg.Record]") -> str:
    return ", ".join(
        f"{record['word']}{' (asked)' if record['is_asked'] else ''}" for record in records
    )
