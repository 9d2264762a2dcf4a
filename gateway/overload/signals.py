"""Signals: what a process measures of itself and of what lies behind it, for the load figure.

Measured in seconds, shares of a limit, or shares of one core. Lateness, CPU and counts are sampled
every tick; memory, descriptors and the stores' latencies change slowly and are sampled less often.
"""

from collections import deque
from typing import Protocol

from gateway.overload.admission import Admission
from gateway.overload.concurrency import ninth
from gateway.overload.load import Signal
from gateway.runtime import machine
from gateway.runtime.live import Limits, Live
from gateway.runtime.recent import Recent, slope

TICK_S = 0.05
#: Ticks over which lateness and CPU are averaged; also those between two updates of metrics.
TICKS = 5
TICKS_PER_S = round(1 / TICK_S)
#: Commits of which so many were slow: one says nothing.
_COMMITS_MIN = 3
#: What the process must do for its lateness to be load: use half of its CPU, or get so many
#: requests in the last ticks. An idle process is late where the machine is busy with others, and
#: to shed what nobody asks for makes that no better.
_BUSY_CPU = 0.5
_BUSY_REQUESTS = 50
#: Events that wait at every one of the last ticks where slow commits are load: one that waits
#: alone, and is gone at the next tick, is no queue.
_QUEUED = 2
#: Ticks that say whether the CPU is short at this moment.
_TICKS_NOW = 3
#: CPU seconds that one rejection costs, about.
_REJECTION_S = 10e-6


_LATENESS: frozenset[Signal] = frozenset({"lag", "sojourn"})
_SLOWNESS: frozenset[Signal] = frozenset({"acklat", "dbbatch"})
_NONE: frozenset[Signal] = frozenset()


class Committer(Protocol):
    """What waits for its commit."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the events taken and not yet answered."""
        ...

    @property
    def waiting(self) -> int:
        """Events taken and not yet answered."""
        ...

    @property
    def answered(self) -> int:
        """Events answered so far."""
        ...

    def answer_s(self) -> float:
        """Seconds within which 19 of 20 batches are answered."""
        ...


class Journal(Protocol):
    """What waits to be drained, as of the last check."""

    @property
    def oldest_s(self) -> float:
        """Age of the oldest entry in seconds."""
        ...

    @property
    def fill(self) -> float:
        """Share of its memory used, 0 to 1."""
        ...


class Readers(Protocol):
    """The connections that reads share."""

    def wait_s(self) -> float:
        """Seconds within which 19 of 20 reads get a connection."""
        ...


class Peers(Protocol):
    """What other processes published."""

    def worst(self, now_s: float) -> float:
        """The highest back load of any other process, 0 to 1 and beyond."""
        ...


class Signals:
    """Samples a process tick by tick. Monotonic seconds and CPU seconds are passed in."""

    def __init__(
        self,
        *,
        admission: Admission,
        committer: Committer,
        journal: Journal | None,
        commits_s: Recent,
        readers: Readers,
        peers: Peers,
        limits: Live[Limits],
    ) -> None:
        """With ``requests_per_s_max`` 0 the rate of requests is no signal."""
        self._admission = admission
        self._committer = committer
        self._journal = journal
        self._commits_s = commits_s
        self._readers = readers
        self._peers = peers
        self._limits = limits
        self._cores = 1.0
        self._late_s: deque[float] = deque(maxlen=TICKS)
        self._cpu_s: deque[tuple[float, float]] = deque(maxlen=TICKS + 1)
        self._asked: deque[tuple[float, int]] = deque(maxlen=TICKS_PER_S + 1)
        self._answered: deque[tuple[float, int]] = deque(maxlen=2 * TICKS + 1)
        self._in_flight: deque[float] = deque(maxlen=TICKS)
        self._sojourn_s = 0.0
        self._waiting: deque[int] = deque(maxlen=TICKS)
        # Requests asked and rejected until each tick of the last half second.
        self._rejected: deque[tuple[int, int]] = deque(maxlen=2 * TICKS + 1)
        self._slow: dict[Signal, float] = {}

    def sample(self, late_s: float, cpu_s: float, now_s: float) -> None:
        """Take one tick's sample. ``late_s``: of the tick; ``cpu_s``: of this thread until now."""
        admission, committer = self._admission, self._committer
        self._late_s.append(late_s)
        self._cpu_s.append((now_s, cpu_s))
        self._asked.append((now_s, admission.asked))
        self._answered.append((now_s, committer.answered))
        limit = admission.in_flight.limit
        in_flight = committer.waiting + admission.concurrency.in_use
        self._in_flight.append(0.0 if limit is None else in_flight / limit)
        self._rejected.append((admission.asked, admission.rejections.total))
        self._waiting.append(committer.waiting)
        self._sojourn_s = max(admission.concurrency.wait_s(), ninth(admission.sojourns_s.take()))

    def sample_machine(self) -> None:
        """Measure memory, descriptors and the cores there are: dear, and slow to change."""
        self._cores = max(0.01, min(1.0, machine.cpu_cores()))
        self._slow["rss"] = machine.memory_bytes() / max(1, machine.memory_bytes_max())
        self._slow["fds"] = machine.descriptors() / max(1, machine.descriptors_max())

    def sample_stores(self, now_s: float) -> None:
        """Measure how long commits, answers and waits for a connection take."""
        self._slow["acklat"] = self._committer.answer_s()
        self._slow["dbbatch"] = self._commits_s.at(0.95, now_s, backed_by=_COMMITS_MIN)
        self._slow["dbpool"] = self._readers.wait_s()

    def measured(self, now_s: float) -> dict[Signal, float]:
        """Return every signal's value; one that does not apply is missing."""
        admission, committer = self._admission, self._committer
        limits = self._limits.now
        measured: dict[Signal, float] = dict(self._slow)
        # The second highest: one hiccup of the machine is no load, and load is late again at once.
        measured["lag"] = sorted(self._late_s)[-2] if len(self._late_s) > 1 else 0.0
        measured["sojourn"] = self._sojourn_s
        measured["slots"] = admission.concurrency.mean_use(now_s)
        # The lowest of the last ticks is the queue that stays; what comes and goes with each commit
        # is how batches work.
        measured["inflight"] = min(self._in_flight)
        measured["ackwait"] = committer.waiting_bytes / limits.ack_bytes_max
        measured["cpu"] = self.cpu()
        if limits.requests_per_s_max:
            measured["rate"] = slope(self._asked) / limits.requests_per_s_max
        if self._journal is not None:
            measured["jage"] = self._journal.oldest_s
            measured["jfill"] = self._journal.fill / 0.9
        measured["peers"] = self._peers.worst(now_s)
        return measured

    def unproven(self) -> frozenset[Signal]:
        """Return the signals that nothing else supports now: late, slow, and no work that waits."""
        asked = self._asked[-1][1] - self._asked[max(0, len(self._asked) - 1 - TICKS)][1]
        is_busy = asked >= _BUSY_REQUESTS or self.cpu_now() >= _BUSY_CPU
        is_queued = min(self._waiting) >= _QUEUED
        return (_NONE if is_busy else _LATENESS) | (_NONE if is_queued else _SLOWNESS)

    def cpu(self) -> float:
        """Return the share of the CPU there is that this thread used in the last ticks."""
        return slope(self._cpu_s) / self._cores

    def cpu_now(self) -> float:
        """Return the same of the very last ticks."""
        return slope(self._cpu_s, last=_TICKS_NOW) / self._cores

    def answered_per_s(self) -> float:
        """Return the events answered a second, of the last half second."""
        return slope(self._answered)

    def commit_s(self, now_s: float) -> float:
        """Return the seconds that a quick commit takes: 19 of 20 take longer."""
        return self._commits_s.at(0.05, now_s)

    def rejected_share(self) -> float:
        """Return the share of the last half second's requests that were rejected, 0 to 1."""
        asked = self._rejected[-1][0] - self._rejected[0][0]
        return min(1.0, max(0.0, self._rejected_lately() / asked)) if asked > 0 else 0.0

    def rejecting_share(self) -> float:
        """Return the share of the last half second's CPU time that rejections took."""
        # Of the time there is: held to a quarter of a core, the loop has a quarter of it.
        window_s = 2 * TICKS * TICK_S * self._cores
        return self._rejected_lately() * _REJECTION_S / window_s

    def _rejected_lately(self) -> int:
        return self._rejected[-1][1] - self._rejected[0][1]
