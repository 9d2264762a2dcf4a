"""Operators' overrides as a process follows them: from the ledger, and from its machine's spool.

Refreshed once a second, so that an override is active everywhere within two. While the ledger is
unavailable the known overrides stay active until their own end, and the spool goes on working.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from gateway.domain import overrides
from gateway.domain.errors import TidegateError
from gateway.domain.features import Tier
from gateway.domain.overrides import Action, Override
from gateway.overload import metrics
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock

_log = logging.getLogger(__name__)

_REFRESH_S = 1.0
_RESULTS: Mapping[Action, str] = {"shed": "shed", "admit": "admitted", "early": "shed early"}
#: Seconds that a refresh waits for the ledger, to be read or written; what takes longer goes on,
#: and is picked up later. ``tidegate shed`` waits 1.5 s for the gateways of its machine to refresh.
_WAIT_S = 0.8


class Ledger(Protocol):
    """Where overrides are stored for all processes."""

    async def every(self) -> list[Override]:
        """Every override that is active, planned or pending approval. Raises ``Unavailable``."""
        ...


class Local(Protocol):
    """The changes of this machine that are not in the ledger yet."""

    def merge(self, known: list[Override]) -> list[Override]:
        """The overrides with this machine's newer changes applied."""
        ...

    async def flush(self) -> bool:
        """Write the changes to the ledger; whether there were any. Raises ``Unavailable``."""
        ...

    def store_known(self, known: list[Override]) -> None:
        """Store the ledger's overrides for a start while it is unavailable. Raises ``OSError``."""
        ...

    def stored_known(self) -> list[Override]:
        """What was stored and has not ended."""
        ...


class _Window(Struct, frozen=True):
    """An override and its time, by this process' monotonic clock."""

    override: Override
    begins_s: float
    ends_s: float

    def at(self, now_s: float) -> Override:
        """Return the override with the seconds left, and until it begins, as of now."""
        return msgspec.structs.replace(
            self.override,
            left_s=round(self.ends_s - now_s, 1),
            starts_s=round(max(0.0, self.begins_s - now_s), 1),
        )


class Overrides:
    """The overrides that are active now, by feature and by tier.

    ``actions`` has ``shed`` or ``admit`` by the feature's name; ``early_tiers`` the tiers that shed
    at a lower load. ``refresh`` reads and merges, ``tick`` activates and expires by the clock.

    Invariants: a change is never missing between spool and ledger: what is flushed stays known
    until the ledger was read after the flush. At most one read and one flush are under way, and no
    read begins during a flush.
    """

    def __init__(self, *, ledger: Ledger, local: Local, clock: Clock) -> None:
        self._ledger = ledger
        self._local = local
        self._clock = clock
        self._reading: asyncio.Task[list[Override]] | None = None
        self._read_at_s = 0.0
        self._flushing: asyncio.Task[bool] | None = None
        self._is_unavailable = False
        self._has_read = False
        # As read, and when: what is left of each is counted from there, by the monotonic clock.
        self._known: Sequence[Override] = ()
        self._known_at_s = 0.0
        self._windows: Sequence[_Window] = ()
        self._next_change_s = float("inf")
        self._active: Mapping[str, Action] = {}
        self.actions: Mapping[str, Action] = {}
        self.early_tiers: frozenset[Tier] = frozenset()

    async def run(self, stopping: asyncio.Event) -> None:
        """Refresh until ``stopping`` is set."""
        while not stopping.is_set():
            await self.refresh()
            await lifecycle.pause(stopping, _REFRESH_S)

    async def refresh(self) -> None:
        """Read the ledger, merge this machine's changes, activate; then flush the changes.

        Never raises where the ledger is unavailable, and waits 0.8 s for it at most.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _WAIT_S
        self._finish_flush()
        # Not during a flush: what was read before a change was there, and is used after it left the
        # spool, would not have it.
        is_read = self._flushing is None and await self._read()
        now_s = self._clock.monotonic_s()
        merged = self._merge(now_s)
        if is_read:
            # It is to stay active while it moves from the spool into the ledger.
            self._known, self._known_at_s = merged, now_s
            self._flushing = asyncio.create_task(self._local.flush(), name="flush overrides")
            self._flushing.add_done_callback(_retrieve)
        if self._flushing is not None:
            await asyncio.wait({self._flushing}, timeout=max(0.0, until_s - loop.time()))
            self._finish_flush()

    def tick(self, now_s: float) -> None:
        """Expire what has ended, and activate what was planned for now."""
        if now_s >= self._next_change_s:
            self._activate(now_s)

    def current(self) -> list[Override]:
        """Return the overrides that have not ended, pending and planned ones too."""
        now_s = self._clock.monotonic_s()
        return [window.at(now_s) for window in self._windows if window.ends_s > now_s]

    async def _read(self) -> bool:
        """Read the ledger; return whether it answered in time, and no other refresh took it."""
        if self._reading is None:
            self._read_at_s = self._clock.monotonic_s()
            self._reading = asyncio.create_task(self._ledger.every(), name="read overrides")
            self._reading.add_done_callback(_retrieve)
        # Waited for from outside: what hangs in the driver does not always heed a cancellation.
        reading = self._reading
        await asyncio.wait({reading}, timeout=_WAIT_S)
        # Another refresh meanwhile may have taken the answer already.
        if not reading.done() or self._reading is not reading:
            return False
        self._reading = None
        return self._finish_read(reading)

    def _finish_read(self, reading: asyncio.Task[list[Override]]) -> bool:
        try:
            known = reading.result()
        except (TidegateError, asyncio.CancelledError) as exc:
            if not self._is_unavailable:
                _log.warning("overrides cannot be read; the known ones stay active: %s", exc)
            self._is_unavailable = True
            if not self._has_read:
                # Started while it is unavailable: what this machine stored last is active.
                self._known = self._local.stored_known()
                self._known_at_s = self._clock.monotonic_s()
                self._has_read = True
            return False
        self._known, self._known_at_s, self._is_unavailable = known, self._read_at_s, False
        self._has_read = True
        self._store_known(known)
        return True

    def _finish_flush(self) -> None:
        """Take the result of a flush, once there is one."""
        flushing = self._flushing
        if flushing is None or not flushing.done():
            return
        self._flushing = None
        try:
            is_any = flushing.result()
        except (TidegateError, OSError, asyncio.CancelledError) as exc:
            kind = type(exc).__name__
            _log.warning("this machine's overrides wait for the ledger", extra={"kind": kind})
            return
        if is_any:
            # They have left the spool, and the ledger may be unavailable before it is read again.
            self._store_known(self._left(self._clock.monotonic_s()))

    def _store_known(self, known: list[Override]) -> None:
        try:
            self._local.store_known(known)
        except OSError as exc:
            _log.warning(
                "overrides cannot be stored for a start without the ledger: %s", exc.strerror
            )

    def _left(self, now_s: float) -> list[Override]:
        """Return what is known and has not ended, with the seconds left of it."""
        since_s = now_s - self._known_at_s
        known = [
            msgspec.structs.replace(
                override,
                left_s=override.left_s - since_s,
                starts_s=override.starts_s - since_s,
            )
            for override in self._known
        ]
        return [override for override in known if override.left_s > 0]

    def _merge(self, now_s: float) -> list[Override]:
        """Merge this machine's changes into what is known, and activate the result."""
        merged = self._local.merge(self._left(now_s))
        self._windows = [
            _Window(each, now_s + max(0.0, each.starts_s), now_s + each.left_s) for each in merged
        ]
        self._activate(now_s)
        return merged

    def _activate(self, now_s: float) -> None:
        """Set what is active now, and when that changes by itself; log what changed."""
        times = [at for each in self._windows for at in (each.begins_s, each.ends_s) if at > now_s]
        self._next_change_s = min(times, default=float("inf"))
        active = overrides.active_actions(
            window.at(now_s) for window in self._windows if window.begins_s <= now_s < window.ends_s
        )
        if active == self._active:
            return
        for name in {**self._active, **active}:
            action = active.get(name)
            if action == self._active.get(name):
                continue
            result = _RESULTS[action] if action else "left to the load"
            _log.warning("operators: %s is %s", name, result)
            for each in overrides.ACTIONS:
                metrics.FORCED.labels(name, each).set(each == action)
        self._active = active
        self.actions = {name: action for name, action in active.items() if action != "early"}
        self.early_tiers = overrides.early_tiers(active)


def _retrieve(task: asyncio.Task[list[Override]] | asyncio.Task[bool]) -> None:
    # The process may end before the result is taken; asyncio must not complain about that.
    if not task.cancelled():
        task.exception()
