"""Quotas: how many requests a second one API key, or one channel, may make of the whole gateway.

The generic cell rate algorithm (ITU-T I.371): one time a key, no window whose edge lets twice as
many through. It decides here, without asking anybody; what all processes let in together is heard
every half second (see ``shared_quotas``) and counted as if it had been let in here. In between the
others are presumed to go on as they did, or each would give away the same room once more.
Pure: monotonic seconds are passed in.
"""

import heapq
import math
from collections import OrderedDict
from collections.abc import Sequence

from msgspec import Struct

#: Keys remembered at most. One that is forgotten begins with a full burst.
_KEYS_MAX = 10_000
#: Keys that are told at once, at most. Of more the quietest are counted by each process alone.
TOLD_MAX = 500
#: Bursts, and seconds, beyond its own that a key can be ahead by what others let in: bursts through
#: so many processes more are paid back whole. What is beyond that is forgiven, so that nobody is
#: locked out for good.
_DEBT_BURSTS = 8
DEBT_S = 2.0
#: Seconds after which what was asked counts half, in how the processes share a key's rate.
HALF_S = 1.0
#: Seconds that what is asked at a steady rate is counted for by this.
_WITHIN_S = HALF_S / math.log(2)
#: Seconds in which others may let in what is not heard here: two turns, theirs and this one's.
_SOON_S = 1.0
#: Share of its rate that a key has here at least.
_KEEP_MIN = 0.01


class Used(Struct, frozen=True):
    """What was asked and let in of a key since that was last taken; with what it may."""

    key: str
    asked: int
    let_in: int
    every_s: float
    #: Seconds that all processes together can be ahead of its rate.
    most_s: float


class _Count:
    """How one key stands. ``ahead_s`` falls by ``keep`` a second: by 1, less what others use."""

    __slots__ = ("ahead_s", "asked", "at_s", "due_s", "keep", "lately", "let_in", "taken_s")

    def __init__(self, now_s: float) -> None:
        # How far it was ahead of its rate at ``at_s``, with what others are presumed to use.
        self.ahead_s, self.at_s, self.keep = 0.0, now_s, 1.0
        # When the next request would be due if all that is known of had come evenly.
        self.due_s = now_s
        # Since it was last taken.
        self.asked = self.let_in = 0
        # What was asked here, of which half is forgotten in ``HALF_S``; as of ``taken_s``.
        self.lately, self.taken_s = 0.0, now_s

    def presume_nothing(self, now_s: float) -> None:
        """Others use nothing from now on; what was presumed of them so far is taken back."""
        self.ahead_s, self.at_s, self.keep = max(0.0, self.due_s - now_s), now_s, 1.0


class RateLimits:
    """Counts requests by key. ``rate`` 0: there is no quota."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self._every_s = 1.0 / rate if rate else 0.0
        self._burst_s = burst * self._every_s
        self._most_s = (1 + _DEBT_BURSTS) * self._burst_s + DEBT_S
        # Latest asked last: those that were asked since the last time are the last ones.
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._shared: list[_Count] = []
        self._told: list[tuple[str, _Count]] = []

    def wait_s(self, key: str, now_s: float) -> float:
        """Count a request; 0 if it is within the quota, else how many seconds it is too early."""
        if not self._every_s:
            return 0.0
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(now_s)
            if len(self._counts) > _KEYS_MAX:
                self._counts.popitem(last=False)
        else:
            self._counts.move_to_end(key)
        count.asked += 1
        # Compared in place: to call max() here and below was measured to take a quarter of it all.
        ahead_s = count.ahead_s - (now_s - count.at_s) * count.keep
        ahead_s = self._every_s + (ahead_s if ahead_s > 0.0 else 0.0)
        early_s = ahead_s - self._burst_s
        # Half a millionth: the times were added up in binary.
        if early_s > 5e-7:
            # What is only presumed of others is known better soon.
            return min(early_s / count.keep, early_s + DEBT_S)
        count.let_in += 1
        count.ahead_s, count.at_s = ahead_s, now_s
        due_s = count.due_s
        count.due_s = self._every_s + (due_s if due_s > now_s else now_s)
        return 0.0

    def take(self, now_s: float) -> Sequence[Used]:
        """Return what was asked since this was last called, the busiest first, to be told.

        What was asked then and not since is among it once more: others told theirs after it. Until
        it is heard how all stand, each key goes by what is known of it.
        """
        for count in self._shared:
            count.presume_nothing(now_s)
        self._shared = []
        asked: list[tuple[int, str, _Count]] = []
        for key in reversed(self._counts):
            count = self._counts[key]
            if not count.asked:
                break
            asked.append((count.asked, key, count))
        asked += [(0, key, count) for key, count in self._told if not count.asked]
        busiest = heapq.nlargest(TOLD_MAX, asked, key=lambda each: each[0])
        used = [
            Used(key, number, count.let_in, self._every_s, self._most_s)
            for number, key, count in busiest
        ]
        for number, _, count in busiest:
            count.lately = number + count.lately * math.exp2((count.taken_s - now_s) / HALF_S)
            count.taken_s = now_s
        for _, _, count in asked:
            count.asked = count.let_in = 0
        self._told = [(key, count) for number, key, count in busiest if number]
        return used

    def hear(self, key: str, *, ahead_s: float, asked: float, told_s: float, now_s: float) -> None:
        """Believe how far all processes together are ahead, with what was told at ``told_s``.

        ``asked`` is what was asked of all lately, and tells what this one's share of the rate is
        until the next time.
        """
        count = self._counts.get(key)
        if count is None:
            return
        # What was let in since then is not among it.
        ahead_s = min(ahead_s, self._most_s) + count.let_in * self._every_s
        # Never less than was let in here: who forgot what he was told knows less than this.
        count.due_s = max(count.due_s, told_s + ahead_s)
        count.presume_nothing(now_s)
        others = max(0.0, asked - count.lately)
        if not others:
            return
        self._shared.append(count)
        # What is asked in seconds of the rate for each second: above 1 is more than there is.
        load = (count.lately + others) / _WITHIN_S * self._every_s
        others_load = others / _WITHIN_S * self._every_s
        count.keep = max(_KEEP_MIN, 1.0 - others_load / max(1.0, load))
        room_s = self._burst_s - count.ahead_s
        if load > 1.0 and room_s > self._every_s:
            # The room that is left is shared as the rate is, as far as others will ask for it. No
            # less than one request is here: of less by many, nobody would ever get any.
            theirs_s = min(room_s * (1.0 - count.keep), others_load * _SOON_S)
            count.ahead_s += min(theirs_s, room_s - self._every_s)
