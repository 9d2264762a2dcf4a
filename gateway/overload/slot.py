"""The slot of one admitted request, from its first byte to its batch."""

from typing import Protocol

from msgspec import Struct

from gateway.domain.features import Feature
from gateway.overload.concurrency import ConcurrencyLimit
from gateway.overload.rejections import Rejection


class Overloaded(Exception):
    """Ends a request that lost its slot while its body was on its way."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.reason)
        self.rejection = rejection


class Owner(Protocol):
    """What gave the slot, and takes it back."""

    concurrency: ConcurrencyLimit

    def now_s(self) -> float:
        """Monotonic seconds."""
        ...

    def note_start(self, given_s: float) -> None:
        """Record that a handler starts now whose slot was given at ``given_s``."""
        ...

    def admit_again(self, feature: Feature) -> "Slot | Rejection":
        """Decide about a request that had left its slot; it is counted once."""
        ...


class Slot(Struct, eq=False, gc=False):
    """One unit of the concurrency limit, held by one request.

    Invariant: while ``is_held`` it counts exactly once in ``concurrency.in_use``.
    ``given_s``: monotonic seconds at which it was given, or given anew.
    """

    owner: Owner
    feature: Feature
    given_s: float
    is_held: bool = True

    def begin(self) -> None:
        """Record that the handler starts. Core has no need of it: ``leave`` measures as much."""
        self.owner.note_start(self.given_s)

    def leave(self) -> None:
        """Give the slot back: the request needs no more CPU for now. Repeats are harmless."""
        if self.is_held:
            self.is_held = False
            owner = self.owner
            owner.concurrency.leave(self.feature.tier, owner.now_s() - self.given_s)

    def enter(self) -> None:
        """Take a slot again after a wait. Raises ``Overloaded``."""
        if self.is_held:
            return
        decided = self.owner.admit_again(self.feature)
        if isinstance(decided, Rejection):
            raise Overloaded(decided)
        # This slot takes over what the new one counts.
        self.given_s, self.is_held = decided.given_s, True
