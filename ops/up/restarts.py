"""When to start again what ended by itself, and when to give up."""

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
        """Counts one death; gives the seconds to wait before a restart, None to give up.

        Each death within the window doubles the wait; the fifth within it is the last.
        """
        self._at_s.append(now_s)
        recent = sum(1 for at_s in self._at_s if now_s - at_s < WINDOW_S)
        if recent >= DEATHS_MAX:
            return None
        return min(_FIRST_DELAY_S * 2.0 ** (recent - 1), _DELAY_MAX_S)
