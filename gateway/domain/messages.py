"""Messages that tell of several things: their parts, and how a part and its message are linked.

A message is stored once, whatever it tells. Its row has the id of the first of its parts that was
new. All parts of a message have ids next to each other, which differ in their last bits only: the
message of any part is the one whose id lies in the same range.
"""

from uuid import UUID

from gateway.domain.following import FollowUp

#: Bits of an id that number the parts. A body of the largest size has fewer parts than fit.
_PART_BITS = 16
_PARTS = (1 << _PART_BITS) - 1


class MessagePart(FollowUp, frozen=True):
    """An event of a message that tells of several. ``message`` is what arrived.

    ``raw`` is the same where this part, if it is new, stores the message; None: another did.
    """

    message: bytes = b""


def part_id(message_id: UUID, n: int) -> UUID:
    """Return the id of the part ``n`` of a message. ``message_id`` is any new id."""
    if not 0 <= n <= _PARTS:
        raise ValueError(f"a message has no part {n}")
    return UUID(int=message_id.int & ~_PARTS | n)


def may_be_a_copy(entry: FollowUp, *, is_late: bool) -> bool:
    """Return whether an event stores a message, if it is new, that another part may have stored.

    A message goes with its first part; where that was a repeat, with the next. But what tells known
    things under a new key is stored, and is answered as a repeat. ``is_late``: it was journaled,
    with the message in each part.
    """
    if not isinstance(entry, MessagePart) or entry.raw is None:
        return False
    return is_late or entry.id.int & _PARTS > 0


def bounds(id_: UUID) -> tuple[UUID, UUID]:
    """Return the lowest and the highest id that a part of the same message may have."""
    return UUID(int=id_.int & ~_PARTS), UUID(int=id_.int | _PARTS)


def body(entry: FollowUp) -> bytes | None:
    """Return the message that an event came with, also where another part stores it."""
    return entry.message if isinstance(entry, MessagePart) else entry.raw
