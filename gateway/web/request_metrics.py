"""Requests by route, status and outcome, with their seconds.

The hot path adds plain numbers: to call the library for each request would cost several times as
much. They become metrics four times a second, and before each rendering of ``/metrics``.
"""

from bisect import bisect_left

from prometheus_client import Histogram

from gateway.runtime import metrics as runtime_metrics
from gateway.web import metrics
from gateway.web.outcomes import Outcome


class RequestTally:
    """The requests of one route, status and outcome.

    It adds to the histogram's own buckets, which the library has no public way to do: a test holds
    that they add up as if each had been observed.
    """

    __slots__ = ("_bounds", "_counts", "_histogram", "_requests", "_sum_s")

    def __init__(self, route: str, status: int, outcome: Outcome) -> None:
        self._requests = metrics.REQUESTS.labels(route, status)
        self._histogram: Histogram = metrics.REQUEST_S.labels(route, outcome)
        self._bounds = metrics.REQUEST_BUCKETS_S
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Add one request."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum_s += seconds

    def publish(self) -> None:
        """Add what came since the last call to the metrics."""
        requests = sum(self._counts)
        if not requests:
            return
        self._requests.inc(requests)
        for bucket, count in zip(self._histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._histogram._sum.inc(self._sum_s)
        self._counts = [0] * len(self._counts)
        self._sum_s = 0.0


_tallies: dict[tuple[str, int, Outcome], RequestTally] = {}


def tally(route: str, status: int, outcome: Outcome) -> RequestTally:
    """Return the one tally of these labels; all servers of a process share it."""
    key = (route, status, outcome)
    found = _tallies.get(key)
    if found is None:
        found = _tallies[key] = RequestTally(route, status, outcome)
    return found


def _publish() -> None:
    for each in list(_tallies.values()):
        each.publish()


runtime_metrics.publish_with(_publish)
