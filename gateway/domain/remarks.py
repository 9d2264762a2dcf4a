"""The remark of an order, changed after the order was placed.

The text is private: it lives in the order's sealed part and in the sealed message that changed
it, and nowhere else. History and outbox record only that it changed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain.orders import Hold, Remark, Status


class RemarkChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The new remark of an order; null removes it."""

    remark: Remark | None

    def __repr__(self) -> str:
        """Show nothing of the text: a repr ends up in logs."""
        return "RemarkChange()"


class Edit(Struct, frozen=True):
    """A change on its way in. ``order_id`` may be an alias; ``channels`` None: of any channel.

    ``is_test`` None: of a test order or a live one.

    ``version``: the version that the order must have; None: any.
    """

    order_id: UUID
    channels: Sequence[str] | None
    is_test: bool | None
    remark: str | None
    version: int | None
    raw: bytes
    trigger: str
    received_at: datetime

    def __repr__(self) -> str:
        """Show nothing of the text."""
        return f"Edit({self.order_id}, {self.trigger})"


#: ``same``: the order already has this remark; ``version_changed``: it does not have the version
#: that the client named; ``unreadable``: its private part, which the remark is in, cannot be
#: opened. Nothing was written then.
Answer = Literal["changed", "same", "version_changed", "unreadable"]


class Edited(Struct, frozen=True):
    """The outcome of an edit, true once it is committed, and the order's state after it."""

    answer: Answer
    id: UUID
    channel: str
    order_no: str
    status: Status
    version: int
    hold: Hold | None


class Replace(Struct, frozen=True):
    """The verdict that the remark changes: the new private part, yet to be sealed."""

    private: bytes


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_ABSENT = msgspec.Raw(b"null")


def decode(body: bytes) -> RemarkChange:
    """Decode a JSON change. Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return _DECODER.decode(body)


_DECODER = msgspec.json.Decoder(RemarkChange)


def judge(
    edit: Edit, *, version: int, private: bytes
) -> Replace | Literal["same", "version_changed"]:
    """Decide about an edit of an order of this version, whose private part is opened.

    A remark that is there already is no conflict, whatever version was named: the client may not
    have received the first answer, and what they asked for is so (RFC 9110, 13.1.1).
    """
    fields = _decode(private)
    if msgspec.json.decode(fields.get("remark", _ABSENT)) == edit.remark:
        return "same"
    if edit.version not in (None, version):
        return "version_changed"
    # All else stays byte for byte: decoding it again must not change what was stored.
    fields.pop("remark", None)
    if edit.remark is not None:
        fields["remark"] = msgspec.Raw(_encode(edit.remark))
    return Replace(_encode(fields))
