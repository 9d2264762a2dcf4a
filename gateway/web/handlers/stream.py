"""GET /v1/stream: live counters of the process, and how the whole gateway stands.

Server-sent events (WHATWG HTML, 9.2).
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct
from prometheus_client import Counter

from gateway.domain.features import FEATURES, LIVE_STREAM, TIERS
from gateway.intake import metrics as intake_metrics
from gateway.overload import metrics as overload_metrics
from gateway.overload.admission import Overload
from gateway.overload.cluster_view import Whole
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import StreamedResponse

#: Seconds between two events; and while a part of what is so live is refused.
EVERY_S = 1.0
SELDOM_S = 10.0
#: Milliseconds after which a client comes again: when it was cut off, and when streams are dark.
_RETRY_MS = 3000
_DARK_RETRY_MS = 15_000
_TIER_OF: dict[str, str] = {feature.name: str(feature.tier) for feature in FEATURES}


class Counters(Struct, frozen=True):
    """Totals since the process began: orders by answer, events by outcome, refused by tier."""

    orders: dict[str, int]
    events: dict[str, int]
    refused: dict[str, int]


class Tick(Struct, frozen=True):
    """One event of the stream. ``per_s``: what was added a second since the event before."""

    at: datetime
    pid: int
    load: float
    signal: str
    #: Share of each tier that is refused for load.
    dark: dict[str, float]
    waiting: int
    totals: Counters
    per_s: Counters
    #: All processes, by what each told; None: they do not know of each other now.
    gateway: Whole | None


class Fleet(Protocol):
    """All processes."""

    async def look(self) -> Whole | None:
        """Return how they stand, in bounded time; None: nobody can tell. Raises nothing."""
        ...


class LiveStream:
    """Handles streams: so many at once; they end with the process."""

    def __init__(
        self,
        *,
        overload: Overload,
        fleet: Fleet,
        stopping: asyncio.Event,
        clock: Clock,
        streams_max: int,
        every_s: float = EVERY_S,
    ) -> None:
        self._overload = overload
        self._fleet = fleet
        self._stopping = stopping
        self._clock = clock
        self._streams_max = streams_max
        self._every_s = every_s
        self.running = 0

    async def open(self, request: Request) -> StreamedResponse:
        """Answer with an event each second for as long as the client stays."""
        request.query(frozenset())
        if self.running >= self._streams_max:
            detail = "as many streams are open as may be at once"
            raise Answered(problem("unavailable", detail, head="Retry-After: 15\r\n"))
        self.running += 1
        request.leave_slot()
        head = "Cache-Control: no-store\r\n"
        return StreamedResponse(200, self._events(), "text/event-stream", self._leave, head)

    async def _events(self) -> AsyncGenerator[bytes, None]:
        number = 0
        before, before_s = counters(), self._clock.monotonic_s()
        yield f"retry: {_RETRY_MS}\n\n".encode()
        while not self._stopping.is_set():
            darkness = self._overload.darkness(LIVE_STREAM)
            if darkness >= 1:
                yield f"event: dark\nretry: {_DARK_RETRY_MS}\ndata: {{}}\n\n".encode()
                return
            # Before the counters are taken, for it may wait for a moment.
            gateway = await self._fleet.look()
            now, now_s = counters(), self._clock.monotonic_s()
            number += 1
            tick = self._tick(now, before, max(0.001, now_s - before_s), gateway)
            data = msgspec.json.encode(tick)
            before, before_s = now, now_s
            yield b"id: %d\nevent: tick\ndata: %b\n\n" % (number, data)
            seldom = round(SELDOM_S / EVERY_S) if darkness > 0 else 1
            for _ in range(seldom):
                await lifecycle.pause(self._stopping, self._every_s)
                # Nothing to the client, and finds out whether it is still there.
                yield b""

    def _leave(self) -> None:
        self.running -= 1

    def _tick(
        self, now: Counters, before: Counters, elapsed_s: float, gateway: Whole | None
    ) -> Tick:
        overload = self._overload
        return Tick(
            at=self._clock.now(),
            pid=os.getpid(),
            load=round(overload.load.figure, 3),
            signal=overload.load.signal,
            dark={
                str(tier): round(overload.refused_share(tier), 3)
                for tier in TIERS
                if tier in overload.tiers
            },
            waiting=overload.waiting,
            totals=now,
            per_s=Counters(
                _rates(now.orders, before.orders, elapsed_s),
                _rates(now.events, before.events, elapsed_s),
                _rates(now.refused, before.refused, elapsed_s),
            ),
            gateway=gateway,
        )


def counters() -> Counters:
    """Return the totals of this process."""
    refused = dict.fromkeys((str(tier) for tier in TIERS), 0)
    for labels, count in _samples(overload_metrics.SHED):
        if labels["mode"] == "act":
            refused[_TIER_OF[labels["feature"]]] += count
    return Counters(
        {
            name: sum(n for _, n in _samples(each))
            for name, each in intake_metrics.PLACEMENT.items()
        },
        {labels["outcome"]: count for labels, count in _samples(intake_metrics.FOLLOW_UPS)},
        refused,
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
