"""Operators' overrides in memory: the ledger's, and one machine's in front of them.

As ``gateway.stores.postgres.overrides`` and ``local_overrides`` store them, without audit log,
approvals and bounds.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec

from gateway.domain import override_changes
from gateway.domain.errors import Unavailable
from gateway.domain.override_changes import OverrideChange
from gateway.domain.overrides import Override
from tests.support.fakes.clock import ManualClock


class FakeOverrideStore:
    """The ledger's overrides. Their time runs by ``clock``, which is the database's."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._stored: list[tuple[Override, datetime]] = []
        self.is_away = False
        self.fault: Exception | None = None
        #: Cleared, nothing is answered.
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def overrides(self) -> list[Override]:
        """What has not ended, with the seconds left."""
        now = self._clock.now()
        found = [_as_of(now, override, at) for override, at in self._stored]
        return sorted((each for each in found if each.left_s > 0), key=_position)

    @overrides.setter
    def overrides(self, overrides: Sequence[Override]) -> None:
        self._stored = [(each, self._clock.now()) for each in overrides]

    def put(self, override: Override, *, at: datetime | None = None) -> None:
        """Set an override as of ``at``, in place of an earlier one of its target."""
        self._stored = [each for each in self._stored if _key(each[0]) != _key(override)]
        self._stored.append((override, at or self._clock.now()))

    def clear(self, target: str) -> None:
        """Leave a target to the load again."""
        self._stored = [each for each in self._stored if each[0].target != target]

    async def every(self) -> list[Override]:
        # The time left is that of the question, however late the answer is.
        found = self.overrides
        await self.gate.wait()
        if self.is_away:
            raise Unavailable("postgres")
        if self.fault is not None:
            raise self.fault
        return found


class FakeLocalOverrides:
    """One machine's changes, and what the ledger answered last."""

    def __init__(self, store: FakeOverrideStore, clock: ManualClock) -> None:
        self._store = store
        self._clock = clock
        self._stored_at = clock.now()
        self.changes: list[OverrideChange] = []
        self.stored: list[Override] = []
        self.flushes = 0
        self.fault: Exception | None = None
        #: Cleared, nothing is flushed.
        self.gate = asyncio.Event()
        self.gate.set()

    def put(self, change: OverrideChange) -> None:
        """Store a change that an operator made on this machine."""
        self.changes.append(change)

    def merge(self, known: list[Override]) -> list[Override]:
        return override_changes.merge(known, self.changes, self._clock.now())

    async def flush(self) -> bool:
        self.flushes += 1
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        if self.changes and self._store.is_away:
            raise Unavailable("postgres")
        taken, self.changes = self.changes, []
        for change in taken:
            override = change.override(change.at)
            if override is None:
                self._store.clear(change.target)
            else:
                self._store.put(override, at=change.at)
        return bool(taken)

    def store_known(self, known: list[Override]) -> None:
        self.stored, self._stored_at = list(known), self._clock.now()

    def stored_known(self) -> list[Override]:
        now = self._clock.now()
        found = [_as_of(now, each, self._stored_at) for each in self.stored]
        return [each for each in found if each.left_s > 0]


def _as_of(now: datetime, override: Override, at: datetime) -> Override:
    passed_s = (now - at).total_seconds()
    return msgspec.structs.replace(
        override,
        left_s=override.left_s - passed_s,
        starts_s=max(0.0, override.starts_s - passed_s),
    )


def _key(override: Override) -> tuple[str, bool, str | None]:
    return override.target, override.is_pending, override.plan


def _position(override: Override) -> tuple[str, bool, bool, str, float]:
    return (
        override.target,
        override.is_pending,
        override.plan is not None,
        override.plan or "",
        override.starts_s,
    )
