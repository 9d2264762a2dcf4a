"""A shop message: orders that a shop took, and events of orders, in one verified message.

The message is stored exactly once if anything of it was new, and not at all if it told nothing
new. Which it is, only the ledger knows: the message goes with one part at a time until a part was
committed as new, and the others follow without it. Parts that were journaled keep it, each for
itself, because it is not known yet whether they are new; the ledger keeps one copy.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain import messages, orders
from gateway.domain.channels import Policies
from gateway.domain.errors import Invalid, Poisoned
from gateway.domain.events import Event
from gateway.domain.following import Done, FollowUp
from gateway.domain.messages import MessagePart
from gateway.domain.orders import Submission
from gateway.domain.placing import Placed, Placement
from gateway.intake import told_anew


class ShopMessage(Struct, frozen=True):
    """A verified message. ``items`` are (key, order or event), an order before its events.

    ``source`` is ``<provider>:<account>``; ``policies`` has the channels whose orders it may name,
    each with its rules.
    ``is_test``: the account is one for tests, and so are the orders that it names.
    """

    source: str
    provider: str
    policies: Policies
    trigger: str
    items: Sequence[tuple[str, Event | Submission]]
    body: bytes
    received_at: datetime
    is_test: bool = False


class Way(Protocol):
    """What takes the parts of a message: the intake, or a replay's way through it."""

    @property
    def shop_placement(self) -> "ShopPlacement":
        """Return an order that a shop took, checked."""
        ...

    def one_at_a_time(self, message: bytes) -> AbstractAsyncContextManager[None]:
        """Enter when no other delivery of this message is being taken."""
        ...

    async def accept_event(self, follow_up: FollowUp) -> Done:
        """Return the outcome of an event."""
        ...

    async def accept_order(self, placement: Placement) -> Placed:
        """Return the answer to an order."""
        ...


class ShopPlacement(Protocol):
    """``Intake.shop_placement``."""

    def __call__(
        self,
        submission: Submission,
        *,
        id_: UUID,
        raw: bytes,
        trigger: str,
        received_at: datetime,
        policies: Policies,
    ) -> Placement:
        """Return the order, ready to store. Raises ``Invalid``."""
        ...


async def accept(message: ShopMessage, *, intake: Way, new_id: Callable[[], UUID]) -> None:
    """Return when every item is committed, journaled or parked.

    Raises ``Unavailable``; sending the whole message again is harmless then. An order that
    cannot be stored as it is is parked as ``unmapped``; one that differs from the one stored under
    its number amends it, or is parked. Both once for each change, and not for each message.
    """
    if len(message.items) == 1:
        ((key, event),) = message.items
        if not isinstance(event, Submission):
            await _tell(_follow_up(message, new_id(), key, event, message.is_test), intake)
            return
    # Two deliveries of the same bytes at once would each store them with what it was first to tell.
    digest = hashlib.blake2b(message.source.encode() + b"\0" + message.body, digest_size=16)
    async with intake.one_at_a_time(digest.digest()):
        await _accept_parts(message, intake=intake, message_id=new_id())


async def _accept_parts(message: ShopMessage, *, intake: Way, message_id: UUID) -> None:
    left: list[MessagePart] = []
    is_kept = False
    is_test = message.is_test
    for n, (key, event) in enumerate(message.items):
        id_ = messages.part_id(message_id, n)
        if not isinstance(event, Submission):
            left.append(_part(message, id_, key, event, is_test))
            continue
        order = orders.as_test(event) if message.is_test else event
        # The events that follow are those of this order.
        is_test = order.is_test
        different, keeps = await _place(message, order, id_, intake=intake)
        is_kept = is_kept or keeps
        left += different
    at = 0
    while at < len(left) and not is_kept:
        is_kept = await _tell(left[at], intake)
        at += 1
    pending = [_tell(msgspec.structs.replace(part, raw=None), intake) for part in left[at:]]
    for result in await asyncio.gather(*pending, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _tell(entry: FollowUp, intake: Way) -> bool:
    """Accept an event; return whether it was committed as new, and its message with it."""
    try:
        done = await intake.accept_event(entry)
    except Poisoned:
        # What was parked is stored, and an operator sees it: sending it again would not help.
        return False
    return done.is_new


async def _place(
    message: ShopMessage, order: Submission, id_: UUID, *, intake: Way
) -> tuple[list[MessagePart], bool]:
    """Place an order; return what is left to tell of it, and whether it stored the message."""
    try:
        placement = intake.shop_placement(
            order,
            id_=id_,
            raw=message.body,
            trigger=message.trigger,
            received_at=message.received_at,
            policies=message.policies,
        )
    except Invalid as exc:
        key, event = told_anew.not_storable(order, exc.faults, message.received_at)
        return [_part(message, id_, key, event, order.is_test)], False
    try:
        placed = await intake.accept_order(placement)
    except Poisoned:
        return [], False
    if placed.answer == "conflict":
        return told_anew.parts(placement, placed, account=message.source), False
    return [], placed.answer == "placed" and not placed.is_journaled


def _follow_up(message: ShopMessage, id_: UUID, key: str, event: Event, is_test: bool) -> FollowUp:
    return FollowUp(
        id=id_,
        source=message.source,
        source_key=key,
        provider=message.provider,
        channels=tuple(message.policies),
        event=event,
        trigger=message.trigger,
        received_at=message.received_at,
        raw=message.body,
        is_test=is_test,
    )


def _part(message: ShopMessage, id_: UUID, key: str, event: Event, is_test: bool) -> MessagePart:
    alone = _follow_up(message, id_, key, event, is_test)
    return MessagePart(**msgspec.structs.asdict(alone), message=message.body)
