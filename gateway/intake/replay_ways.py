"""Where the parts of a replayed message go: through the intake, or only past the ledger's eyes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

import msgspec

from gateway.domain import events
from gateway.domain.errors import Poisoned
from gateway.domain.following import Done, Entry, FollowUp, Replay
from gateway.domain.placing import Alias, Answer, Insert, Placed, Placement
from gateway.intake.accept import Intake


class Preview(Protocol):
    """The ledger, asked what it would answer."""

    async def preview(self, batch: Sequence[Entry]) -> Sequence[Done]:
        """Return what ``follow`` would return now."""
        ...

    async def preview_placement(self, placement: Placement) -> Placed | Insert | Alias:
        """Return the verdict on a placement."""
        ...


class Way:
    """The intake for the parts of one replayed message; itself what ``shop_message.accept`` takes.

    The part that is the parked ``event`` is judged again, under ``parked_id``; all others are
    accepted as if the message had come again. ``told`` is what each came to, ``judged`` what the
    parked event came to, ``poisoned`` why a part could not be stored.
    """

    is_dry = False

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.parked_id: UUID | None = None
        self.actor = ""
        self.event: tuple[str, str] | None = None
        self.transaction_no = ""
        self.waiting_id: UUID | None = None
        self.told: list[tuple[str, Done | Placed]] = []
        self.judged: Done | None = None
        self.poisoned = ""
        self.shop_placement = intake.shop_placement
        self.journaled_placement = intake.journaled_placement

    @asynccontextmanager
    async def one_at_a_time(self, message: bytes) -> AsyncIterator[None]:
        """Enter when no other delivery of this message is being taken."""
        async with self._intake.one_at_a_time(message):
            yield

    async def accept_event(self, follow_up: FollowUp) -> Done:
        """Return the outcome of an event, as ``Intake.accept_event``."""
        try:
            if (follow_up.source, follow_up.source_key) == self.event:
                assert self.parked_id is not None, "who sets the event sets its row"
                entry = msgspec.structs.replace(follow_up, raw=None)
                done = await self._judge(
                    Replay(self.parked_id, entry, self.actor, self.transaction_no, self.waiting_id)
                )
                self.judged = done
                # Its message is kept where it was; what is new of it keeps one of its own.
                return msgspec.structs.replace(done, is_new=False)
            done = await self._tell(follow_up)
        except Poisoned as exc:
            self.poisoned = exc.reason
            raise
        self.told.append((events.action(follow_up.event), done))
        return done

    async def accept_order(self, placement: Placement) -> Placed:
        """Return the answer to an order, as ``Intake.accept_order``."""
        try:
            placed = await self._place(placement)
        except Poisoned as exc:
            self.poisoned = exc.reason
            raise
        if placed.answer in ("placed", "replayed"):
            self.told.append(("order", placed))
        return placed

    async def _judge(self, replay: Replay) -> Done:
        return await self._intake.replay(replay)

    async def _tell(self, follow_up: FollowUp) -> Done:
        return await self._intake.accept_event(follow_up)

    async def _place(self, placement: Placement) -> Placed:
        return await self._intake.accept_order(placement)


class DryWay(Way):
    """Only looks: decodes, checks and folds as ``Way`` does, and nothing is written.

    Each part is judged as things are now: what follows an order that would be placed first is
    said to wait for it.
    """

    is_dry = True

    def __init__(self, intake: Intake, *, ledger: Preview) -> None:
        super().__init__(intake)
        self._ledger = ledger

    async def _judge(self, replay: Replay) -> Done:
        return (await self._ledger.preview([replay]))[0]

    async def _tell(self, follow_up: FollowUp) -> Done:
        return (await self._ledger.preview([follow_up]))[0]

    async def _place(self, placement: Placement) -> Placed:
        verdict = await self._ledger.preview_placement(placement)
        if isinstance(verdict, Placed):
            return verdict
        order = placement.submission
        hold = verdict.hold if isinstance(verdict, Insert) else None
        id_ = placement.id if isinstance(verdict, Insert) else verdict.existing.id
        answer: Answer = "placed" if isinstance(verdict, Insert) else "replayed"
        return Placed(answer, id_, order.channel, order.order_no, hold)
