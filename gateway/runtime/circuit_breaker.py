"""A circuit breaker: stops calling a server that fails, and probes whether it has recovered.

    closed ──too many failed──> open ──its pause is over──> half_open ──all succeeded──> closed
                                  ^                              │
                                  └──────────one failed──────────┘

Pure: it has no clock and does no I/O. The caller passes monotonic seconds, gets a permit, and
settles it with the outcome; a call that says nothing about the server is withdrawn.
"""

from collections import deque
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]

#: Calls are counted by slices of the window, so that memory has a bound whatever the rate.
_SLICES = 10


class Permit:
    """Permission for one call. The first settling counts; a second does nothing."""

    __slots__ = ("_breaker", "generation", "given_s", "is_settled")

    def __init__(self, breaker: "CircuitBreaker", *, generation: int, given_s: float) -> None:
        self._breaker = breaker
        self.generation = generation
        self.given_s = given_s
        self.is_settled = False

    def succeed(self, now_s: float) -> None:
        """Count a call that the server answered."""
        self._breaker.settle(self, now_s, has_failed=False)

    def fail(self, now_s: float) -> None:
        """Count a call that the server failed, or did not answer in time."""
        self._breaker.settle(self, now_s, has_failed=True)

    def withdraw(self) -> None:
        """Count nothing: bad data, or a cancelled caller, says nothing about the server."""
        self._breaker.withdraw(self)


class CircuitBreaker:
    """Gives permits while enough calls succeed, and none for a while when too many fail.

    The breaker opens when at least ``calls_min`` calls settled within ``window_s`` and at least
    ``failed_share`` of them failed. It stays open for ``open_s``, twice as long each time it
    opens again without having closed, up to ``open_s_max``; ``jitter`` gives the share of the
    pause that is added to it, so that processes do not come back at the same moment.
    """

    def __init__(
        self,
        *,
        window_s: float,
        calls_min: int,
        failed_share: float,
        open_s: float,
        open_s_max: float,
        probes: int,
        probe_s: float,
        jitter: Callable[[], float],
    ) -> None:
        self._slice_s = window_s / _SLICES
        self._calls_min = calls_min
        self._failed_share = failed_share
        self._open_s = open_s
        self._open_s_max = open_s_max
        self._probes = probes
        self._probe_s = probe_s
        self._jitter = jitter
        self.state: State = "closed"
        #: How often it opened, first and again.
        self.opened = 0
        # Raised by each change of state: a permit of an earlier one says nothing about this one.
        self._generation = 0
        # Number of the slice, calls, failed calls; the oldest first. And the sums of all.
        self._slices: deque[list[int]] = deque()
        self._calls = self._failed = 0
        self._pause_s = open_s
        self._until_s = 0.0
        self._outstanding: set[Permit] = set()
        self._succeeded = 0

    def ask(self, now_s: float) -> Permit | None:
        """Return a permit, or None: do not call. Half open, the permit is one of ``probes``."""
        if self.state == "open" and now_s >= self._until_s:
            self._change("half_open")
        if self.state == "half_open" and any(self._is_overdue(p, now_s) for p in self._outstanding):
            self._open(now_s)
        if self.state == "open":
            return None
        if self.state == "half_open" and len(self._outstanding) + self._succeeded >= self._probes:
            return None
        permit = Permit(self, generation=self._generation, given_s=now_s)
        if self.state == "half_open":
            self._outstanding.add(permit)
        return permit

    def settle(self, permit: Permit, now_s: float, *, has_failed: bool) -> None:
        """Count the outcome of a call; nothing, if the state it was permitted in has ended."""
        if not self._is_first(permit):
            return
        if self.state == "closed":
            self._count(now_s, has_failed=has_failed)
        elif has_failed or self._is_overdue(permit, now_s):
            self._open(now_s)
        else:
            self._succeeded += 1
            if self._succeeded == self._probes:
                self._pause_s = self._open_s
                self._change("closed")

    def withdraw(self, permit: Permit) -> None:
        """Give a permit's place back and count nothing."""
        self._is_first(permit)

    def _is_first(self, permit: Permit) -> bool:
        is_first = not permit.is_settled and permit.generation == self._generation
        permit.is_settled = True
        self._outstanding.discard(permit)
        return is_first

    def _is_overdue(self, permit: Permit, now_s: float) -> bool:
        return now_s - permit.given_s > self._probe_s

    def _count(self, now_s: float, *, has_failed: bool) -> None:
        slices, number = self._slices, int(now_s / self._slice_s)
        if not slices or slices[-1][0] < number:
            slices.append([number, 0, 0])
        slices[-1][1] += 1
        slices[-1][2] += has_failed
        self._calls += 1
        self._failed += has_failed
        while slices[0][0] <= number - _SLICES:
            _, calls, failed = slices.popleft()
            self._calls -= calls
            self._failed -= failed
        if self._calls >= self._calls_min and self._failed >= self._failed_share * self._calls:
            self._open(now_s)

    def _open(self, now_s: float) -> None:
        self._until_s = now_s + self._pause_s * (1 + self._jitter())
        self._pause_s = min(2 * self._pause_s, self._open_s_max)
        self.opened += 1
        self._change("open")

    def _change(self, state: State) -> None:
        self.state = state
        self._generation += 1
        self._slices.clear()
        self._calls = self._failed = 0
        self._outstanding.clear()
        self._succeeded = 0
