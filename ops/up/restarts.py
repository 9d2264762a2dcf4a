"""When to restart a process that ended by itself, and when to stop trying."""

from collections import deque

DEATHS_MAX = 5
WINDOW_S = 60.0
_FIRST_DELAY_S = 0.2
_DELAY_MAX_S = 10.0


class Deaths:
    """The recent deaths of one process."""

    def __init__(self) -> None:
        self._at_s: deque[float] = deque(maxlen=DEATHS_MAX)

    def record(self, now_s: float) -> float | None:
        """Counts one death; returns the seconds until the restart, or None to stop trying.

        Each death within WINDOW_S doubles the delay; the fifth within it ends the restarts.
        """
        self._at_s.append(now_s)
        recent = sum(1 for at_s in self._at_s if now_s - at_s < WINDOW_S)
        if recent >= DEATHS_MAX:
            return None
        return min(_FIRST_DELAY_S * 2.0 ** (recent - 1), _DELAY_MAX_S)
