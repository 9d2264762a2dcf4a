"""Runs of replays: one row, or all of a filter, at a limited rate; and what is shown before.

A run needs no memory of its own: rows that are done are closed, so that a run which was killed, or
is run again, goes on with what is left.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from gateway.domain import events, masking
from gateway.domain.events import Event
from gateway.domain.orders import Submission
from gateway.domain.parked import Filter, Parked
from gateway.intake.accept import Intake
from gateway.intake.replay_ways import DryWay, Preview, Way
from gateway.intake.replays import Decoder, KeptRow, Replayed, Replayer, Undecodable
from gateway.runtime.clock import Clock

#: Rows that are replayed side by side, so that they share their commits.
_TOGETHER = 32


class Pages(Protocol):
    """The parked rows, page by page."""

    async def page(self, of: Filter, *, after: UUID | None, limit: int) -> Sequence[Parked]:
        """Return rows of a filter, the oldest first, those that follow the row ``after``."""
        ...

    async def record(self, *, actor: str, action: str, subject: str, detail: str) -> None:
        """Write a row of the audit log."""
        ...


class ReadAs(Struct, frozen=True):
    """What today's adapter reads a kept message as: one part of it, without private fields."""

    key: str
    event: str
    order_no: str
    transaction_no: str
    amount: str
    currency: str
    detail: str


class ReplayRuns:
    """Replays for ``actor``, whose name each closed row and each line of the history has.

    Raises ``Unavailable`` where Postgres is; what was replayed until then is.
    """

    def __init__(
        self,
        *,
        pages: Pages,
        replayer: Replayer,
        intake: Intake,
        ledger: Preview,
        clock: Clock,
    ) -> None:
        self._pages = pages
        self._replayer = replayer
        self._intake = intake
        self._ledger = ledger
        self._clock = clock

    async def one(self, id_: UUID, *, actor: str, is_dry: bool) -> Replayed | None:
        """Replay a row; None: there is no such row. ``is_dry``: say what would happen."""
        if not is_dry:
            await self._pages.record(
                actor=actor, action="replay_parked", subject=str(id_), detail="one row"
            )
        return await self._replayer.replay(id_, actor=actor, way=self._way(is_dry))

    async def all(
        self,
        of: Filter,
        *,
        actor: str,
        is_dry: bool,
        per_s: float,
        limit: int | None = None,
        after: UUID | None = None,
    ) -> AsyncIterator[Sequence[Replayed]]:
        """Replay the rows of a filter, the oldest first, and give what each came to.

        At most ``per_s`` a second, and ``limit`` in all (None: no limit).
        """
        if not is_dry:
            await self._pages.record(
                actor=actor, action="replay_parked", subject="filter", detail=_words(of)
            )
        together = max(1, min(_TOGETHER, int(per_s)))
        began_s, done = self._clock.monotonic_s(), 0
        while limit is None or done < limit:
            size = together if limit is None else min(together, limit - done)
            rows = await self._pages.page(of, after=after, limit=size)
            if not rows:
                return
            after = rows[-1].id
            replayed = await asyncio.gather(
                *[self._replayer.replay(row.id, actor=actor, way=self._way(is_dry)) for row in rows]
            )
            done += len(rows)
            yield [each for each in replayed if each is not None]
            ahead_s = done / per_s - (self._clock.monotonic_s() - began_s)
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)

    def masked(self, kept: KeptRow, parts: Sequence[ReadAs]) -> object:
        """Return the masked view of a row's message, known numbers clear; None: it is not kept."""
        body = self._replayer.message_of(kept)
        if body is None:
            return None
        clear = [kept.row.order_no, kept.row.transaction_no]
        for part in parts:
            clear += [part.order_no, part.transaction_no, part.key]
        return masking.masked(body, clear=clear)

    async def opened(self, kept: KeptRow, *, actor: str) -> str | None:
        """Return the whole message, which the audit log has ``actor`` for; None: it is not kept."""
        body = self._replayer.message_of(kept)
        if body is None:
            return None
        subject, detail = str(kept.row.id), kept.row.source
        await self._pages.record(actor=actor, action="show_parked", subject=subject, detail=detail)
        return body.decode(errors="backslashreplace")

    def _way(self, is_dry: bool) -> Way:
        return DryWay(self._intake, ledger=self._ledger) if is_dry else Way(self._intake)


def read_as(kept: KeptRow, decoder: Decoder) -> tuple[list[ReadAs], str]:
    """Return the parts of a row's message as they are read now, or none and why."""
    source, key = kept.event or kept.place
    if kept.body is None:
        return [], kept.fault
    if source.startswith(("placed", "journal")):
        return [], ""
    at: datetime = kept.row.received_at
    try:
        decoded = decoder.decode(source, key=key, body=kept.body, received_at=at)
    except Undecodable as exc:
        return [], str(exc)
    return [_part(key, event) for key, event in decoded.items], ""


def _part(key: str, event: Event | Submission) -> ReadAs:
    if isinstance(event, Submission):
        amount, currency = str(event.amounts.payable), event.currency
        return ReadAs(key, "order", event.order_no, "", amount, currency, "")
    amount = str(getattr(event, "amount", ""))
    detail = event.detail if isinstance(event, events.Unmapped) else ""
    number, order_no = events.transaction_id(event), events.order_no(event)
    currency = getattr(event, "currency", "")
    return ReadAs(key, events.action(event), order_no, number, amount, currency, detail)


def _words(of: Filter) -> str:
    """Return a filter in words, for the audit log."""
    named = {
        "state": of.state,
        "reason": of.reason,
        "account": of.account,
        "order": of.order,
        "assignee": of.assignee,
        "before": of.before,
        "after": of.after,
        "ids": len(of.ids) or None,
    }
    return ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)
