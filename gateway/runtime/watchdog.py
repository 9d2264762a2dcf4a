"""A thread that sees when the event loop does not turn, which the loop itself can not.

It says once for every stall where the loop is held up: the places in the code, without values.
"""

import logging
import sys
import threading
import traceback

from gateway.runtime.clock import Clock

_log = logging.getLogger(__name__)

_LOOK_S = 0.25
STALL_S = 0.5
_FRAMES_MAX = 12


class Watchdog:
    """Watches the thread that makes it. ``is_stalled`` is true from the stall to the next beat."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._watched = threading.get_ident()
        self._beat_s = clock.monotonic_s()
        self._ending = threading.Event()
        self.is_stalled = False

    def start(self) -> None:
        """Begin to watch; the thread never keeps the process from ending."""
        self.beat()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """Say that the loop turns."""
        self._beat_s = self._clock.monotonic_s()
        self.is_stalled = False

    def stop(self) -> None:
        """End the watch."""
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.wait(_LOOK_S):
            self.look()

    def look(self) -> None:
        """Find out whether the loop turns; a new stall is logged."""
        held_s = self._clock.monotonic_s() - self._beat_s
        if held_s < STALL_S or self.is_stalled:
            return
        self.is_stalled = True
        frame = sys._current_frames().get(self._watched)
        places = [] if frame is None else traceback.extract_stack(frame)[-_FRAMES_MAX:]
        _log.warning(
            "the loop is held up",
            extra={
                "held_s": round(held_s, 3),
                "at": [f"{place.filename}:{place.lineno} {place.name}" for place in places],
            },
        )
