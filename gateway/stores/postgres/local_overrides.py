"""This machine's overrides, made while the ledger is unavailable.

They are active here at once, and are flushed to the ledger when it is back.
"""

from datetime import datetime, timedelta

import msgspec

from gateway.domain import override_changes
from gateway.domain.override_changes import OverrideChange
from gateway.domain.overrides import Override
from gateway.runtime.clock import Clock
from gateway.stores.override_spool import OverrideSpool
from gateway.stores.postgres import audit
from gateway.stores.postgres.overrides import OverrideStore
from gateway.stores.postgres.statements import sql

_AHEAD_MAX = 100
#: Ends that differ by less are the same end, read at two times.
_SAME_END_S = 5.0


class LocalOverrides:
    """The spool in front of the ledger's overrides."""

    def __init__(self, *, spool: OverrideSpool, store: OverrideStore, clock: Clock) -> None:
        self._spool = spool
        self._store = store
        self._clock = clock
        # When each change that is dated ahead was first seen: its time counts from there.
        self._first_seen_s: dict[tuple[str, datetime], float] = {}
        self._stored: list[object] = []
        self._stored_ends_s: list[float] = []

    def merge(self, known: list[Override]) -> list[Override]:
        """Return the ledger's overrides with this machine's changes applied."""
        now = self._clock.now()
        changes = [self._not_ahead(change, now) for change in self._spool.every()]
        return override_changes.merge(known, changes, now) if changes else known

    def _not_ahead(self, change: OverrideChange, now: datetime) -> OverrideChange:
        """Return a change as of when it was first seen: no clock set back can stretch it."""
        if change.at <= now:
            return change
        now_s = self._clock.monotonic_s()
        if len(self._first_seen_s) >= _AHEAD_MAX:
            self._first_seen_s.clear()
        seen_s = self._first_seen_s.setdefault((change.target, change.at), now_s)
        return msgspec.structs.replace(change, at=now - timedelta(seconds=now_s - seen_s))

    def store_known(self, known: list[Override]) -> None:
        """Store the ledger's overrides on this machine if they changed. Raises ``OSError``."""
        now = self._clock.now()
        compared: list[object] = [
            (
                each.target, each.action, each.reason, each.actor, each.approved_by,
                each.is_pending, each.plan,
            )
            for each in known
        ]  # fmt: skip
        ends_s = [now.timestamp() + each.left_s for each in known]
        # Ends are read anew each time and differ by what the reading took: no reason to write.
        if compared == self._stored and all(
            abs(end_s - stored_s) < _SAME_END_S
            for end_s, stored_s in zip(ends_s, self._stored_ends_s, strict=True)
        ):
            return
        # Before it is written: a failure is raised once, and not with every refresh.
        self._stored, self._stored_ends_s = compared, ends_s
        self._spool.store_known(known, now)

    def stored_known(self) -> list[Override]:
        """Return what the ledger answered last on this machine, as far as it has not ended."""
        return self._spool.stored_known(self._clock.now())

    async def flush(self) -> bool:
        """Write each change and its audit row in one transaction, then remove it from the spool.

        Returns whether anything was removed. Raises ``Unavailable``; what is not written stays in
        the spool. A change written by a process that then died is recognised by its audit row.
        """
        if not self._spool.every():
            return False
        is_any = False
        with self._spool.lent() as lent:
            for change, path in lent:
                await self._write(change)
                path.unlink(missing_ok=True)
                is_any = True
        return is_any

    async def _write(self, change: OverrideChange) -> None:
        action = "switch.clear" if change.action is None else "switch.set"
        # Stored, and compared with what is stored: the wording stays.
        detail = f"{change.action or 'auto'} for {change.for_s:.0f} s: {change.reason}"
        detail += f"; said on a gateway's machine at {change.at.isoformat()}"
        async with self._store.changing() as connection:
            row = change.actor, action, change.target, detail
            if await connection.fetchval(sql("has_audit_row"), *row):
                return
            if change.action is None:
                await connection.fetch(sql("clear_older_override"), change.target, change.at)
            else:
                await connection.fetchval(
                    sql("import_override"), change.target, change.action, change.reason,
                    change.actor, change.for_s, change.at,
                )  # fmt: skip
            await audit.append(connection, *row)
