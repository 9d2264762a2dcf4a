"""The format of journal entries: sealed msgpack, written and read again.

An order is stored as it was sent, with what is known only on arrival; everything else is derived
again. An event, and an order from a shop, is stored as it was decoded: its signature is fresh
only once. Field names are part of the format: entries of an earlier version are still read.
"""

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct, field

from gateway.domain import orders
from gateway.domain.errors import TidegateError
from gateway.domain.following import FollowUp
from gateway.domain.journaling import LaneName
from gateway.domain.messages import MessagePart
from gateway.domain.placing import Placement, Stock


class JournaledOrder(Struct, frozen=True):
    """An order that was checked and accepted at ``received_at``.

    ``shop_order`` (``told`` in the journal) is the order, where ``raw`` is the message of a shop.
    ``is_test``: it is a test order, whatever ``raw`` says: its key was one for tests. The request
    id of a shop's order is for earlier versions, which tell by it that the order is no double
    click; it is no key of anybody.
    """

    id: UUID
    raw: bytes
    request_id: str | None
    trigger: str
    received_at: datetime
    shop_order: bytes | None = field(default=None, name="told")
    stock: Stock | None = None
    is_test: bool = False


class _JournaledEvent(FollowUp, frozen=True):
    """An event; ``is_part``: of a message that tells of several. Each has it as ``raw`` then."""

    is_part: bool = False


class Unreadable(TidegateError):
    """An entry that this process cannot read: another key ring, another version, or damage."""


class Sealer(Protocol):
    """Seals what leaves the process. ``open`` raises ``ValueError`` for another's envelope."""

    def seal(self, place: str, row: bytes, plain: bytes) -> bytes:
        """Return the envelope of some bytes, bound to their place and row."""
        ...

    def open(self, place: str, row: bytes, envelope: bytes) -> bytes:
        """Return the bytes of an envelope."""
        ...


_PLACE = "journal.entry"
_encode = msgspec.msgpack.Encoder().encode
_decode_order = msgspec.msgpack.Decoder(JournaledOrder).decode
_decode_follow_up = msgspec.msgpack.Decoder(_JournaledEvent).decode


class JournalCodec:
    """Encodes and seals entries, and reads them again. JournalCodec are bound to their lane."""

    def __init__(self, *, sealer: Sealer) -> None:
        self._sealer = sealer

    def encode_order(self, placement: Placement) -> bytes:
        """Return an order as a sealed entry."""
        submission, is_from_shop = placement.submission, placement.is_from_shop
        order = JournaledOrder(
            placement.id,
            placement.raw,
            f"order:{submission.order_no}" if is_from_shop else placement.request_id,
            placement.trigger,
            placement.received_at,
            orders.encode_shop_order(submission) if is_from_shop else None,
            placement.stock,
            submission.is_test,
        )
        return self._seal("placements", _encode(order))

    def encode_follow_up(self, follow_up: FollowUp) -> bytes:
        """Return an event as a sealed entry, with its message."""
        if isinstance(follow_up, MessagePart):
            fields = _fields(follow_up) | {"raw": follow_up.message}
            follow_up = _JournaledEvent(**fields, is_part=True)
        return self._seal("follow_ups", _encode(follow_up))

    def decode_order(self, envelope: bytes) -> JournaledOrder:
        """Return the order. Raises ``Unreadable``."""
        try:
            return _decode_order(self._open("placements", envelope))
        except msgspec.MsgspecError as exc:
            raise Unreadable("not an order of this version") from exc

    def decode_follow_up(self, envelope: bytes) -> FollowUp:
        """Return the event. Raises ``Unreadable``."""
        try:
            event = _decode_follow_up(self._open("follow_ups", envelope))
        except msgspec.MsgspecError as exc:
            raise Unreadable("not an event of this version") from exc
        if event.is_part:
            return MessagePart(**_fields(event), message=event.raw or b"")
        return FollowUp(**_fields(event))

    def _seal(self, lane: LaneName, plain: bytes) -> bytes:
        return self._sealer.seal(_PLACE, lane.encode(), plain)

    def _open(self, lane: LaneName, envelope: bytes) -> bytes:
        try:
            return self._sealer.open(_PLACE, lane.encode(), envelope)
        except ValueError as exc:
            raise Unreadable(str(exc)) from exc


def _fields(event: FollowUp) -> dict[str, Any]:
    return {name: getattr(event, name) for name in FollowUp.__struct_fields__}
