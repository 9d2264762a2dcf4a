"""Samples of the last seconds, and their quantiles."""

from collections import deque

#: Samples kept at most, whatever the rate.
_SAMPLES_MAX = 512


class Recent:
    """Keeps the samples of a window of time. Pure: monotonic seconds are passed in."""

    def __init__(self, *, window_s: float) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES_MAX)

    def add(self, value: float, now_s: float) -> None:
        """Add a sample; of more than 512 the newest stay."""
        self._samples.append((now_s, value))

    def at(self, share: float, now_s: float, *, backed_by: int = 1) -> float:
        """Return the quantile ``share`` (0 to 1) of the samples in the window; 0 without any.

        At least ``backed_by`` samples are as high as it; 0 where there are fewer. A high quantile
        of a few samples would be the highest of them: one late look.
        """
        samples, oldest_s = self._samples, now_s - self._window_s
        while samples and samples[0][0] < oldest_s:
            samples.popleft()
        if not samples:
            return 0.0
        values = sorted([value for _, value in samples])
        index = min(len(values) - backed_by, int(len(values) * share))
        return values[index] if index >= 0 else 0.0


class Look:
    """The first samples since it was last taken: each is seen by one look, and by no other."""

    __slots__ = ("_samples", "_samples_max")

    def __init__(self, *, samples_max: int) -> None:
        self._samples: list[float] = []
        self._samples_max = samples_max

    def add(self, value: float) -> None:
        """Add a sample; of more than ``samples_max`` in one look the first stay."""
        if len(self._samples) < self._samples_max:
            self._samples.append(value)

    def take(self) -> list[float]:
        """Return the samples since the last call."""
        samples, self._samples = self._samples, []
        return samples


def slope(
    points: "deque[tuple[float, float]] | deque[tuple[float, int]]", *, last: int | None = None
) -> float:
    """Return the growth per second from the first point to the last.

    ``points``: monotonic seconds and a value that grows, at least one pair. ``last``: over the last
    so many steps at most.
    """
    first = 0 if last is None else max(0, len(points) - 1 - last)
    (from_s, start), (to_s, end) = points[first], points[-1]
    return (end - start) / (to_s - from_s) if to_s > from_s else 0.0
