"""GET /v1/stream: live counters of the process, and the state of the cluster.

Server-sent events (WHATWG HTML, 9.2).
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct, field
from prometheus_client import Counter

from gateway.domain.errors import Fault
from gateway.domain.features import FEATURES, LIVE_STREAM, TIERS
from gateway.intake import metrics as intake_metrics
from gateway.overload import metrics as overload_metrics
from gateway.overload import snapshot
from gateway.overload.admission import Admission
from gateway.overload.cluster_view import ClusterSnapshot
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.web.handlers.queries import principal_of
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import StreamedResponse

#: Seconds between two events; and while streams are partially shed.
INTERVAL_S = 1.0
SHED_INTERVAL_S = 10.0
#: Milliseconds until a client reconnects: after a lost connection, and while streams are shed.
_RETRY_MS = 3000
_SHED_RETRY_MS = 15_000
_TIER_OF: dict[str, str] = {feature.name: str(feature.tier) for feature in FEATURES}


class Counters(Struct, frozen=True):
    """Totals since the process started: orders by answer, events by outcome, rejections by tier."""

    orders: dict[str, int]
    events: dict[str, int]
    rejected: dict[str, int] = field(name="refused")


class Tick(Struct, frozen=True):
    """One event of the stream. ``per_s``: increase per second since the previous event.

    ``dark`` is ``shed`` under its earlier name: deprecated, it goes with the next release.
    """

    at: datetime
    pid: int
    load: float
    signal: str
    #: Share of each tier that is shed.
    shed: dict[str, float]
    waiting: int
    totals: Counters
    per_s: Counters
    #: All processes, as each published its state; None while the cluster view is unavailable.
    gateway: ClusterSnapshot | None
    dark: dict[str, float]


class Cluster(Protocol):
    """The view of all processes."""

    async def read(self) -> ClusterSnapshot | None:
        """Return their state within bounded time; None while it is unavailable. Raises nothing."""
        ...


class StreamHandler:
    """Handles streams: at most ``streams_max`` at once; they end when the process stops."""

    def __init__(
        self,
        *,
        admission: Admission,
        cluster: Cluster,
        stopping: asyncio.Event,
        clock: Clock,
        limits: Live[Limits],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._admission = admission
        self._cluster = cluster
        self._stopping = stopping
        self._clock = clock
        self._limits = limits
        self._interval_s = interval_s
        self.running = 0

    async def open(self, request: Request) -> StreamedResponse:
        """Answer with one event per second for as long as the client stays connected."""
        faults: list[Fault] = []
        request.query(frozenset(), faults)
        if faults:
            raise Answered(problem("invalid", faults=faults))
        if principal_of(request).is_test:
            raise Answered(problem("forbidden", "the live counters are none of test orders"))
        if self.running >= self._limits.now.streams_max:
            detail = "the maximum number of concurrent streams is open"
            raise Answered(problem("unavailable", detail, head="Retry-After: 15\r\n"))
        self.running += 1
        request.leave_slot()
        head = "Cache-Control: no-store\r\n"
        return StreamedResponse(200, self._events(), "text/event-stream", self._leave, head)

    async def _events(self) -> AsyncGenerator[bytes, None]:
        serial = 0
        before, before_s = counters(), self._clock.monotonic_s()
        yield f"retry: {_RETRY_MS}\n\n".encode()
        while not self._stopping.is_set():
            rejected_share = self._admission.rejected_share(LIVE_STREAM)
            if rejected_share >= 1:
                # `dark` is the earlier name of the event, for one more release.
                yield f"event: shed\nretry: {_SHED_RETRY_MS}\ndata: {{}}\n\n".encode()
                yield b"event: dark\ndata: {}\n\n"
                return
            # Before the counters are read, as it may wait for a moment.
            gateway = await self._cluster.read()
            now, now_s = counters(), self._clock.monotonic_s()
            serial += 1
            tick = self._tick(now, before, max(0.001, now_s - before_s), gateway)
            data = msgspec.json.encode(tick)
            before, before_s = now, now_s
            yield b"id: %d\nevent: tick\ndata: %b\n\n" % (serial, data)
            pauses = round(SHED_INTERVAL_S / INTERVAL_S) if rejected_share > 0 else 1
            for _ in range(pauses):
                await lifecycle.pause(self._stopping, self._interval_s)
                # Sends nothing, but finds out whether the client is still connected.
                yield b""

    def _leave(self) -> None:
        self.running -= 1

    def _tick(
        self, now: Counters, before: Counters, elapsed_s: float, gateway: ClusterSnapshot | None
    ) -> Tick:
        taken = snapshot.take(self._admission)
        shed = {
            str(each.tier): each.share
            for each in taken.tiers
            if each.tier in self._admission.breakers
        }
        return Tick(
            at=self._clock.now(),
            pid=os.getpid(),
            load=taken.load,
            signal=taken.signal,
            shed=shed,
            waiting=taken.waiting,
            totals=now,
            per_s=Counters(
                _rates(now.orders, before.orders, elapsed_s),
                _rates(now.events, before.events, elapsed_s),
                _rates(now.rejected, before.rejected, elapsed_s),
            ),
            gateway=gateway,
            dark=shed,
        )


def counters() -> Counters:
    """Return the totals of this process."""
    rejected = dict.fromkeys((str(tier) for tier in TIERS), 0)
    for labels, count in _samples(overload_metrics.SHED):
        if labels["mode"] == "act":
            rejected[_TIER_OF[labels["feature"]]] += count
    return Counters(
        {
            name: sum(n for _, n in _samples(each))
            for name, each in intake_metrics.PLACEMENT.items()
        },
        {labels["outcome"]: count for labels, count in _samples(intake_metrics.FOLLOW_UPS)},
        rejected,
    )


def _samples(counter: Counter) -> list[tuple[Mapping[str, str], int]]:
    return [
        (sample.labels, int(sample.value))
        for metric in counter.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    ]


def _rates(now: dict[str, int], before: dict[str, int], elapsed_s: float) -> dict[str, int]:
    return {
        name: round(max(0, count - before.get(name, 0)) / elapsed_s) for name, count in now.items()
    }
