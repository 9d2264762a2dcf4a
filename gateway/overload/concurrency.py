"""Slots: how many requests may be between their first byte and their place in a batch.

A slot is taken at the moment of the decision, before anything is parsed, and left once the event
is queued for its commit. So the limit bounds how long whoever is admitted waits for the CPU. It
is work-conserving: a free slot always admits core, whatever the load figure says.

Pure: monotonic seconds are passed in. Why slots and no queue behind them: whoever is told at
once to come again costs a twentieth of what it costs to make him wait and refuse him then.
"""

from gateway.domain.features import TIERS, Tier

_LIMIT_START = 128
LIMIT_MIN = 8
LIMIT_MAX = 1024
#: Share of the slots, and of what may be in flight, that a tier may fill; the rest is kept for
#: those before it.
_PART: dict[Tier, float] = {0: 1.0, 1: 0.9, 2: 0.5, 3: 0.5, 4: 0.5}
#: Seconds that nine in ten of those admitted should have a slot at most.
_SLOT_S = 0.025
_SAMPLES_MIN = 50
_SAMPLES_MAX = 512
#: So many of the newest say how long the wait is now; fewer than the other say nothing yet.
_SAMPLES_LATELY = 100
_SAMPLES_FEW = 10
#: Share of the CPU above which it is what everybody waits for.
_CPU_SHORT = 0.9
#: Seconds that an answer may take beside the commit itself, and the least that may be on its way:
#: fewer would make batches small, and small batches are dear.
_ANSWER_S = 0.05
_IN_FLIGHT_MIN = 128
_RATE_KEPT = 0.9
#: How much of the limit may be on its way while nobody is refused, and while nearly all are.
#: Measured: what a hiccup leaves behind is worked off; in a flood, who is let in is answered soon.
_ROOM_QUIET = 2.0
_ROOM_FLOOD = 0.5
#: Share of the time that refusals may take until the wait is theirs to answer for: a smaller limit
#: would refuse more and cure nothing.
_REFUSING_MAX = 0.30


class ConcurrencyLimit:
    """Counts the slots in use and finds out how many there may be."""

    def __init__(self) -> None:
        self.limit = _LIMIT_START
        self.in_use = 0
        self._parts: list[int] = []
        self._peak = 0
        # Seconds that slots were held, of this window and in all of the last one.
        self._samples: list[float] = []
        self._earlier: list[float] = []
        # Slots x seconds since the use was last asked for, and when that was.
        self._held_s = 0.0
        self._asked_at_s = 0.0
        self._set_limit(_LIMIT_START)

    def reserve(self, tier: Tier) -> bool:
        """Take a slot, if one is free for this tier."""
        in_use = self.in_use
        if in_use >= self._parts[tier]:
            return False
        self.in_use = in_use + 1
        if in_use >= self._peak:
            self._peak = in_use + 1
        return True

    def force(self) -> None:
        """Take a slot beyond the limit, where nobody is refused."""
        self.in_use += 1

    def leave(self, tier: Tier, held_s: float) -> None:
        """Give back a slot that was held for so long."""
        self.in_use -= 1
        self._held_s += held_s
        # Reads wait for their database with the slot in hand, which says nothing of the CPU.
        if tier <= 1 and len(self._samples) < _SAMPLES_MAX:
            self._samples.append(held_s)

    def mean_use(self, now_s: float) -> float:
        """Return the mean share of slots in use since this was last asked.

        What was given back in that time divided by it (Little's law): one sum a request.
        """
        elapsed_s = now_s - self._asked_at_s
        mean = self._held_s / elapsed_s if elapsed_s > 0 else 0.0
        self._held_s, self._asked_at_s = 0.0, now_s
        return mean / self.limit

    def wait_s(self) -> float:
        """Return what nine in ten of core waited at most, from first byte to batch, lately."""
        samples = self._samples if len(self._samples) >= _SAMPLES_FEW else self._earlier
        return _ninth(samples[-_SAMPLES_LATELY:])

    def adapt(self, *, refusing: float) -> None:
        """Move the limit by what was seen since the last time.

        ``refusing`` is the share of the time that refusals took.
        """
        samples, peak = self._samples, self._peak
        self._samples, self._earlier, self._peak = [], samples, self.in_use
        if len(samples) < _SAMPLES_MIN:
            return
        slot_s = _ninth(samples)
        if slot_s > _SLOT_S:
            if refusing <= _REFUSING_MAX:
                self._set_limit(int(self.limit * (0.8 if slot_s > 2 * _SLOT_S else 0.9)))
        elif peak >= 0.8 * self.limit:
            # Also where the wait is just what is aimed at: a limit that fell in a flood would else
            # stay where it fell, and refuse when the flood is long over.
            self._set_limit(self.limit + (max(1, self.limit // 8) if slot_s < _SLOT_S / 2 else 1))

    def _set_limit(self, limit: int) -> None:
        self.limit = min(LIMIT_MAX, max(LIMIT_MIN, limit))
        self._parts = _parts(self.limit)


def _parts(limit: int) -> list[int]:
    return [max(1, int(limit * _PART[tier])) for tier in TIERS]


def _between(part: float, refused: float) -> float:
    return _PART[1] + (part - _PART[1]) * refused


def _ninth(samples: list[float]) -> float:
    return sorted(samples)[len(samples) * 9 // 10] if samples else 0.0


class InFlightLimit:
    """How many of core may be on their way from first byte to answer while the CPU is short.

    Slots bound the first half of that way; the second, from the batch to the answer, needs the CPU
    too. While there is CPU to spare whatever waits, waits for Postgres, costs nothing and is
    bounded by the committer. Without, everything admitted makes everybody wait longer: then as
    many may be on their way as can be answered in the time aimed at (bandwidth x delay).

    A burst is no flood. While nobody is refused twice as many may be; the larger the share that is
    refused, the fewer: in a flood whatever waits, waits behind refusals too.
    """

    def __init__(self) -> None:
        #: None: no bound but the committer's own.
        self.limit: int | None = None
        #: How many may be on their way for one more of a tier to be let in; None: no bound.
        self.rooms: list[int] | None = None
        self._is_short = False
        self._limit_short = _IN_FLIGHT_MIN
        self._rate = 0.0

    def look(self, *, refused: float, cpu: float) -> None:
        """Take note of the share of requests refused, and of the CPU used, in the last moments.

        A stall of Postgres is over before a mean would show that the CPU is idle meanwhile. In a
        flood it may be idle for a moment too, which is none to let everybody in.
        """
        if not self._is_short or (cpu < _CPU_SHORT and not refused):
            self.limit = self.rooms = None
            return
        self.limit = self._limit_short
        room = int(self.limit * (_ROOM_QUIET + (_ROOM_FLOOD - _ROOM_QUIET) * refused))
        # Nothing is kept from the lesser while nobody is refused: that would be the first refusal.
        self.rooms = [
            max(1, int(room * (_PART[tier] if tier <= 1 else _between(_PART[tier], refused))))
            for tier in TIERS
        ]

    def adapt(self, *, answered_per_s: float, cpu: float, commit_s: float) -> None:
        """Find the limit by the rate of answers, the share of CPU used, and what a commit takes."""
        self._is_short = cpu >= _CPU_SHORT
        # Rising at once and falling slowly: one slow moment is not what can be done.
        self._rate = max(answered_per_s, _RATE_KEPT * self._rate)
        self._limit_short = max(_IN_FLIGHT_MIN, int(self._rate * (_ANSWER_S + commit_s)))
