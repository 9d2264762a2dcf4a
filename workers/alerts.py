"""Alerts: reads the figures, judges the rules, and tells each channel what changed.

Every channel has a task of its own: one that is slow or refuses delays no other. What a channel did
not take is told again, by this worker or another, until it did or the alert is over.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from aiolimiter import AsyncLimiter
from msgspec import Struct

from gateway.clients.alert_channels import Channel
from gateway.domain import alerts
from gateway.domain.alerts import AlertRule, State, Watch
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock
from workers import metrics
from workers.alert_book import AlertBook
from workers.alert_figures import Figures
from workers.rounds import Rounds

_log = logging.getLogger(__name__)

#: Seconds within which a message is out, after a fault of a server.
TOLD_S = 12.0
#: Seconds between two readings, and between two looks at what a channel is to be told. Two of each
#: with the time of a reading, and that of a rule, leave the call its time within ``TOLD_S``.
_ROUND_S = 2.0
_TELL_S = 1.0
#: Messages that are sent as one.
_MESSAGES_MAX = 10


class AlertChannel(Struct, frozen=True):
    """A channel by its name. ``is_for_pages``: it gets no tickets."""

    name: str
    channel: Channel
    per_minute: int
    is_for_pages: bool

    def takes(self, rule: AlertRule) -> bool:
        """Return whether the alerts of a rule go here."""
        if self.is_for_pages and rule.severity != "page":
            return False
        return not rule.channels or self.name in rule.channels


class Alerting:
    """Tells people. Nothing that a channel does ends it."""

    def __init__(
        self,
        *,
        figures: Figures,
        rules: Sequence[AlertRule],
        channels: Sequence[AlertChannel],
        book: AlertBook,
        clock: Clock,
        rounds: Rounds,
        runbook_url: str,
    ) -> None:
        self._figures = figures
        self._rules = list(rules)
        self._channels = list(channels)
        self._book = book
        self._clock = clock
        self._rounds = rounds
        self._runbook_url = runbook_url
        self._watches = {rule.name: Watch() for rule in rules}
        self._is_known: set[str] = set()
        self._is_ledger_away = False
        # One at a time: a limiter of `per_minute` would let twice as many out in a minute.
        self._limiters = {each.name: AsyncLimiter(1, 60 / each.per_minute) for each in channels}

    async def run(self, stopping: asyncio.Event) -> None:
        """Read, judge and tell until ``stopping`` is set."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._rounds.run(stopping, self.round, pause_s=_ROUND_S))
                for each in self._channels:
                    group.create_task(self._tell_until(stopping, each))
        finally:
            await self._figures.close()
            for each in self._channels:
                await each.channel.close()

    async def round(self) -> bool:
        """Read the figures and judge every rule once; nothing is left then."""
        values = await self._figures.read()
        self._is_ledger_away = values.get("postgres_unavailable", 0.0) > 0
        now_s = self._clock.monotonic_s()
        for rule in self._rules:
            value = values.get(rule.figure)
            if value is not None:
                self._is_known.add(rule.name)
            state = alerts.judge(rule, self._watches[rule.name], value, now_s)
            metrics.ALERT_FIRING.labels(rule.name).set(state == "firing")
        return False

    async def tell(self, to: AlertChannel) -> bool:
        """Tell a channel what it is to be told now; return whether it took it, or needed none."""
        rules = {rule.name: rule for rule in self._rules if to.takes(rule)}
        # A figure that was never known says nothing, also not that all is well again.
        states: dict[str, State] = {
            name: self._watches[name].state for name in rules if name in self._is_known
        }
        if not states:
            return True
        values = {name: self._watches[name].value for name in states}
        claimed = await self._book.claim(
            to.name, states, values, is_ledger_away=self._is_ledger_away
        )
        is_taken = True
        for start in range(0, len(claimed), _MESSAGES_MAX):
            names = claimed[start : start + _MESSAGES_MAX]
            is_taken = await self._send(to, {name: rules[name] for name in names}, states)
        return is_taken

    async def _send(
        self, to: AlertChannel, rules: Mapping[str, AlertRule], states: Mapping[str, State]
    ) -> bool:
        messages = [
            alerts.message(
                rule,
                states[name],
                self._watches[name].value,
                self._clock.now(),
                runbook_url=self._runbook_url,
            )
            for name, rule in rules.items()
        ]
        async with self._limiters[to.name]:
            reason = await to.channel.send(messages)
        metrics.ALERT_MESSAGES.labels(to.name, "refused" if reason else "taken").inc(len(messages))
        if reason:
            _log.error("a channel did not take an alert", extra={"to": to.name, "reason": reason})
            return False
        for each in messages:
            _log.warning("told of an alert", extra={"to": to.name, "alert": alerts.title(each)})
        await self._book.told(to.name, {name: states[name] for name in rules})
        return True

    async def _tell_until(self, stopping: asyncio.Event, to: AlertChannel) -> None:
        while not stopping.is_set():
            await self.tell(to)
            await lifecycle.pause(stopping, _TELL_S)
