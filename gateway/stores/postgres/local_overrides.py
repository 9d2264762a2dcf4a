"""What was said on this machine while the ledger was away: it counts at once, and is brought in."""

from datetime import datetime, timedelta

import msgspec

from gateway.domain.overrides import Override
from gateway.runtime.clock import Clock
from gateway.stores import override_spool
from gateway.stores.override_spool import OverrideSpool, SpooledChange
from gateway.stores.postgres import audit
from gateway.stores.postgres.overrides import OverrideStore
from gateway.stores.postgres.statements import sql

_AHEAD_MAX = 100
_SAME_END_S = 5.0


class LocalOverrides:
    """The drawer in front of the ledger's modes."""

    def __init__(self, *, drawer: OverrideSpool, switches: OverrideStore, clock: Clock) -> None:
        self._drawer = drawer
        self._switches = switches
        self._clock = clock
        # When each change that is dated ahead was seen first: its time counts from there.
        self._ahead_s: dict[tuple[str, datetime], float] = {}
        self._kept: list[object] = []
        self._kept_ends_s: list[float] = []

    def over(self, known: list[Override]) -> list[Override]:
        """Return the modes with what is newer here laid over them."""
        now = self._clock.now()
        changes = [self._seen(change, now) for change in self._drawer.every()]
        return override_spool.overlaid(known, changes, now) if changes else known

    def _seen(self, change: SpooledChange, now: datetime) -> SpooledChange:
        """Return a change as of when it was seen first: no clock set back can stretch it."""
        if change.at <= now:
            return change
        now_s = self._clock.monotonic_s()
        if len(self._ahead_s) >= _AHEAD_MAX:
            self._ahead_s.clear()
        seen_s = self._ahead_s.setdefault((change.target, change.at), now_s)
        return msgspec.structs.replace(change, at=now - timedelta(seconds=now_s - seen_s))

    def remember(self, known: list[Override]) -> None:
        """Keep what the ledger says on this machine, where it changed. Raises ``OSError``."""
        now = self._clock.now()
        looks: list[object] = [
            (each.target, each.word, each.reason, each.actor, each.second, each.is_asked, each.plan)
            for each in known
        ]
        ends_s = [now.timestamp() + each.left_s for each in known]
        # Ends are read anew each time and differ by what the reading took: no reason to write.
        if looks == self._kept and all(
            abs(end_s - kept_s) < _SAME_END_S
            for end_s, kept_s in zip(ends_s, self._kept_ends_s, strict=True)
        ):
            return
        # Before it is written: what can not be is told once, and not with every look.
        self._kept, self._kept_ends_s = looks, ends_s
        self._drawer.keep_known(known, now)

    def recalled(self) -> list[Override]:
        """Return what the ledger said last to whoever was here before."""
        return self._drawer.known(self._clock.now())

    async def bring_in(self) -> bool:
        """Write each change and its audit row in one transaction, then take it out of the drawer.

        Returns whether anything was taken out. Raises ``Unavailable``; what is not written stays
        where it is. A change that was written by a process that then died is recognised by its
        audit row.
        """
        if not self._drawer.every():
            return False
        is_any = False
        with self._drawer.taking() as taken:
            for change, path in taken:
                await self._write(change)
                path.unlink(missing_ok=True)
                is_any = True
        return is_any

    async def _write(self, change: SpooledChange) -> None:
        action = "switch.clear" if change.word is None else "switch.set"
        detail = f"{change.word or 'auto'} for {change.for_s:.0f} s: {change.reason}"
        detail += f"; said on a gateway's machine at {change.at.isoformat()}"
        async with self._switches.changing() as connection:
            done = change.actor, action, change.target, detail
            if await connection.fetchval(sql("has_audit_row"), *done):
                return
            if change.word is None:
                await connection.fetch(sql("clear_older_switch"), change.target, change.at)
            else:
                await connection.fetchval(
                    sql("adopt_switch"), change.target, change.word, change.reason, change.actor,
                    change.for_s, change.at,
                )  # fmt: skip
            await audit.append(connection, *done)
