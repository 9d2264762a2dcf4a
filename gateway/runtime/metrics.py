"""Prometheus metrics: where they are registered and how they are shown.

With ``serve --processes N`` every process writes its metrics to files under
``PROMETHEUS_MULTIPROC_DIR``, and any process that is scraped answers for all of them.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.runtime import shared_metrics
from gateway.runtime.clock import Clock
from gateway.runtime.shared_metrics import AllProcesses, GarbageCollections

CONTENT_TYPE = CONTENT_TYPE_LATEST

#: Seconds; from one commit on a fast disk to the deadline of a batch.
LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)
#: Rows of a batch.
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200)

RELOADS = Counter(
    "tidegate_reloads", "Reloads of the configuration by outcome.", ["outcome"]
)  # applied, refused
RELOAD_OK = Gauge(
    "tidegate_reload_ok",
    "0 while the last reload is one that was refused: the configuration before it is in force.",
    multiprocess_mode="livemin",
)
CONFIGURED_AT = Gauge(
    "tidegate_configured_at_timestamp_seconds",
    "When the configuration in force was read; of several processes the earliest.",
    multiprocess_mode="livemin",
)

#: Share of the time that rendering may take, and the most seconds it may save up.
_BUDGET_SHARE = 0.05
_BUDGET_S = 0.25

_IS_SHARED = "PROMETHEUS_MULTIPROC_DIR" in os.environ
# What is counted as plain numbers on the hot path, and how each becomes metrics.
_publishers: list[Callable[[], None]] = [GarbageCollections().publish] if _IS_SHARED else []


def publish_with(publisher: Callable[[], None]) -> None:
    """Call ``publisher`` whenever metrics are published; once for each module, for good."""
    _publishers.append(publisher)


class Tally:
    """A counter that costs the hot path one addition to ``count``; the library's own costs ten."""

    __slots__ = ("_counter", "_published", "count")

    def __init__(self, counter: Counter) -> None:
        self.count = 0
        self._published = 0
        self._counter = counter
        publish_with(self._publish)

    def _publish(self) -> None:
        grown = self.count - self._published
        self._published += grown
        self._counter.inc(grown)


def publish() -> None:
    """Publish what was counted as plain numbers; four times a second, and before each rendering."""
    for publisher in _publishers:
        publisher()


def render() -> bytes:
    """Return all metrics in the Prometheus text format.

    Raises ``shared_metrics.Busy`` while the metrics of a process that ended are being taken over.
    """
    if not _IS_SHARED:
        return generate_latest(REGISTRY)
    publish()
    registry = CollectorRegistry()
    registry.register(AllProcesses(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
    return generate_latest(registry)


class Rendering:
    """All metrics for whoever asks: no key is needed, so what it costs has a limit."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._rendered = b""
        self._budget_s, self._paid_at_s = _BUDGET_S, clock.monotonic_s()

    def take(self) -> bytes:
        """Return the metrics of now; beyond a budget of CPU time, those of the last time."""
        now_s = self._clock.monotonic_s()
        earned_s = (now_s - self._paid_at_s) * _BUDGET_SHARE
        self._budget_s, self._paid_at_s = min(_BUDGET_S, self._budget_s + earned_s), now_s
        if self._budget_s > 0:
            with contextlib.suppress(shared_metrics.Busy):
                self._rendered = render()
            self._budget_s -= self._clock.monotonic_s() - now_s
        return self._rendered


class _Publishing(Collector):
    """Publishes when the registry is read, before the metrics that were registered after it."""

    def describe(self) -> Iterator[Metric]:
        """Return nothing: it has no metrics of its own."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Publish, and return nothing."""
        publish()
        return iter(())


REGISTRY.register(_Publishing())
