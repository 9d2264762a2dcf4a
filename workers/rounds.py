"""What the rounds of a task come to: a metric, a log line where it fails, and its readiness."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.domain.errors import TidegateError
from gateway.runtime import lifecycle
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

    async def run(
        self, stopping: asyncio.Event, do: Callable[[], Awaitable[bool]], *, pause_s: float
    ) -> None:
        """Do one round after the other until ``stopping`` is set, with ``pause_s`` in between.

        ``do`` returns whether it left something that the next round is to take up at once. What it
        could not do, raising, the next round tries again.
        """
        while not stopping.is_set():
            try:
                is_more = await do()
            except TidegateError as exc:
                self.postponed(exc)
                is_more = False
            else:
                self.done()
            if not is_more:
                await lifecycle.pause(stopping, pause_s)

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
