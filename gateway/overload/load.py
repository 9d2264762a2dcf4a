"""The load figure: one number out of many signals, and the name of the one that decided.

0 is idle, 0.80 is where the lesser features begin to be shed, 1.00 is where nothing is left. Pure:
measurements and monotonic seconds are passed in.

It is the source of back-pressure. The front is what a process measures of itself; the back is what
lies behind all processes: the journal, the commits, the database's connections.

A signal that says how full a queue is may decide alone. CPU may not: a loop that is half busy
wakes for every single event and may use all it is given, a busy one takes many at a time. It
counts in full only when a queue agreed for nine tenths of the last second: a hiccup of the
machine leaves a queue behind as well, for a fraction of one. Nor may lateness: a loop that has
nothing to do is late where others use the machine. It counts in full only while the process
works, and slow commits only while events wait for them.
"""

import math
from collections import deque
from collections.abc import Collection, Mapping
from typing import Literal

from msgspec import Struct

Signal = Literal[
    "lag", "sojourn", "slots", "inflight", "ackwait", "acklat", "rss", "fds", "rate", "cpu",
    "jage", "jfill", "dbbatch", "dbpool", "peers",
]  # fmt: skip

#: No signal counts for more than this, however far it is past its limit.
SHARE_MAX = 1.25
#: What CPU counts for at most while no queue agrees: below every threshold at which a tier
#: recovers, so that a busy loop neither sheds nor keeps anything shed. And any signal that nothing
#: else supports.
_CPU_ALONE = 0.65
_UNPROVEN = 0.65
_CPU_AGREED = 0.5
_STEADY_TICKS = 20
_STEADY_SHARE = 0.10
_QUEUES: tuple[Signal, ...] = ("lag", "sojourn", "slots")
#: Time constants, seconds until about two thirds of a step are through: quick to rise, slow to
#: fall.
_RISE_S = 0.07
_FALL_S = 2.0


class Points(Struct, frozen=True):
    """Where a measured value counts as 0.80 and as 1.00; straight lines between 0 and these."""

    at_80: float
    at_100: float

    def share(self, value: float) -> float:
        """Return what ``value`` counts for, between 0 and ``SHARE_MAX``."""
        if not value > 0:
            return 0.0
        if value < self.at_80:
            return 0.8 * value / self.at_80
        return min(SHARE_MAX, 0.8 + 0.2 * (value - self.at_80) / (self.at_100 - self.at_80))


_FULLNESS = Points(0.80, 1.00)

#: What a process measures of itself: seconds, or shares of a limit.
FRONT: Mapping[Signal, Points] = {
    "lag": Points(0.025, 0.075),
    "sojourn": Points(0.020, 0.060),
    "slots": _FULLNESS,
    "inflight": _FULLNESS,
    "ackwait": _FULLNESS,
    "acklat": Points(0.100, 0.400),
    "rss": Points(0.80, 0.95),
    "fds": Points(0.80, 0.95),
    "rate": _FULLNESS,
    "cpu": _FULLNESS,
}
#: What lies behind it: seconds, the share of the journal's memory, and the highest back load that
#: any other process published, which lies behind all of them.
BACK: Mapping[Signal, Points] = {
    "jage": Points(5.0, 30.0),
    "jfill": _FULLNESS,
    "dbbatch": Points(0.5, 2.0),
    # A read that waits a quarter of a second is rejected.
    "dbpool": Points(0.1, 0.25),
    "peers": _FULLNESS,
}
#: What a process measures itself and lies behind all: all that it publishes to its peers. If it
#: published what it received, two would keep each other shed for ever; and what its own reads wait
#: for concerns no other.
_OWN_BACK: tuple[Signal, ...] = ("jage", "jfill", "dbbatch")
#: What grows with everything that is accepted and cannot be recovered by waiting.
_HARD: tuple[Signal, ...] = ("ackwait", "rss", "fds")


class Load(Struct, frozen=True):
    """The load at one moment. ``figure`` is the higher of ``front`` and ``back``."""

    figure: float
    front: float
    back: float
    #: ``back`` without what other processes published.
    own_back: float
    #: Unsmoothed: memory, descriptors and waiting bytes, which alone may shed submissions.
    hard: float
    #: What decided the figure.
    signal: Signal
    shares: Mapping[Signal, float]
    #: Unsmoothed: the highest share at this moment. The figure falls slowly, and says for seconds
    #: what was seen once.
    look: float = 0.0


IDLE = Load(0.0, 0.0, 0.0, 0.0, 0.0, "lag", dict.fromkeys((*FRONT, *BACK), 0.0))


class LoadFigure:
    """Turns measurements into the load, tick by tick."""

    def __init__(self) -> None:
        self._front = _Smoothed("lag")
        self._back = _Smoothed("jage")
        self._own_back = _Smoothed("jage")
        # Only a steady queue agrees; one that comes and goes is how a busy loop works.
        self._queues: deque[float] = deque(maxlen=_STEADY_TICKS)

    def take(
        self,
        measured: Mapping[Signal, float],
        now_s: float,
        *,
        unproven: Collection[Signal] = (),
    ) -> Load:
        """Return the load after these measurements; a signal that is not measured counts 0.

        ``unproven``: signals that nothing else supports, which decide nothing.
        """
        shares: dict[Signal, float] = {
            name: points.share(measured.get(name, 0.0))
            for name, points in (*FRONT.items(), *BACK.items())
        }
        for name in unproven:
            shares[name] = min(shares[name], _UNPROVEN)
        self._queues.append(max(shares[name] for name in _QUEUES))
        if self._steady_queue() < _CPU_AGREED:
            shares["cpu"] = min(shares["cpu"], _CPU_ALONE)
        front = self._front.take({name: shares[name] for name in FRONT}, now_s)
        back = self._back.take({name: shares[name] for name in BACK}, now_s)
        side = self._front if front >= back else self._back
        return Load(
            figure=max(front, back),
            front=front,
            back=back,
            own_back=self._own_back.take({name: shares[name] for name in _OWN_BACK}, now_s),
            hard=max(shares[name] for name in _HARD),
            signal=side.signal,
            shares=shares,
            look=max(shares.values()),
        )

    def _steady_queue(self) -> float:
        """Return what a queue exceeded for nine tenths of the last second; 0 until then."""
        if len(self._queues) < _STEADY_TICKS:
            return 0.0
        return sorted(self._queues)[int(_STEADY_SHARE * _STEADY_TICKS)]


class _Smoothed:
    """The highest of some shares, rising fast and falling slowly."""

    def __init__(self, signal: Signal) -> None:
        self.signal: Signal = signal
        self._value = 0.0
        self._at_s: float | None = None

    def take(self, shares: Mapping[Signal, float], now_s: float) -> float:
        highest = max(shares, key=shares.__getitem__)
        raw = shares[highest]
        elapsed_s = 0.05 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        if raw >= self._value:
            # While the figure falls, the signal that raised it stays its reason.
            self.signal = highest
        towards_s = _RISE_S if raw >= self._value else _FALL_S
        self._value += (raw - self._value) * (1.0 - math.exp(-elapsed_s / towards_s))
        return self._value
