"""What is journaled while the ledger can not be asked."""

from typing import Literal

from msgspec import Struct

#: Each lane of the committer has streams of its own, so that payments can be drained first.
LaneName = Literal["placements", "follow_ups"]


class Entry(Struct, frozen=True):
    """An event on its way into the journal.

    ``envelope`` is sealed. ``claims`` are the digests by which a repeat is recognised, each
    with the seconds it is kept for; ``claim_value`` is what a repeat finds stored under each claim.
    A forced entry is appended although its like is there, whose claims stay as they are.
    """

    envelope: bytes
    claims: tuple[tuple[bytes, int], ...]
    claim_value: bytes
    is_forced: bool = False
