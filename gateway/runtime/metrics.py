"""Prometheus metrics: where they are registered and how they are shown.

With ``serve --processes N`` every process writes its metrics to files under
``PROMETHEUS_MULTIPROC_DIR``, and any process that is scraped answers for all of them.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

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


def render() -> bytes:
    """Return all metrics in the Prometheus text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # untyped in the library
    return generate_latest(registry)
