"""Heartbeats: each process publishes its snapshot and receives the back load of its peers.

What is received adjusts and never gates: no request waits for it, and a process that receives
nothing decides by what it measures itself. It publishes what it measures behind itself, never what
it received: two would keep each other shed for ever.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import uuid4

import msgspec
from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.overload import metrics, snapshot
from gateway.overload.admission import Admission
from gateway.overload.snapshot import Snapshot
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock

_log = logging.getLogger(__name__)

#: Seconds between two heartbeats.
HEARTBEAT_S = 0.5
#: Seconds after which a snapshot expires.
EXPIRES_S = 3.0


class ProcessIdentity(Struct, frozen=True, kw_only=True):
    """What does not change of a process while it runs. Host and pid may occur twice: containers."""

    host: str
    pid: int
    role: str
    port: int
    started_at: datetime
    version: str


class PublishedProcess(Snapshot, frozen=True, kw_only=True):
    """One process as it publishes itself: its snapshot and its identity.

    Other versions read it: fields are only ever added.
    """

    # Those of ``ProcessIdentity``: a struct has one base with fields.
    host: str
    pid: int
    role: str
    port: int
    started_at: datetime
    version: str


class PeerLoad(Protocol):
    """The back load of another process, as it was ``age_s`` ago."""

    @property
    def back(self) -> float:
        """0 to 1 and beyond."""
        ...

    @property
    def age_s(self) -> float:
        """Seconds since it was published."""
        ...


class ProcessStates(Protocol):
    """Where processes publish."""

    async def publish(self, process: str, *, back: float, state: bytes) -> Sequence[PeerLoad]:
        """Publish one process; return the back load of the others. Raises ``Unavailable``."""
        ...


class PeerLoads:
    """The back load received from peers, as far as it has not expired.

    The journal and Postgres lie behind all processes, and not all see their state at once: the
    highest counts. What is not published again expires by itself, so that without Redis each
    process decides by what it measures itself. Pure: monotonic seconds are passed in.
    """

    def __init__(self) -> None:
        # Back load of each peer, and when it expires; the highest first.
        self._received: list[tuple[float, float]] = []

    def receive(self, loads: Iterable[tuple[float, float]]) -> None:
        """Replace all by these: the back load of each peer, and when it expires in seconds."""
        self._received = sorted([each for each in loads if each[0] >= 0], reverse=True)

    def worst(self, now_s: float) -> float:
        """Return the highest back load that counts now; 0 without any."""
        return next((back for back, until_s in self._received if now_s < until_s), 0.0)

    def count(self, now_s: float) -> int:
        """Return the number of peers whose back load counts now."""
        return sum(now_s < until_s for _, until_s in self._received)


def identity(*, role: str, port: int, started_at: datetime, version: str) -> ProcessIdentity:
    """Return the identity of this process."""
    return ProcessIdentity(
        host=socket.gethostname(),
        pid=os.getpid(),
        role=role,
        port=port,
        started_at=started_at,
        version=version,
    )


def decoded(state: bytes) -> PublishedProcess | None:
    """Decode a published process; None where this version cannot read it."""
    try:
        return msgspec.json.decode(state, type=PublishedProcess)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class Heartbeats:
    """Publishes this process, and receives the back load of the others."""

    def __init__(
        self,
        *,
        states: ProcessStates,
        loads: PeerLoads,
        admission: Admission,
        identity: ProcessIdentity,
        clock: Clock,
    ) -> None:
        self._states = states
        self._loads = loads
        self._admission = admission
        self._identity = msgspec.structs.asdict(identity)
        #: Unique, also where host names and process ids are the same everywhere.
        self.key = f"{identity.host}:{identity.pid}:{uuid4().hex}"
        self._clock = clock
        self._is_away = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Send heartbeats until ``stopping`` is set."""
        while not stopping.is_set():
            await self.exchange()
            await lifecycle.pause(stopping, HEARTBEAT_S)

    async def exchange(self) -> None:
        """Publish and receive once. Never raises where Redis is unavailable."""
        asked_at_s = self._clock.monotonic_s()
        try:
            received = await self._states.publish(
                self.key,
                back=self._admission.load.own_back,
                state=msgspec.json.encode(self.published()),
            )
        except Unavailable as exc:
            self._log_change(exc)
        else:
            self._log_change(None)
            # Counted from before the question: never used for longer than it is true.
            self._loads.receive(
                (each.back, asked_at_s + EXPIRES_S - each.age_s) for each in received
            )
        metrics.PEERS.set(self._loads.count(self._clock.monotonic_s()))

    def published(self) -> PublishedProcess:
        """Return this process as it publishes itself now."""
        taken = msgspec.structs.asdict(snapshot.take(self._admission))
        return PublishedProcess(**self._identity, **taken)

    def _log_change(self, exc: Unavailable | None) -> None:
        if exc is not None and not self._is_away:
            _log.warning(
                "peers cannot be reached; the load is what this process measures",
                extra={"kind": type(exc.__cause__ or exc).__name__},
            )
        elif exc is None and self._is_away:
            _log.warning("peers can be reached again")
        self._is_away = exc is not None
