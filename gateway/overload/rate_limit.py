"""Rate limits: how many requests a second one API key, or one channel, may make of the gateway.

The generic cell rate algorithm (ITU-T I.371): one time a key, no window whose edge admits twice as
many. It decides here, without a call; what all processes admitted together is received every half
second (see ``rate_limit_sync``) and counted as if it had been admitted here. In between the others
are presumed to go on as they did, or each would give away the same headroom once more.
Pure: monotonic seconds are passed in.
"""

import heapq
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

#: Keys remembered at most. A key that is forgotten begins with a full burst.
_KEYS_MAX = 10_000
#: Keys published at once, at most. Of more the quietest are counted by each process alone.
PUBLISHED_MAX = 500
#: Bursts, and seconds, beyond its own that a key can be ahead by what other processes admitted:
#: bursts through so many more processes are paid back in full. What is beyond that is forgiven, so
#: that no client is locked out for good.
_DEBT_BURSTS = 8
DEBT_S = 2.0
#: Half-life in seconds of the requests asked, for how the processes share a key's rate.
HALF_S = 1.0
#: Seconds of requests that a steady rate amounts to under this half-life.
_STEADY_S = HALF_S / math.log(2)
#: Seconds in which others may admit what is not received here: two exchanges, theirs and ours.
_UNSEEN_S = 1.0
#: Share of its rate that a key has in this process at least.
_SHARE_MIN = 0.01


class Channel(Protocol):
    """A channel's rate limit in the settings; a rate of 0 is none."""

    @property
    def name(self) -> str:
        """The channel's name."""
        ...

    @property
    def orders_per_s_max(self) -> float:
        """Orders a second."""
        ...

    @property
    def orders_burst(self) -> int:
        """Orders at once."""
        ...


class Usage(Struct, frozen=True):
    """Requests of a key asked and admitted since the last ``take``, and the key's limit."""

    key: str
    asked: int
    admitted: int
    #: Seconds from one request to the next at its rate.
    every_s: float
    #: Seconds that all processes together can be ahead of its rate.
    ahead_s_max: float


class _Count:
    """The state of one key. ``ahead_s`` falls by ``share`` a second: 1, less what others use."""

    __slots__ = ("admitted", "ahead_s", "asked", "at_s", "due_s", "recent", "share", "taken_s")

    def __init__(self, now_s: float) -> None:
        # Seconds it was ahead of its rate at ``at_s``, with what others are presumed to use.
        self.ahead_s, self.at_s, self.share = 0.0, now_s, 1.0
        # When the next request would be due if all known ones had come evenly.
        self.due_s = now_s
        # Since the last ``take``.
        self.asked = self.admitted = 0
        # Requests asked here, with a half-life of ``HALF_S``, as of ``taken_s``.
        self.recent, self.taken_s = 0.0, now_s

    def presume_nothing(self, now_s: float) -> None:
        """Presume that others use nothing from now on; undo what was presumed so far."""
        self.ahead_s, self.at_s, self.share = max(0.0, self.due_s - now_s), now_s, 1.0


class RateLimits:
    """Counts requests by key against one rate and burst.

    Invariant: a key is never less far ahead than by what this process itself admitted.
    """

    def __init__(self, *, rate: float, burst: int) -> None:
        """``rate``: requests a second, 0 for no limit; ``burst``: requests at once."""
        self._set(rate, burst)
        # Latest asked last: the keys asked since the last ``take`` are the last ones.
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._shared: list[_Count] = []
        self._published: list[tuple[str, _Count]] = []

    def _set(self, rate: float, burst: int) -> None:
        self._every_s = 1.0 / rate if rate else 0.0
        self._burst_s = burst * self._every_s
        self._ahead_s_max = (1 + _DEBT_BURSTS) * self._burst_s + DEBT_S

    def change(self, *, rate: float, burst: int, now_s: float) -> None:
        """Count against another rate and burst from now on.

        Each key stays ahead by as many requests as it was, within the debt that the new ones allow.
        """
        before_s = self._every_s
        self._set(rate, burst)
        if not self._every_s:
            # What is not counted meanwhile must not be held against a key later.
            self._counts.clear()
            self._shared, self._published = [], []
        # Seconds of the old rate become seconds of the new one. Without an old one there are none.
        scale = self._every_s / before_s if before_s else 1.0
        for count in self._counts.values():
            ahead_s = max(0.0, count.ahead_s - (now_s - count.at_s) * count.share)
            due_s = max(0.0, count.due_s - now_s)
            count.ahead_s, count.at_s = min(ahead_s * scale, self._ahead_s_max), now_s
            count.due_s = now_s + min(due_s * scale, self._ahead_s_max)

    def wait_s(self, key: str, now_s: float) -> float:
        """Count a request; return 0 if it is within the rate limit, else the seconds to wait."""
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
        # Compared in place: max() here and below was measured to take a quarter of the call.
        ahead_s = count.ahead_s - (now_s - count.at_s) * count.share
        ahead_s = self._every_s + (ahead_s if ahead_s > 0.0 else 0.0)
        early_s = ahead_s - self._burst_s
        # Half a microsecond: the times were added up in binary.
        if early_s > 5e-7:
            # What is presumed of others is soon replaced by what is received.
            return min(early_s / count.share, early_s + DEBT_S)
        count.admitted += 1
        count.ahead_s, count.at_s = ahead_s, now_s
        due_s = count.due_s
        count.due_s = self._every_s + (due_s if due_s > now_s else now_s)
        return 0.0

    def take(self, now_s: float) -> Sequence[Usage]:
        """Return the usage since the last call, to be published; the busiest keys first.

        A key asked then and not since is returned once more: other processes published theirs after
        it. Until totals are received again each key goes by what is known of it.
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
        asked += [(0, key, count) for key, count in self._published if not count.asked]
        busiest = heapq.nlargest(PUBLISHED_MAX, asked, key=lambda each: each[0])
        usage = [
            Usage(key, number, count.admitted, self._every_s, self._ahead_s_max)
            for number, key, count in busiest
        ]
        for number, _, count in busiest:
            count.recent = number + count.recent * math.exp2((count.taken_s - now_s) / HALF_S)
            count.taken_s = now_s
        for _, _, count in asked:
            count.asked = count.admitted = 0
        self._published = [(key, count) for number, key, count in busiest if number]
        return usage

    def receive(
        self, usage: Usage, *, ahead_s: float, asked: float, published_s: float, now_s: float
    ) -> None:
        """Take over how far all processes together are ahead, with ``usage`` of ``published_s``.

        ``asked``: the requests asked of all processes, with a half-life of ``HALF_S``; it gives
        this process' share of the rate until the next exchange.
        """
        count = self._counts.get(usage.key)
        if count is None or usage.every_s != self._every_s:
            # Forgotten, or counted at another rate until a moment ago.
            return
        # It lacks what was admitted since then.
        ahead_s = min(ahead_s, self._ahead_s_max) + count.admitted * self._every_s
        # Never less than was admitted here: a server that lost its data knows less than this.
        count.due_s = max(count.due_s, published_s + ahead_s)
        count.presume_nothing(now_s)
        others = max(0.0, asked - count.recent)
        if not others:
            return
        self._shared.append(count)
        # Requests asked each second, in seconds of the rate: above 1 is more than the limit.
        load = (count.recent + others) / _STEADY_S * self._every_s
        others_load = others / _STEADY_S * self._every_s
        count.share = max(_SHARE_MIN, 1.0 - others_load / max(1.0, load))
        headroom_s = self._burst_s - count.ahead_s
        if load > 1.0 and headroom_s > self._every_s:
            # The headroom is shared as the rate is, as far as others will ask for it. At least one
            # request is left here: of less than one by many, no process would ever admit any.
            theirs_s = min(headroom_s * (1.0 - count.share), others_load * _UNSEEN_S)
            count.ahead_s += min(theirs_s, headroom_s - self._every_s)


def by_channel(
    channels: Sequence[Channel], *, before: Mapping[str, RateLimits], now_s: float
) -> dict[str, RateLimits]:
    """Return the rate limits of the channels that have one, by name.

    One of ``before`` is changed to its channel's new rate, and keeps what it has counted.
    """
    limits = {}
    for channel in channels:
        rate, burst = channel.orders_per_s_max, channel.orders_burst
        if not rate:
            continue
        if channel.name in before:
            limits[channel.name] = before[channel.name]
            limits[channel.name].change(rate=rate, burst=burst, now_s=now_s)
        else:
            limits[channel.name] = RateLimits(rate=rate, burst=burst)
    return limits
