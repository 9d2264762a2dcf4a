"""The circuit breaker of a tier: when it is shed and how it recovers; time is passed in.

    admitting ──load at `on`, twice seen──> shedding_some ──load at `full`──> shedding_all
      ^  ^──────────load below `off` for a while─┘                               │
      └──────all admitted── recovering <──────below `off` for a while────────────┘

The states of a circuit breaker are named for what becomes of requests: "open" is read as admitted
as often as it is read as rejected. Between `on` and `full` a growing share is rejected. A tier
recovers step by step; one that relapses must be quiet for twice as long before the next try.

The load rises fast and falls slowly, so one late look of the monitor raises it for seconds. A tier
is shed only where the load is at `on` and two of the last five looks saw it there by themselves.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from gateway.domain.features import Tier

State = Literal["admitting", "shedding_some", "shedding_all", "recovering"]

#: Of the last five looks so many must have seen the load at ``on``: a hiccup is one of them, and a
#: queue that comes and goes is more.
_LOOKS_ON = 2
_LOOKS = 0b11111
#: A relapse doubles the time that must be quiet; ten quiet minutes forgive.
_QUIET_S_MAX = 60.0
_FORGIVEN_S = 600.0


class Rule(Struct, frozen=True):
    """The loads at which a tier begins to be shed, is wholly shed, and may recover."""

    on: float
    full: float
    off: float
    #: Seconds below ``off`` until it begins to recover.
    quiet_s: float = 5.0
    #: Seconds that a tier is wholly shed at least: one that flickers helps no client.
    open_s: float = 10.0
    #: Share admitted more in each second of recovery.
    step: float = 0.10


#: All tiers above 1 begin to be shed by 0.86 and are shed by 0.90. Submissions follow the hard
#: figure (memory, descriptors, waiting bytes) and no queue: the concurrency limit bounds those.
#: Callbacks have no rule at all: only the concurrency limit bounds them.
RULES: Mapping[Tier, Rule] = {
    1: Rule(1.00, 1.05, 0.95, quiet_s=1.0, open_s=1.0, step=0.50),
    2: Rule(0.86, 0.90, 0.76),
    3: Rule(0.82, 0.86, 0.72),
    4: Rule(0.80, 0.82, 0.70),
}


class TierBreaker:
    """One tier's circuit breaker.

    Invariant: ``share`` is 0 while ``admitting`` and 1 while ``shedding_all``.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.state: State = "admitting"
        #: Share of requests to reject, 0 to 1.
        self.share = 0.0
        # The last five looks, the latest in the lowest bit: whether it saw the load at ``on``.
        self._looks = 0
        self._since_s = 0.0
        self._at_s: float | None = None
        self._quiet_since_s: float | None = None
        self._quiet_s = rule.quiet_s
        self._owed = 0.0

    def take(self, load: float, now_s: float, *, look: float, margin: float = 0.0) -> bool:
        """Take the load of one tick; return whether the state changed.

        ``look``: the load of this moment, unsmoothed. ``margin``: by how much lower a load it
        sheds. It recovers at the usual one: a loop that is merely busy would otherwise keep it
        shed for good.
        """
        before = self.state
        elapsed_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        pushed = load + margin
        is_seen = look + margin >= self._rule.on
        self._looks = (self._looks << 1 | is_seen) & _LOOKS
        if load >= self._rule.off:
            self._quiet_since_s = None
        elif self._quiet_since_s is None:
            self._quiet_since_s = now_s
        if self.state in ("admitting", "recovering"):
            self._watch(load, pushed, now_s, elapsed_s)
        else:
            self._shed(pushed, now_s)
        return self.state != before

    def sheds_next(self) -> bool:
        """Return whether the next request is one of the share; spread evenly, without chance."""
        if self.share <= 0.0:
            return False
        self._owed += self.share
        if self._owed < 1.0:
            return False
        self._owed -= 1.0
        return True

    def _watch(self, load: float, pushed: float, now_s: float, elapsed_s: float) -> None:
        rule = self._rule
        if pushed >= rule.on and self._looks.bit_count() >= _LOOKS_ON:
            if self.state == "recovering":
                self._quiet_s = min(_QUIET_S_MAX, 2 * self._quiet_s)
                self._become("shedding_all", now_s)
                return
            self._become("shedding_some", now_s)
            self._shed(pushed, now_s)
        elif self.state == "recovering":
            if load < rule.off:
                self.share = max(0.0, self.share - rule.step * elapsed_s)
            if self.share == 0.0:
                self._become("admitting", now_s)
        elif now_s - self._since_s >= _FORGIVEN_S:
            self._quiet_s = rule.quiet_s

    def _shed(self, pushed: float, now_s: float) -> None:
        rule = self._rule
        if self.state == "shedding_some":
            self.share = min(1.0, max(0.0, (pushed - rule.on) / (rule.full - rule.on)))
            if pushed >= rule.full:
                self._become("shedding_all", now_s)
                return
        quiet_since_s = self._quiet_since_s
        if quiet_since_s is None or now_s - quiet_since_s < self._quiet_s:
            return
        if self.state == "shedding_some":
            self._become("admitting", now_s)
        elif now_s - self._since_s >= rule.open_s:
            self._become("recovering", now_s)

    def _become(self, state: State, now_s: float) -> None:
        self.state = state
        self._since_s = now_s
        if state in ("shedding_all", "admitting"):
            self.share = 1.0 if state == "shedding_all" else 0.0
