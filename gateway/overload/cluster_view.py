"""All processes together, for observers: from what each publishes to its peers.

It is read only while an observer asks, once a second at most however many do, and no request
waits for it. Nothing is decided by it.
"""

import asyncio
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.domain.features import TIERS
from gateway.overload import heartbeats
from gateway.overload.heartbeats import PublishedProcess
from gateway.runtime.clock import Clock

#: Seconds between two reads at least.
READ_S = 1.0
#: An observer that asks each second comes a moment too early now and then, as timers do: so many
#: seconds it waits for the read that is due then, and does not get the same view twice.
_EARLY_S = 0.05
#: Processes that are listed; of more, the busiest.
LISTED_MAX = 64
#: Characters of a text that another process published.
_TEXT_CHARS_MAX = 64


class ClusterSummary(Struct, frozen=True):
    """All processes together; zeros without any."""

    processes: int
    load_highest: float
    #: Three in four processes have no higher front.
    front_p75: float
    back_worst: float
    accepted_per_s: float
    rejected_per_s: float = msgspec.field(name="refused_per_s")
    #: Of the tiers that this version knows.
    rejected_per_s_by_tier: dict[str, float] = msgspec.field(name="refused_per_s_by_tier")
    #: The highest share of each tier that any process rejects for load.
    rejected_share: dict[str, float] = msgspec.field(name="shed")
    #: Events waiting for their commit.
    waiting: int
    #: Deprecated: ``shed`` under its earlier name, for one more release.
    dark: dict[str, float]


class ProcessSummary(Struct, frozen=True, kw_only=True):
    """One process as it published itself last, ``age_s`` before it was read.

    Host and port are for operators alone.
    """

    pid: int
    role: str
    load: float
    signal: str
    waiting: int
    accepted_per_s: float
    rejected_per_s: float = msgspec.field(name="refused_per_s")
    age_s: float


class ClusterSnapshot(Struct, frozen=True, kw_only=True):
    """All processes, as they were read ``at`` this time."""

    at: datetime
    summary: ClusterSummary
    #: Each in its place, by host and process id.
    processes: list[ProcessSummary]
    #: Processes that are in the summary and not listed.
    more: int
    #: Processes of another version, which this one cannot read. They are in no figure.
    unreadable: int


class Published(Protocol):
    """What a process published, ``age_s`` ago."""

    @property
    def state(self) -> bytes:
        """Encoded as it was published."""
        ...

    @property
    def age_s(self) -> float:
        """Seconds since then."""
        ...


class ProcessStates(Protocol):
    """Where processes publish."""

    async def published(self) -> Sequence[Published]:
        """Return what all of them published, in bounded time. Raises ``Unavailable``."""
        ...


class NoClusterView:
    """The view where no Redis is configured."""

    async def read(self) -> ClusterSnapshot | None:
        """Return None: processes do not know of each other."""
        return None


class ClusterView:
    """Reads all processes while there are observers."""

    def __init__(self, *, states: ProcessStates, clock: Clock) -> None:
        self._states = states
        self._clock = clock
        self._last: ClusterSnapshot | None = None
        self._due_s = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def read(self) -> ClusterSnapshot | None:
        """Return all processes as they were read last; None: they cannot be read now.

        Waits for a read where one is due, never for longer; never raises where Redis is
        unavailable.
        """
        now_s = self._clock.monotonic_s()
        early_s = max(0.0, self._due_s - now_s)
        if self._reading is None and early_s <= _EARLY_S:
            self._due_s = now_s + early_s + READ_S
            self._reading = asyncio.create_task(self._read(early_s), name="cluster view")
        if self._reading is not None:
            # An observer that leaves meanwhile does not cancel it for the others.
            await asyncio.shield(self._reading)
        return self._last

    async def _read(self, early_s: float) -> None:
        last: ClusterSnapshot | None = None
        try:
            await asyncio.sleep(early_s)
            at = self._clock.now()
            last = summarised(await self._states.published(), at=at)
        except Unavailable:
            pass
        finally:
            # Whatever else went wrong: nothing old is shown as if it were new.
            self._last, self._reading = last, None


def summary(processes: Sequence[PublishedProcess]) -> ClusterSummary:
    """Return all processes together."""
    fronts = sorted(process.front for process in processes)
    rejected_share = {
        str(tier): max((t.share for p in processes for t in p.tiers if t.tier == tier), default=0.0)
        for tier in TIERS
    }
    return ClusterSummary(
        processes=len(processes),
        load_highest=max((process.load for process in processes), default=0.0),
        front_p75=fronts[math.ceil(0.75 * len(fronts)) - 1] if fronts else 0.0,
        back_worst=max((process.back for process in processes), default=0.0),
        accepted_per_s=round(sum(process.accepted_per_s for process in processes), 1),
        rejected_per_s=round(sum(sum(each.rejected_per_s.values()) for each in processes), 1),
        rejected_per_s_by_tier={
            tier: round(sum(each.rejected_per_s.get(tier, 0.0) for each in processes), 1)
            for tier in map(str, TIERS)
        },
        rejected_share=rejected_share,
        waiting=sum(process.waiting for process in processes),
        dark=rejected_share,
    )


def summarised(published: Sequence[Published], *, at: datetime) -> ClusterSnapshot:
    """Return all processes that published something."""
    decoded = [(heartbeats.decoded(each.state), each.age_s) for each in published]
    read = [(process, age_s) for process, age_s in decoded if process is not None]
    busiest = sorted(read, key=lambda each: each[0].load, reverse=True)[:LISTED_MAX]
    busiest.sort(key=lambda each: (each[0].host, each[0].pid))
    listed = [_process_summary(process, age_s) for process, age_s in busiest]
    return ClusterSnapshot(
        at=at,
        summary=summary([process for process, _ in read]),
        processes=listed,
        more=len(read) - len(listed),
        unreadable=len(decoded) - len(read),
    )


def _process_summary(process: PublishedProcess, age_s: float) -> ProcessSummary:
    return ProcessSummary(
        pid=process.pid,
        role=process.role[:_TEXT_CHARS_MAX],
        load=process.load,
        signal=process.signal[:_TEXT_CHARS_MAX],
        waiting=process.waiting,
        accepted_per_s=process.accepted_per_s,
        rejected_per_s=round(sum(process.rejected_per_s.values()), 1),
        age_s=round(age_s, 2),
    )
