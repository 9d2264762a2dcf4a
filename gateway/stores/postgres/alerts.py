"""Alerts in the ledger: the figures that they are about, and what each channel was told."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg
from msgspec import Struct

from gateway.domain.alerts import State
from gateway.stores.postgres import audit, errors
from gateway.stores.postgres.statements import sql

#: Counts stop here: a message says "at least", and the rest is in the metrics.
COUNT_MAX = 10_000
#: Seconds for which one worker's word that a rule fires keeps the others from taking it back. A few
#: times what passes between two such words.
_STANDS_S = 9.0


class Claimed(Struct, frozen=True):
    """The answer to a claim: what is to be told now, and the state that was told of others."""

    rules: list[str]
    told: dict[str, State]


class ToldAlert(Struct, frozen=True):
    """What a channel was told last of a rule. ``told_at`` null: nothing yet."""

    channel: str
    rule: str
    state: str
    value: float
    changed_at: datetime
    told_at: datetime | None
    silenced_until: datetime | None


class Alerts:
    """The table of alerts. Every call may raise ``Unavailable``."""

    def __init__(
        self, *, pool: "asyncpg.Pool[asyncpg.Record]", claim_s: float, repeat_s: float
    ) -> None:
        """``claim_s``: after which another worker tells the channel; ``repeat_s``: until again."""
        self._pool = pool
        self._claim_s = claim_s
        self._repeat_s = repeat_s

    async def figures(self) -> dict[str, float]:
        """Return the figures that the ledger has, by name."""
        with errors.translated():
            row = await self._pool.fetchrow(sql("read_alert_figures"), COUNT_MAX)
        assert row is not None, "read_alert_figures.sql returns one row"
        return dict(row)

    async def claim(
        self, channel: str, states: Mapping[str, State], values: Mapping[str, float], now: datetime
    ) -> Claimed:
        """Return what this worker is to tell the channel now, and what it was told already."""
        rules = sorted(states)
        firing = [rule for rule in rules if states[rule] == "firing"]
        with errors.translated():
            if firing:
                await self._pool.execute(sql("confirm_alerts"), channel, firing, now)
            rows = await self._pool.fetch(
                sql("claim_alerts"),
                channel,
                rules,
                [states[rule] for rule in rules],
                [values.get(rule, 0.0) for rule in rules],
                now,
                self._claim_s,
                self._repeat_s,
                _STANDS_S,
            )
        return Claimed(
            rules=[row["rule"] for row in rows if row["is_claimed"]],
            told={row["rule"]: row["state"] for row in rows if row["is_told"]},
        )

    async def told(self, channel: str, states: Mapping[str, State], now: datetime) -> None:
        """Record that the channel was told of these rules in these states."""
        with errors.translated():
            await self._pool.execute(
                sql("mark_alerts_told"), channel, list(states), list(states.values()), now
            )

    async def silence(
        self, rule: str, channels: Sequence[str], until: datetime | None, *, actor: str, reason: str
    ) -> None:
        """Silence a rule on these channels until a time, or no longer; with its audit row."""
        what = "silence_alert" if until else "unsilence_alert"
        detail = f"until {until:%Y-%m-%d %H:%M} UTC: {reason}" if until else reason
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(sql("silence_alerts"), channels, rule, until)
                await audit.append(connection, actor, what, rule, detail)

    async def all(self) -> list[ToldAlert]:
        """Return what every channel was told last of each rule."""
        with errors.translated():
            rows = await self._pool.fetch(sql("list_alerts"))
        return [ToldAlert(**dict(row)) for row in rows]
