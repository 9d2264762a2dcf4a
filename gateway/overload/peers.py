"""The processes know of each other: each tells how it stands, and hears what lies behind the rest.

What is told adjusts and never gates: nobody waits for it, and a process that hears nothing goes by
what it sees itself. It tells what it sees behind itself, never what it was told: two would keep
each other dark for ever.
"""

import asyncio
import logging
import math
import os
import socket
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import uuid4

import msgspec
from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.domain.features import TIERS
from gateway.overload import metrics
from gateway.overload.admission import Overload
from gateway.overload.heard import Heard
from gateway.overload.sources import Committer, Modes
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock

_log = logging.getLogger(__name__)

#: Seconds between two times that a process tells how it stands.
TELL_S = 0.5
#: Seconds after which what was told counts no more.
KEPT_S = 3.0


class Tier(Struct, frozen=True):
    """One tier: the state of its breaker, and the share of its requests refused for load now."""

    tier: int
    state: str
    share: float


class Process(Struct, frozen=True, kw_only=True):
    """One process. Words are plain text: another version may know others.

    ``load`` is what it acts on; ``back`` what it sees behind itself alone.
    """

    host: str
    pid: int
    role: str
    port: int
    started_at: datetime
    version: str
    load: float
    front: float
    back: float
    signal: str
    #: Every signal's part in the load.
    shares: dict[str, float]
    tiers: list[Tier]
    #: What operators said of features, by their names.
    said: dict[str, str] = {}
    slots_limit: int
    slots_in_use: int
    #: None: nothing bounds it now.
    in_flight_limit: int | None
    #: Events waiting for their commit.
    waiting: int
    accepted_per_s: float
    #: By tier.
    refused_per_s: dict[str, float]


class Summary(Struct, frozen=True):
    """All processes together; zeros without any."""

    processes: int
    load_highest: float
    #: Three in four processes have no higher front.
    front_p75: float
    back_worst: float
    accepted_per_s: float
    refused_per_s: float
    #: Of the tiers that this version knows.
    refused_per_s_by_tier: dict[str, float]
    #: The largest share of each tier that any process refuses for load.
    dark: dict[str, float]
    #: Events waiting for their commit.
    waiting: int


class Who(Struct, frozen=True):
    """What does not change of a process while it runs."""

    host: str
    pid: int
    role: str
    port: int
    started_at: datetime
    version: str
    #: No other process has it, also where host names and process ids are the same everywhere.
    key: str


class Back(Protocol):
    """What lies behind another process, as it was ``age_s`` ago."""

    @property
    def back(self) -> float:
        """0 to 1 and beyond."""
        ...

    @property
    def age_s(self) -> float:
        """Seconds since it was told."""
        ...


class States(Protocol):
    """Where it is told."""

    async def publish(self, process: str, *, back: float, state: bytes) -> Sequence[Back]:
        """Tell how a process stands; return what lies behind the others. Raises ``Unavailable``."""
        ...


def who(*, role: str, port: int, started_at: datetime, version: str) -> Who:
    """Return who this process is."""
    host, pid = socket.gethostname(), os.getpid()
    return Who(host, pid, role, port, started_at, version, f"{host}:{pid}:{uuid4().hex}")


def summary(processes: Sequence[Process]) -> Summary:
    """Return all processes together."""
    fronts = sorted(process.front for process in processes)
    return Summary(
        processes=len(processes),
        load_highest=max((process.load for process in processes), default=0.0),
        front_p75=fronts[math.ceil(0.75 * len(fronts)) - 1] if fronts else 0.0,
        back_worst=max((process.back for process in processes), default=0.0),
        accepted_per_s=round(sum(process.accepted_per_s for process in processes), 1),
        refused_per_s=round(sum(sum(each.refused_per_s.values()) for each in processes), 1),
        refused_per_s_by_tier={
            tier: round(sum(each.refused_per_s.get(tier, 0.0) for each in processes), 1)
            for tier in map(str, TIERS)
        },
        dark={
            str(tier): max(
                (t.share for p in processes for t in p.tiers if t.tier == tier), default=0.0
            )
            for tier in TIERS
        },
        waiting=sum(process.waiting for process in processes),
    )


def decoded(state: bytes) -> Process | None:
    """Read what a process told; None for what this version can not read."""
    try:
        return msgspec.json.decode(state, type=Process)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class Peers:
    """Tells the others how this process stands, and believes what they tell."""

    def __init__(
        self,
        *,
        states: States,
        heard: Heard,
        overload: Overload,
        committer: Committer,
        modes: Modes,
        who: Who,
        clock: Clock,
    ) -> None:
        self._states = states
        self._heard = heard
        self._overload = overload
        self._committer = committer
        self._modes = modes
        self._who = who
        self._clock = clock
        self._is_away = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell and hear again and again until told to stop."""
        while not stopping.is_set():
            await self.exchange()
            await lifecycle.pause(stopping, TELL_S)

    async def exchange(self) -> None:
        """Tell and hear once. Never raises for what is away; what was heard then ages."""
        asked_at_s = self._clock.monotonic_s()
        try:
            told = await self._states.publish(
                self._who.key,
                back=self._overload.load.own_back,
                state=msgspec.json.encode(self.state()),
            )
        except Unavailable as exc:
            self._say(exc)
        else:
            self._say(None)
            # Counted from before the question: never believed for longer than it is true.
            self._heard.hear((each.back, asked_at_s + KEPT_S - each.age_s) for each in told)
        metrics.PEERS.set(self._heard.count(self._clock.monotonic_s()))

    def state(self) -> Process:
        """Return how this process stands."""
        overload, load, who = self._overload, self._overload.load, self._who
        return Process(
            host=who.host,
            pid=who.pid,
            role=who.role,
            port=who.port,
            started_at=who.started_at,
            version=who.version,
            load=round(load.figure, 3),
            front=round(load.front, 3),
            back=round(load.own_back, 3),
            signal=load.signal,
            shares={name: round(share, 3) for name, share in load.shares.items()},
            tiers=[
                Tier(tier, breaker.state, round(overload.refused_share(tier), 3))
                if (breaker := overload.tiers.get(tier))
                else Tier(tier, "closed", 0.0)
                for tier in TIERS
            ],
            said=dict(self._modes.words),
            slots_limit=overload.slots.limit,
            slots_in_use=overload.slots.in_use,
            in_flight_limit=overload.in_flight.limit,
            waiting=self._committer.waiting,
            accepted_per_s=round(overload.tally.accepted_per_s(), 1),
            refused_per_s={
                str(tier): round(count, 1) for tier, count in overload.tally.refused_per_s().items()
            },
        )

    def _say(self, exc: Unavailable | None) -> None:
        if exc is not None and not self._is_away:
            _log.warning(
                "other processes can not be heard; the load is what is seen here",
                extra={"kind": type(exc.__cause__ or exc).__name__},
            )
        elif exc is None and self._is_away:
            _log.warning("other processes can be heard again")
        self._is_away = exc is not None
