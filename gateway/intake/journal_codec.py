"""What an event looks like in the journal, and how it is read again.

An order is kept as it was sent, with what only its arrival could tell; everything else follows
from it again. An event, and the order of a shop, is kept as it was decoded: its signature is
fresh only once.
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec
from msgspec import Struct, field

from gateway.domain import orders
from gateway.domain.errors import TidegateError
from gateway.domain.following import FollowUp
from gateway.domain.journaling import LaneName
from gateway.domain.placing import Placement, Stock


class JournaledOrder(Struct, frozen=True):
    """A submission that was checked and accepted at ``received_at``.

    ``shop_order`` (``told`` in the journal) is the order where ``raw`` is the message of a shop.
    """

    id: UUID
    raw: bytes
    request_id: str | None
    trigger: str
    received_at: datetime
    shop_order: bytes | None = field(default=None, name="told")
    stock: Stock | None = None


class Unreadable(TidegateError):
    """An entry that this process can not read: another key ring, another version, or damage."""


class Sealer(Protocol):
    """Seals what leaves the process. ``open`` raises when an envelope is not what it says."""

    def seal(self, place: str, row: bytes, plain: bytes) -> bytes:
        """The envelope of some bytes, bound to where they belong."""
        ...

    def open(self, place: str, row: bytes, envelope: bytes) -> bytes:
        """The bytes of an envelope."""
        ...


_PLACE = "journal.entry"
_encode = msgspec.msgpack.Encoder().encode
_decode_order = msgspec.msgpack.Decoder(JournaledOrder).decode
_decode_follow_up = msgspec.msgpack.Decoder(FollowUp).decode


class JournalCodec:
    """Seals entries for the journal and opens them again. JournalCodec are bound to their lane."""

    def __init__(self, *, sealer: Sealer) -> None:
        self._sealer = sealer

    def encode_order(self, placement: Placement) -> bytes:
        """Return the envelope of an order."""
        order = JournaledOrder(
            placement.id,
            placement.raw,
            placement.request_id,
            placement.trigger,
            placement.received_at,
            orders.encode_shop_order(placement.submission) if placement.is_from_shop else None,
            placement.stock,
        )
        return self._seal("placements", _encode(order))

    def encode_follow_up(self, follow_up: FollowUp) -> bytes:
        """Return the envelope of an event."""
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
            return _decode_follow_up(self._open("follow_ups", envelope))
        except msgspec.MsgspecError as exc:
            raise Unreadable("not an event of this version") from exc

    def _seal(self, lane: LaneName, plain: bytes) -> bytes:
        return self._sealer.seal(_PLACE, lane.encode(), plain)

    def _open(self, lane: LaneName, envelope: bytes) -> bytes:
        try:
            return self._sealer.open(_PLACE, lane.encode(), envelope)
        except ValueError as exc:
            raise Unreadable(str(exc)) from exc
