"""The concurrency limit: how many requests may be between first byte and their place in a batch.

A slot, one unit of it, is taken at the moment of the decision, before anything is parsed, and left
once the event is queued for its commit. So the limit bounds how long an admitted request waits for
the CPU. It is work-conserving: a free slot always admits core, whatever the load figure says.

Pure: monotonic seconds are passed in. There is no queue behind the slots: a request rejected at
once costs a twentieth of one that waits first and is rejected then.
"""

from typing import Protocol

from msgspec import Struct

from gateway.domain.features import TIERS, Feature, Tier
from gateway.overload.rejections import Rejection

_LIMIT_START = 128
LIMIT_MIN = 8
LIMIT_MAX = 1024
#: Share of the slots, and of the in-flight limit, that a tier may fill; the rest is reserved for
#: the tiers before it.
_PART: dict[Tier, float] = {0: 1.0, 1: 0.9, 2: 0.5, 3: 0.5, 4: 0.5}
#: Target: nine in ten admitted requests hold their slot for so many seconds at most.
_SLOT_S = 0.025
_SAMPLES_MIN = 50
#: Samples of one look of the monitor; ten looks are between two adaptations.
_LOOK_SAMPLES_MAX = 64
#: Share of the CPU above which it is the bottleneck.
_CPU_SHORT = 0.9
#: Target seconds for an answer beside the commit itself, and the least in-flight limit: fewer
#: would make batches small, and small batches are expensive.
_ANSWER_S = 0.05
_IN_FLIGHT_MIN = 128
#: What remains of the highest rate of answers after each adaptation.
_RATE_DECAY = 0.9
#: Multiple of the limit that may be in flight while nothing is rejected, and while nearly all is.
#: Measured: the backlog of a hiccup is worked off; in a flood, what is admitted is answered soon.
_HEADROOM_QUIET = 2.0
_HEADROOM_FLOOD = 0.5
#: Share of the CPU time that rejections may take until the wait is due to them: a smaller limit
#: would reject more and cure nothing.
_REJECTING_MAX = 0.30


class ConcurrencyLimit:
    """Counts the slots in use and adapts how many there may be.

    Invariant: ``in_use`` is the number of slots taken and not left. It exceeds ``limit`` only where
    the limit fell meanwhile, or where overload is merely watched.
    """

    def __init__(self) -> None:
        self.limit = _LIMIT_START
        self.in_use = 0
        #: Slots in use at which no request of a tier gets one more, by tier.
        self.limits: list[int] = []
        self._peak = 0
        # Seconds that slots were held: since the monitor looked last, and of this window.
        self._look: list[float] = []
        self._samples: list[float] = []
        # Slots x seconds since ``mean_use`` was last called, and when that was.
        self._held_s = 0.0
        self._measured_at_s = 0.0
        self._set_limit(_LIMIT_START)

    def take(self) -> None:
        """Take a slot. The caller has seen that one is free for its tier."""
        self.in_use += 1
        # Compared in place: max() costs a tenth of a microsecond.
        if self.in_use > self._peak:  # noqa: PLR1730
            self._peak = self.in_use

    def force(self, tier: Tier) -> None:
        """Take a slot, also beyond the limit: where nothing is rejected."""
        if self.in_use < self.limits[tier]:
            self.take()
        else:
            self.in_use += 1

    def leave(self, tier: Tier, held_s: float) -> None:
        """Give back a slot that was held for ``held_s`` seconds."""
        self.in_use -= 1
        self._held_s += held_s
        # Reads wait for their database with the slot in hand, which says nothing of the CPU.
        if tier <= 1 and len(self._look) < _LOOK_SAMPLES_MAX:
            self._look.append(held_s)

    def mean_use(self, now_s: float) -> float:
        """Return the mean share of slots in use since the last call, 0 to 1 and beyond.

        By Little's law, from the slots given back in that time: one sum a request.
        """
        elapsed_s = now_s - self._measured_at_s
        mean = self._held_s / elapsed_s if elapsed_s > 0 else 0.0
        self._held_s, self._measured_at_s = 0.0, now_s
        return mean / self.limit

    def wait_s(self) -> float:
        """Return the seconds from first byte to batch that nine in ten of core took at most.

        Of those since the last call: what was late once is seen once.
        """
        look, self._look = self._look, []
        self._samples += look
        return ninth(look)

    def adapt(self, *, rejecting: float) -> None:
        """Move the limit by the samples since the last call: AIMD towards 25 ms a slot.

        ``rejecting``: the share of the CPU time that rejections took, 0 to 1. Fewer than 50 samples
        move nothing.
        """
        samples, peak = self._samples + self._look, self._peak
        self._samples, self._look, self._peak = [], [], self.in_use
        if len(samples) < _SAMPLES_MIN:
            return
        slot_s = ninth(samples)
        if slot_s > _SLOT_S:
            if rejecting <= _REJECTING_MAX:
                self._set_limit(int(self.limit * (0.8 if slot_s > 2 * _SLOT_S else 0.9)))
        elif peak >= 0.8 * self.limit:
            # Also where the wait meets the target: a limit that fell in a flood would otherwise
            # stay where it fell, and reject when the flood is long over.
            self._set_limit(self.limit + (max(1, self.limit // 8) if slot_s < _SLOT_S / 2 else 1))

    def _set_limit(self, limit: int) -> None:
        self.limit = min(LIMIT_MAX, max(LIMIT_MIN, limit))
        self.limits = [max(1, int(self.limit * _PART[tier])) for tier in TIERS]


def _between(part: float, rejected: float) -> float:
    return _PART[1] + (part - _PART[1]) * rejected


def ninth(samples: list[float]) -> float:
    """Return what nine in ten of the samples do not exceed; 0 without any."""
    return sorted(samples)[len(samples) * 9 // 10] if samples else 0.0


class InFlightLimit:
    """How many core requests may be between first byte and answer while the CPU is short.

    Slots bound the first half of that path; the second, from the batch to the answer, needs the CPU
    too. While there is CPU to spare, what waits, waits for Postgres, costs nothing and is bounded
    by the committer. Without, every admission makes all others wait longer: then as many may be in
    flight as can be answered in the target time (bandwidth x delay).

    A burst is no flood. While nothing is rejected twice as many may be in flight; the larger the
    share that is rejected, the fewer: in a flood whatever waits, waits behind rejections too.
    Invariant: ``limit`` and ``limits`` are both None or both set.
    """

    def __init__(self) -> None:
        #: Requests; None: no bound but the committer's own.
        self.limit: int | None = None
        #: Requests in flight at which no more of a tier are admitted, by tier; None: no bound.
        self.limits: list[int] | None = None
        self._is_short = False
        self._limit_short = _IN_FLIGHT_MIN
        self._rate = 0.0

    def update(self, *, rejected: float, cpu: float) -> None:
        """Apply the limit, or none, by the share rejected and the CPU used in the last moments.

        A stall of Postgres is over before a mean would show that the CPU is idle meanwhile. In a
        flood it may be idle for a moment too, which is no reason to admit everything.
        """
        if not self._is_short or (cpu < _CPU_SHORT and not rejected):
            self.limit = self.limits = None
            return
        self.limit = self._limit_short
        headroom = _HEADROOM_QUIET + (_HEADROOM_FLOOD - _HEADROOM_QUIET) * rejected
        most = int(self.limit * headroom)
        # While nothing is rejected nothing is reserved: that would be the first rejection.
        self.limits = [
            max(1, int(most * (_PART[tier] if tier <= 1 else _between(_PART[tier], rejected))))
            for tier in TIERS
        ]

    def adapt(self, *, answered_per_s: float, cpu: float, commit_s: float) -> None:
        """Find the limit by the rate of answers, the share of CPU used, and a commit's seconds."""
        self._is_short = cpu >= _CPU_SHORT
        # Rising at once and falling slowly: one slow moment does not show what is possible.
        self._rate = max(answered_per_s, _RATE_DECAY * self._rate)
        self._limit_short = max(_IN_FLIGHT_MIN, int(self._rate * (_ANSWER_S + commit_s)))


class Overloaded(Exception):
    """Ends a request that lost its slot while its body was on its way."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.reason)
        self.rejection = rejection


class Owner(Protocol):
    """What gave the slot, and takes it back."""

    concurrency: ConcurrencyLimit

    def now_s(self) -> float:
        """Monotonic seconds."""
        ...

    def note_start(self, given_s: float) -> None:
        """Record that a handler starts now whose slot was given at ``given_s``."""
        ...

    def admit_again(self, feature: Feature) -> "Slot | Rejection":
        """Decide about a request that had left its slot; it is counted once."""
        ...


class Slot(Struct, eq=False, gc=False):
    """One unit of the concurrency limit, held by one request.

    Invariant: while ``is_held`` it counts exactly once in ``concurrency.in_use``.
    ``given_s``: monotonic seconds at which it was given, or given anew.
    """

    owner: Owner
    feature: Feature
    given_s: float
    is_held: bool = True

    def begin(self) -> None:
        """Record that the handler starts. Core has no need of it: ``leave`` measures as much."""
        self.owner.note_start(self.given_s)

    def leave(self) -> None:
        """Give the slot back: the request needs no more CPU for now. Repeats are harmless."""
        if self.is_held:
            self.is_held = False
            owner = self.owner
            owner.concurrency.leave(self.feature.tier, owner.now_s() - self.given_s)

    def enter(self) -> None:
        """Take a slot again after a wait. Raises ``Overloaded``."""
        if self.is_held:
            return
        decided = self.owner.admit_again(self.feature)
        if isinstance(decided, Rejection):
            raise Overloaded(decided)
        # This slot takes over what the new one counts.
        self.given_s, self.is_held = decided.given_s, True
