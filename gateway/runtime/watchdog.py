"""A thread that detects a stalled event loop, which the loop itself cannot.

Once for every stall it logs where the loop is stalled: the places in the code, without values.
"""

import logging
import sys
import threading
import time
import traceback

from gateway.runtime.clock import Clock

_log = logging.getLogger(__name__)

_CHECK_S = 0.25
STALL_S = 0.5
_FRAMES_MAX = 12


class Watchdog:
    """Watches the thread that makes it.

    Invariant: ``is_stalled`` is True from the detection of a stall until the next ``beat``.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._watched = threading.get_ident()
        self._beat_s = clock.monotonic_s()
        self._ending = threading.Event()
        self.is_stalled = False

    def start(self) -> None:
        """Start watching; the thread never keeps the process from ending."""
        self.beat()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """Record that the loop runs."""
        self._beat_s = self._clock.monotonic_s()
        self.is_stalled = False

    def stop(self) -> None:
        """Stop watching."""
        self._ending.set()

    def _run(self) -> None:
        began_s, used_s = self._clock.monotonic_s(), time.process_time()
        while not self._ending.wait(_CHECK_S):
            late_s = self._clock.monotonic_s() - began_s - _CHECK_S
            paused_s = max(0.0, late_s - (time.process_time() - used_s))
            self.check(paused_s=paused_s)
            began_s, used_s = self._clock.monotonic_s(), time.process_time()

    def check(self, *, paused_s: float = 0.0) -> None:
        """Check whether the loop ran in the last half second; a new stall is logged.

        ``paused_s``: seconds in which this thread was due and the process used no CPU. It was
        stopped or starved then, which is no stall of the loop.
        """
        stalled_s = self._clock.monotonic_s() - self._beat_s - paused_s
        if stalled_s < STALL_S or self.is_stalled:
            return
        self.is_stalled = True
        frame = sys._current_frames().get(self._watched)
        places = [] if frame is None else traceback.extract_stack(frame)[-_FRAMES_MAX:]
        _log.warning(
            "the event loop is stalled",
            extra={
                "stalled_s": round(stalled_s, 3),
                "at": [f"{place.filename}:{place.lineno} {place.name}" for place in places],
            },
        )
