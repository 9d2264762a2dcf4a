"""Figures of the last seconds, and what most of them stay below."""

from collections import deque

#: Figures kept at most, whatever the rate.
_KEPT_MAX = 512


class Recent:
    """Keeps the figures of a window of time. Pure: seconds are passed in."""

    def __init__(self, *, window_s: float) -> None:
        self._window_s = window_s
        self._kept: deque[tuple[float, float]] = deque(maxlen=_KEPT_MAX)

    def add(self, value: float, now_s: float) -> None:
        """Keep a figure; of very many the newest stay."""
        self._kept.append((now_s, value))

    def at(self, share: float, now_s: float) -> float:
        """Return the figure that ``share`` of those in the window do not exceed; 0 without any."""
        kept, oldest_s = self._kept, now_s - self._window_s
        while kept and kept[0][0] < oldest_s:
            kept.popleft()
        if not kept:
            return 0.0
        values = sorted([value for _, value in kept])
        return values[min(len(values) - 1, int(len(values) * share))]


def slope(
    points: "deque[tuple[float, float]] | deque[tuple[float, int]]", *, last: int | None = None
) -> float:
    """Return by how much the second number grew per second, from the first point to the last.

    ``last``: over so many steps at most.
    """
    first = 0 if last is None else max(0, len(points) - 1 - last)
    (from_s, start), (to_s, end) = points[first], points[-1]
    return (end - start) / (to_s - from_s) if to_s > from_s else 0.0
