"""What other processes told of what lies behind them. Pure: monotonic seconds are passed in.

The journal and Postgres are behind all processes, and not all see their state at once: whoever
sees it worst is believed. What nobody repeats is forgotten by itself, so that when nobody can be
heard each process goes by what it sees itself.
"""

from collections.abc import Iterable


class Heard:
    """The worst that is behind the others, as far as it is still true."""

    def __init__(self) -> None:
        # What lies behind each, and until when that counts; the worst first.
        self._told: list[tuple[float, float]] = []

    def hear(self, told: Iterable[tuple[float, float]]) -> None:
        """Believe this from now on: what lies behind each other process, and until when."""
        self._told = sorted([each for each in told if each[0] >= 0], reverse=True)

    def back(self, now_s: float) -> float:
        """Return the worst of what counts now; 0 when nothing does."""
        return next((back for back, until_s in self._told if now_s < until_s), 0.0)

    def count(self, now_s: float) -> int:
        """Return of how many other processes something counts now."""
        return sum(now_s < until_s for _, until_s in self._told)
