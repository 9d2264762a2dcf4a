"""Back-pressure of the journal: whether its server is fit, how full it is, and how much waits."""

import asyncio
import contextlib
import logging
from typing import Protocol
from uuid import UUID

from gateway.domain.errors import Unavailable
from gateway.intake import metrics
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock
from gateway.runtime.settings import Settings

_log = logging.getLogger(__name__)

#: Seconds that a figure of the journal's memory is used for while it is being written to.
_FILL_S = 0.25
#: Seconds between two checks while something waits: its age is part of the load.
_BUSY_S = 1.0
#: Seconds that the clocks of processes and servers may be apart.
_CLOCKS_APART_S = 60.0


class Depth(Protocol):
    """How much waits to be drained."""

    @property
    def entries(self) -> int:
        """Entries appended and not yet acknowledged by a drainer."""
        ...

    @property
    def oldest_s(self) -> float:
        """The age of the oldest in seconds, 0 when there is none."""
        ...

    @property
    def fill(self) -> float:
        """The share of its memory that is used."""
        ...


class Streams(Protocol):
    """The servers behind the journal. Calls raise ``Unavailable`` unless they say otherwise."""

    async def fitness(self) -> str:
        """Return why an acknowledged entry might be lost, in a sentence, or "". Never raises."""
        ...

    async def fill(self) -> float:
        """Return the share of its memory that the fullest node uses, 0 to 1."""
        ...

    async def depth(self) -> Depth:
        """Return how much waits to be drained."""
        ...


class KeyRing(Protocol):
    """The key ring that entries are sealed with."""

    @property
    def refusal(self) -> str:
        """Why nothing may be sealed with it, in a sentence; empty when nothing is against it."""
        ...


class JournalMonitor:
    """Watches the journal's servers, and rejects what they have no headroom for."""

    def __init__(
        self,
        *,
        streams: Streams,
        clock: Clock,
        settings: Settings,
        key_ring: KeyRing,
    ) -> None:
        self._streams = streams
        self._key_ring = key_ring
        self._clock = clock
        self._fill_max = settings.journal_fill_max
        self._check_s = settings.journal_check_s
        self._fill = 0.0
        self._fill_at_s = float("-inf")
        self._entries = 0
        #: As of the last check: age of the oldest entry in seconds, share of memory used.
        self.oldest_s = 0.0
        self.fill = 0.0
        #: Why the journal is not used, in a sentence; empty when it is.
        self.reason = "was not checked yet"

    @property
    def is_usable(self) -> bool:
        """Whether the servers were fit at the last check, and the key ring is not refused."""
        return not self.reason and not self._key_ring.refusal

    async def run(self, stopping: asyncio.Event) -> None:
        """Check every ``journal_check_s``, or every second while entries wait, until stopped."""
        while not stopping.is_set():
            await self.check()
            pause_s = min(self._check_s, _BUSY_S) if self._entries else self._check_s
            await lifecycle.pause(stopping, pause_s)

    async def check(self) -> None:
        """Update whether the journal may be used, its fill and its depth; log what changed."""
        try:
            reason = await self._streams.fitness()
        except Exception as exc:  # whatever it is, the journal is not known to be fit
            reason = f"its server cannot be checked ({type(exc).__name__})"
        if reason != self.reason:
            if reason:
                _log.error("the journal is not used: %s", reason)
            else:
                _log.info("the journal is ready")
        self.reason = reason
        metrics.JOURNAL_USABLE.set(not reason)
        with contextlib.suppress(Exception):
            depth = await self._streams.depth()
            self._entries, self.oldest_s, self.fill = depth.entries, depth.oldest_s, depth.fill
            metrics.JOURNAL_ENTRIES.set(depth.entries)
            metrics.JOURNAL_OLDEST_S.set(depth.oldest_s)
            metrics.JOURNAL_FILL.set(depth.fill)

    async def may_hold(self, id_: UUID) -> bool:
        """Return whether an order that the ledger does not have may still wait in the journal.

        An id (UUIDv7) has the time it was made, and nothing that waits is older than the oldest
        entry.
        """
        try:
            depth = await self._streams.depth()
        except Unavailable:
            return self._entries > 0
        oldest_s = self._clock.now().timestamp() - depth.oldest_s - _CLOCKS_APART_S
        return depth.entries > 0 and (id_.int >> 80) / 1000 >= oldest_s

    async def check_headroom(self) -> None:
        """Raise ``Unavailable`` when the fullest node is too full, or none answers."""
        now_s = self._clock.monotonic_s()
        if now_s - self._fill_at_s > _FILL_S:
            self._fill = await self._streams.fill()
            self._fill_at_s = now_s
        if self._fill >= self._fill_max:
            raise Unavailable("journal", retry_after_s=5.0)
