"""What is journaled while Postgres cannot take it."""

from typing import Literal

from msgspec import Struct

#: Each lane of the committer has streams of its own, so that payments can be drained first.
LaneName = Literal["placements", "follow_ups"]


class Entry(Struct, frozen=True):
    """An event on its way into the journal.

    ``envelope`` is sealed. ``claims`` are (digest, seconds to live) by which a repeat is
    recognised; ``claim_value`` is what a repeat finds under each of them. A forced entry is
    appended although a claim is taken, which then stays as it is.
    """

    envelope: bytes
    claims: tuple[tuple[bytes, int], ...]
    claim_value: bytes
    is_forced: bool = False
