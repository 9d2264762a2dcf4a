"""What became of the requests of the last moments, tick by tick. Pure."""

from collections import deque

from msgspec import Struct


class _Sums(Struct, frozen=True):
    asked: int
    refused: int
    core_refused: int
    answered: int


class Lately:
    """Takes sums since the process began, and tells of the last ``ticks``."""

    def __init__(self, *, ticks: int) -> None:
        self._kept: deque[_Sums] = deque([_Sums(0, 0, 0, 0)], maxlen=ticks + 1)

    def note(self, *, asked: int, refused: int, core_refused: int, answered: int) -> None:
        """Take the sums of now. ``answered``: of the core."""
        self._kept.append(_Sums(asked, refused, core_refused, answered))

    @property
    def refused(self) -> int:
        """How many were refused."""
        return self._kept[-1].refused - self._kept[0].refused

    @property
    def share(self) -> float:
        """The share of all requests that was refused."""
        return _share(self.refused, self._kept[-1].asked - self._kept[0].asked)

    @property
    def core_share(self) -> float:
        """The share of the core that was refused: of what was answered or refused.

        What is asked is not counted by tier, which would cost each request something.
        """
        first, last = self._kept[0], self._kept[-1]
        refused = last.core_refused - first.core_refused
        return _share(refused, refused + last.answered - first.answered)


def _share(part: int, whole: int) -> float:
    # A refusal that is taken back, or told of one that was let in before, is no share.
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0
