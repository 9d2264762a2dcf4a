"""Replays: a parked message is decoded anew by today's adapter and goes through the one way in.

That it was verified when it arrived is the precondition: only what was accepted then is kept, and
its signature and age are not checked again. A message is replayed as a whole, as if it had come
again: what is recorded of it is a repeat, and the event that was parked is judged again. So a
replay that is repeated, or killed and repeated, has one effect.
"""

import functools
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain import parked
from gateway.domain.channels import Policies
from gateway.domain.errors import Invalid, Poisoned, TidegateError, Unavailable
from gateway.domain.events import Event
from gateway.domain.following import Done
from gateway.domain.orders import Submission
from gateway.domain.parked import Parked
from gateway.domain.placing import Placed
from gateway.intake import told_anew
from gateway.intake.journal_codec import JournalCodec, JournaledOrder, Unreadable
from gateway.intake.replay_ways import Way
from gateway.intake.shop_message import ShopMessage, accept

#: What a replay comes to. ``applied``, ``placed``, ``noted``, ``repeat`` close the row, and so does
#: ``waiting`` of what had not waited; ``parked``: it stays as it is; ``closed``: it was closed;
#: ``impossible``: it cannot be replayed, and the detail says what to do; ``failed``: an error.
Outcome = Literal[
    "applied", "placed", "noted", "repeat", "waiting", "parked", "closed", "impossible", "failed"
]


class Replayed(Struct, frozen=True):
    """What the replay of a row came to; of a dry run, what it would come to."""

    id: UUID
    order_no: str
    reason: str
    outcome: Outcome
    detail: str
    is_resolved: bool


class Decoded(Struct, frozen=True):
    """A kept message as its account reads it now; ``policies``: of the account's channels."""

    provider: str
    policies: Policies
    items: Sequence[tuple[str, Event | Submission]]
    is_test: bool


class Undecodable(TidegateError):
    """The account is not configured, or does not take the message: the text says why."""


class Decoder(Protocol):
    """Decodes kept messages by the accounts that are configured now."""

    def decode(self, source: str, *, key: str, body: bytes, received_at: datetime) -> Decoded:
        """Return what a message of the account ``source`` tells. Raises ``Undecodable``."""
        ...


class KeptRow(Protocol):
    """A parked row with its message. ``place`` is its own source and key, ``event`` its event's."""

    @property
    def row(self) -> Parked: ...  # noqa: D102
    @property
    def place(self) -> tuple[str, str]: ...  # noqa: D102
    @property
    def event(self) -> tuple[str, str] | None: ...  # noqa: D102
    @property
    def body(self) -> bytes | None: ...  # noqa: D102
    @property
    def fault(self) -> str: ...  # noqa: D102


class Rows(Protocol):
    """The parked rows."""

    async def read(self, id_: UUID) -> KeptRow | None:
        """Return a row with its message."""
        ...

    async def finish(self, id_: UUID, *, actor: str, resolution: str) -> bool:
        """Close a row whose message is stored now."""
        ...


class Replayer:
    """Replays parked rows, one at a time. Raises ``Unavailable`` where Postgres is.

    ``note_alias`` notes that an order which was answered 202 is stored under another id.
    """

    def __init__(
        self,
        *,
        rows: Rows,
        decoder: Decoder,
        codec: JournalCodec,
        new_id: Callable[[], UUID],
        note_alias: Callable[[UUID, UUID], Awaitable[None]],
    ) -> None:
        self._rows = rows
        self._decoder = decoder
        self._codec = codec
        self._new_id = new_id
        self._note_alias = note_alias

    async def replay(self, id_: UUID, *, actor: str, way: Way) -> Replayed | None:
        """Replay a row for ``actor``; None: there is no such row.

        ``way`` takes the parts of this one message: a ``DryWay`` only looks.
        """
        kept = await self._rows.read(id_)
        if kept is None:
            return None
        row, text = kept.row, parked.text_of(kept.row.reason)
        ended = functools.partial(Replayed, row.id, row.order_no, row.reason)
        if row.resolved_at is not None:
            return ended("closed", row.resolution or "what it told was applied", True)
        if not text.is_replayable:
            return ended("impossible", f"it is booked as it was told: {text.action}", False)
        if kept.body is None:
            return ended("impossible", kept.fault, False)
        try:
            outcome, detail = await self._replay(kept, kept.body, actor, way)
        except Unavailable:
            raise
        except (Undecodable, Unreadable) as exc:
            return ended("impossible", str(exc), False)
        except Poisoned as exc:
            return ended("parked", f"it cannot be stored: {exc.reason}", False)
        except (Invalid, msgspec.MsgspecError) as exc:
            return ended("impossible", f"it is no order that is accepted now: {exc}", False)
        if outcome == "parked" or way.judged is not None:
            # The row of an event that was judged again is written by the ledger.
            is_resolved = outcome != "parked" and (outcome != "waiting" or not _is_note(kept))
            return ended(outcome, detail, is_resolved)
        if not way.is_dry:
            await self._rows.finish(row.id, actor=actor, resolution=detail)
        return ended(outcome, detail, True)

    def message_of(self, kept: KeptRow) -> bytes | None:
        """Return the message of a row as it arrived, also out of an entry of the journal."""
        body, source = kept.body, kept.place[0]
        if body is None or not source.startswith("journal"):
            return body
        try:
            if source.endswith(":follow_ups"):
                return self._codec.decode_follow_up(body).raw
            return self._codec.decode_order(body).raw
        except Unreadable:
            return body

    async def _replay(
        self, kept: KeptRow, body: bytes, actor: str, way: Way
    ) -> tuple[Outcome, str]:
        trigger = f"replay:{actor}"
        source, key = kept.event or kept.place
        is_test = source.startswith("placed-test:")
        if source.startswith("journal"):
            return await self._replay_journaled(source, body, trigger, kept.row, way)
        if is_test or source.startswith("placed:"):
            order = self._storefront_order(body, trigger, kept.row, is_test=is_test)
            return await self._place(order, way)
        at = kept.row.received_at
        decoded = self._decoder.decode(source, key=key, body=body, received_at=at)
        message = ShopMessage(
            source=source,
            provider=decoded.provider,
            policies=decoded.policies,
            trigger=trigger,
            items=decoded.items,
            body=body,
            received_at=at,
            is_test=decoded.is_test,
        )
        way.parked_id, way.actor = kept.row.id, actor
        way.event, way.transaction_no = kept.event, kept.row.transaction_no
        way.waiting_id = UUID(kept.place[1]) if _is_note(kept) else None
        await accept(message, intake=way, new_id=self._new_id)
        if way.poisoned:
            return "parked", f"it cannot be stored: {way.poisoned}"
        if way.judged is not None:
            return _of_event(way.judged)
        return _summary(way.told)

    async def _replay_journaled(
        self, source: str, body: bytes, trigger: str, row: Parked, way: Way
    ) -> tuple[Outcome, str]:
        if source.endswith(":follow_ups"):
            return _of_event(await way.accept_event(self._codec.decode_follow_up(body)))
        try:
            order = self._codec.decode_order(body)
        except Unreadable:
            if not source.startswith("journal:"):
                raise
            # Earlier versions kept the order alone.
            order = self._storefront_order(body, trigger, row, is_test=False)
        return await self._place(order, way)

    def _storefront_order(
        self, body: bytes, trigger: str, row: Parked, *, is_test: bool
    ) -> JournaledOrder:
        return JournaledOrder(self._new_id(), body, None, trigger, row.received_at, is_test=is_test)

    async def _place(self, order: JournaledOrder, way: Way) -> tuple[Outcome, str]:
        placement = way.journaled_placement(order)
        placed = await way.accept_order(placement)
        if placed.answer == "conflict" and (account := told_anew.account(placement)):
            for told in told_anew.parts(placement, placed, account=account):
                await way.accept_event(told)
            return _summary(way.told)
        if placed.answer not in ("placed", "replayed"):
            return "parked", f"{placed.answer} with order {placed.id}: a person chooses one of two"
        if placed.id != order.id and not way.is_dry:
            await self._note_alias(order.id, placed.id)
        return _of_order(placed)


def _is_note(kept: KeptRow) -> bool:
    """Return whether a row is a note about an event that waits: its key is the event's id then."""
    source, _ = kept.place
    return kept.event is not None and kept.event != kept.place and source != "waiting"


def _of_event(done: Done) -> tuple[Outcome, str]:
    outcome: Outcome = "parked"
    if done.outcome == "journaled":
        outcome = "applied"
    elif done.outcome != "refused":
        outcome = done.outcome
    said = done.detail or done.reason or ""
    return outcome, f"{done.reason}: {said}" if done.reason and done.detail else said


def _of_order(placed: Placed) -> tuple[Outcome, str]:
    if placed.answer == "replayed":
        return "repeat", f"order {placed.order_no} is stored already"
    held = f", held: {placed.hold}" if placed.hold else ""
    return "placed", f"order {placed.order_no} is stored{held}"


def _summary(told: Sequence[tuple[str, Done | Placed]]) -> tuple[Outcome, str]:
    """Return what the parts of a message came to together: the first that changed something."""
    parts = [
        (what, *(_of_order(each) if isinstance(each, Placed) else _of_event(each)))
        for what, each in told
    ]
    if not parts:
        return "noted", "the message tells nothing that is booked"
    changed = [outcome for _, outcome, _ in parts if outcome not in ("repeat", "noted")]
    words = "; ".join(
        f"{what}: {outcome}{f' ({detail})' if detail else ''}" for what, outcome, detail in parts
    )
    outcome = changed[0] if changed else parts[0][1]
    # What is parked of it has a row of its own.
    return "applied" if outcome == "parked" else outcome, words
