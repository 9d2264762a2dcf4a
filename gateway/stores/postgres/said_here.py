"""What was said on this machine while the ledger was away: it counts at once, and is brought in."""

from gateway.domain.modes import Mode
from gateway.runtime.clock import Clock
from gateway.stores import drawer
from gateway.stores.drawer import Change, Drawer
from gateway.stores.postgres import audit
from gateway.stores.postgres.statements import sql
from gateway.stores.postgres.switches import Switches


class SaidHere:
    """The drawer in front of the ledger's modes."""

    def __init__(self, *, drawer: Drawer, switches: Switches, clock: Clock) -> None:
        self._drawer = drawer
        self._switches = switches
        self._clock = clock

    def over(self, known: list[Mode]) -> list[Mode]:
        """Return the modes with what is newer here laid over them."""
        changes = self._drawer.every()
        return drawer.laid(known, changes, self._clock.now()) if changes else known

    async def bring_in(self) -> None:
        """Write each change and its audit row in one transaction, then take it out of the drawer.

        Raises ``Unavailable``; what is not written stays where it is. A change that was written by
        a process that then died is recognised by its audit row.
        """
        if not self._drawer.every():
            return
        with self._drawer.taking() as taken:
            for change, path in taken:
                await self._write(change)
                path.unlink(missing_ok=True)

    async def _write(self, change: Change) -> None:
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
