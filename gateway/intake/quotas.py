"""Quotas: how many requests a second one API key, or one channel, may make of this process.

The generic cell rate algorithm (ITU-T I.371): one time a key, no window whose edge lets twice as
many through. Pure: monotonic seconds are passed in.
"""

from collections import OrderedDict

#: Keys remembered at most. One that is forgotten begins with a full burst.
_KEYS_MAX = 10_000


class Quotas:
    """Counts requests by key. ``rate`` 0: there is no quota."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self._every_s = 1.0 / rate if rate else 0.0
        self._ahead_s = burst * self._every_s
        # When the next request would be due if all so far had come evenly; latest asked last.
        self._due_s: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """Count a request; 0 if it is within the quota, else how many seconds it is too early."""
        if not self._every_s:
            return 0.0
        due_s = max(self._due_s.get(key, now_s), now_s) + self._every_s
        early_s = due_s - now_s - self._ahead_s
        # Half a millionth: the times were added up in binary.
        if early_s > 5e-7:
            return early_s
        self._due_s[key] = due_s
        self._due_s.move_to_end(key)
        if len(self._due_s) > _KEYS_MAX:
            self._due_s.popitem(last=False)
        return 0.0
