"""What the rounds of a task come to: a metric, a log line where it fails, and its readiness."""

import logging

from gateway.domain.errors import TidegateError
from gateway.runtime.clock import Clock
from workers import metrics

_log = logging.getLogger(__name__)


class Rounds:
    """The rounds of one task. The task reports each, and goes on whatever it came to."""

    def __init__(self, *, task: str, clock: Clock, overdue_s: float) -> None:
        """``overdue_s``: seconds without a round that was done after which it is not ready."""
        self._task = task
        self._clock = clock
        self._overdue_s = overdue_s
        self._reason = ""
        self._done_s: float | None = None
        # Exists from the start: that a task postponed nothing is a 0, not a gap.
        self._done = metrics.ROUNDS.labels(task, "done")
        self._postponed = metrics.ROUNDS.labels(task, "postponed")

    def done(self) -> None:
        """Record a round that did all it should."""
        self._done.inc()
        metrics.LAST_DONE_S.labels(self._task).set(self._clock.now().timestamp())
        self._done_s = self._clock.monotonic_s()
        self._reason = ""

    def postponed(self, error: TidegateError) -> None:
        """Record and log a round that could not be done; the next one tries again."""
        self._postponed.inc()
        self._reason = str(error)
        _log.warning("%s postponed", self._task, extra={"reason": self._reason})

    def fault(self) -> str:
        """Return what is wrong with the task, in a sentence; empty where nothing is."""
        if self._reason:
            return f"is postponed: {self._reason}"
        if self._done_s is None:
            return "has not done a round yet"
        since_s = self._clock.monotonic_s() - self._done_s
        return f"has done no round for {since_s:.0f} s" if since_s > self._overdue_s else ""
