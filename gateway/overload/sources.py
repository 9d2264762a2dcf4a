"""What overload looks at: the parts of a process that tell how much there is to do."""

from collections.abc import Mapping
from typing import Protocol

from gateway.domain.features import Tier
from gateway.domain.overrides import Action


class Committer(Protocol):
    """What waits for its commit."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of what was taken and not yet answered."""
        ...

    @property
    def waiting(self) -> int:
        """What was taken and not yet answered."""
        ...

    @property
    def answered(self) -> int:
        """What was answered so far."""
        ...

    def answer_s(self) -> float:
        """Seconds in which 19 of 20 batches are answered."""
        ...


class Journal(Protocol):
    """What waits to be drained, as last looked at."""

    @property
    def oldest_s(self) -> float:
        """Age of the oldest entry."""
        ...

    @property
    def fill(self) -> float:
        """Share of its memory used."""
        ...


class Readers(Protocol):
    """Who reads."""

    def wait_s(self) -> float:
        """Seconds in which 19 of 20 reads get a connection."""
        ...


class Modes(Protocol):
    """What operators said."""

    @property
    def words(self) -> Mapping[str, Action]:
        """What is said of a feature, by its name."""
        ...

    @property
    def early(self) -> frozenset[Tier]:
        """The tiers that are to go dark at a lower load."""
        ...

    def tick(self, now_s: float) -> None:
        """Take back what has ended, and begin what was planned."""
        ...
