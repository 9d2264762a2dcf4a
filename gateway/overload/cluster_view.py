"""All processes together, for who looks on: from what each tells the others.

It is read only while somebody looks, once a second at most however many do, and nobody else waits
for it. Nothing is decided by it.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.overload import peers
from gateway.overload.peers import Process, Summary
from gateway.runtime.clock import Clock

#: Seconds between two reads at least.
READ_S = 1.0
#: Who looks each second comes a moment too early now and then, as timers are: so many seconds he
#: waits for the read that is due then. He would else be told the same twice.
_EARLY_S = 0.05
#: Processes that are listed; of more, the busiest.
LISTED_MAX = 64
#: Characters of a text that another process told.
_TEXT_CHARS_MAX = 64


class Member(Struct, frozen=True, kw_only=True):
    """One process as it told it last, ``age_s`` before it was read.

    Where it runs is for operators alone.
    """

    pid: int
    role: str
    load: float
    signal: str
    waiting: int
    accepted_per_s: float
    refused_per_s: float
    age_s: float


class Whole(Struct, frozen=True, kw_only=True):
    """The whole gateway, as it was read ``at`` this time."""

    at: datetime
    summary: Summary
    #: Each in its place, by host and process.
    processes: list[Member]
    #: Processes that are in the summary and not listed.
    more: int
    #: States of another version, which this one can not read. They are in no figure.
    unreadable: int


class Published(Protocol):
    """What a process told, ``age_s`` ago."""

    @property
    def state(self) -> bytes:
        """As it told it."""
        ...

    @property
    def age_s(self) -> float:
        """Seconds since then."""
        ...


class States(Protocol):
    """Where processes tell how they stand."""

    async def published(self) -> Sequence[Published]:
        """Return what all of them told, in bounded time. Raises ``Unavailable``."""
        ...


class Alone:
    """Where processes do not know of each other."""

    async def look(self) -> Whole | None:
        """Return None: nobody can tell."""
        return None


class ClusterView:
    """Reads how all processes stand while somebody looks."""

    def __init__(self, *, states: States, clock: Clock) -> None:
        self._states = states
        self._clock = clock
        self._seen: Whole | None = None
        self._due_s = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def look(self) -> Whole | None:
        """Return all processes as they were read last; None: they can not be read now.

        Waits for a read where one is due, never for longer, and never raises for what is away.
        """
        now_s = self._clock.monotonic_s()
        early_s = max(0.0, self._due_s - now_s)
        if self._reading is None and early_s <= _EARLY_S:
            self._due_s = now_s + early_s + READ_S
            self._reading = asyncio.create_task(self._read(early_s), name="fleet")
        if self._reading is not None:
            # Whoever leaves meanwhile does not take it away from the others.
            await asyncio.shield(self._reading)
        return self._seen

    async def _read(self, early_s: float) -> None:
        seen: Whole | None = None
        try:
            await asyncio.sleep(early_s)
            at = self._clock.now()
            seen = whole(await self._states.published(), at=at)
        except Unavailable:
            pass
        finally:
            # Nothing is old: whatever else went wrong, it is not known how they stand.
            self._seen, self._reading = seen, None


def whole(published: Sequence[Published], *, at: datetime) -> Whole:
    """Return all processes of which something was told."""
    told = [(peers.decoded(each.state), each.age_s) for each in published]
    read = [(process, age_s) for process, age_s in told if process is not None]
    busiest = sorted(read, key=lambda each: each[0].load, reverse=True)[:LISTED_MAX]
    busiest.sort(key=lambda each: (each[0].host, each[0].pid))
    listed = [_member(process, age_s) for process, age_s in busiest]
    return Whole(
        at=at,
        summary=peers.summary([process for process, _ in read]),
        processes=listed,
        more=len(read) - len(listed),
        unreadable=len(told) - len(read),
    )


def _member(process: Process, age_s: float) -> Member:
    return Member(
        pid=process.pid,
        role=process.role[:_TEXT_CHARS_MAX],
        load=process.load,
        signal=process.signal[:_TEXT_CHARS_MAX],
        waiting=process.waiting,
        accepted_per_s=process.accepted_per_s,
        refused_per_s=round(sum(process.refused_per_s.values()), 1),
        age_s=round(age_s, 2),
    )
