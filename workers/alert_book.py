"""Who tells a channel of an alert, so that several workers send one message and not several.

The ledger decides while it answers. While it does not, Redis does; while both are away, each worker
tells for itself: too many messages are better than none.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from gateway.domain.alerts import State
from gateway.domain.errors import Unavailable
from gateway.runtime.clock import Clock
from gateway.stores.postgres.alerts import Claimed

#: Seconds after which another worker tells a channel what the one that claimed it did not.
CLAIM_S = 15.0
#: Seconds after which a channel is told again of what still fires.
REPEAT_S = 4 * 3600.0


class Ledger(Protocol):
    """The claims in PostgreSQL. Calls raise ``Unavailable``."""

    async def claim(
        self, channel: str, states: Mapping[str, State], values: Mapping[str, float], now: datetime
    ) -> Claimed:
        """Return what is to be told now, and what was told already."""
        ...

    async def told(self, channel: str, states: Mapping[str, State], now: datetime) -> None:
        """Record what was told."""
        ...


class Fallback(Protocol):
    """Claims without the ledger. Calls raise ``Unavailable``."""

    async def claim(self, channel: str, states: Mapping[str, State]) -> list[str]:
        """Return what is to be told now."""
        ...

    async def told(self, channel: str, states: Mapping[str, State]) -> None:
        """Record what was told."""
        ...


class _Told(Struct):
    state: State
    claimed_s: float
    told_s: float | None


class OwnClaims:
    """The claims of a process that is alone."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], _Told] = {}

    async def claim(self, channel: str, states: Mapping[str, State]) -> list[str]:
        """Return what is to be told now."""
        now_s = self._clock.monotonic_s()
        claimed = []
        for rule, state in states.items():
            before = self._known.get((channel, rule))
            if _is_due(before, state, now_s):
                self._known[channel, rule] = _Told(state, now_s, None)
                claimed.append(rule)
        return claimed

    async def told(self, channel: str, states: Mapping[str, State]) -> None:
        """Record what was told."""
        for rule, state in states.items():
            if (known := self._known.get((channel, rule))) and known.state == state:
                known.told_s = self._clock.monotonic_s()


def _is_due(before: _Told | None, state: State, now_s: float) -> bool:
    if before is None:
        return state == "firing"
    if before.state != state:
        return True
    if before.told_s is None:
        return now_s - before.claimed_s >= CLAIM_S
    return state == "firing" and now_s - before.told_s >= REPEAT_S


class AlertBook:
    """The claims of a worker: in the ledger, or wherever there are any now."""

    def __init__(self, *, ledger: Ledger, redis: Fallback | None, clock: Clock) -> None:
        self._ledger = ledger
        own = OwnClaims(clock=clock)
        self._fallbacks: list[Fallback] = [own] if redis is None else [redis, own]
        self._clock = clock
        #: What the channels were told, as far as this process knows.
        self._told: dict[tuple[str, str], State] = {}
        #: What was told of without the ledger: who has to take it back.
        self._elsewhere: dict[tuple[str, str], Fallback] = {}

    async def claim(
        self,
        channel: str,
        states: Mapping[str, State],
        values: Mapping[str, float],
        *,
        is_ledger_away: bool,
    ) -> list[str]:
        """Return the rules that this worker is to tell the channel of now. Never raises.

        ``is_ledger_away``: it is known not to answer, and is not asked.
        """
        # What was told of elsewhere is taken back there, once.
        rules = await self._taken_back(channel, states)
        others = {
            rule: state
            for rule, state in states.items()
            if (channel, rule) not in self._elsewhere and rule not in rules
        }
        if is_ledger_away:
            return rules + await self._without_ledger(channel, others)
        try:
            answer = await self._ledger.claim(channel, others, values, self._clock.now())
        except Unavailable:
            return rules + await self._without_ledger(channel, others)
        for rule, state in answer.told.items():
            self._told[channel, rule] = state
        return rules + answer.rules

    async def told(self, channel: str, states: Mapping[str, State]) -> None:
        """Record what the channel was told. What cannot be recorded is told again."""
        by_ledger = {}
        for rule, state in states.items():
            self._told[channel, rule] = state
            elsewhere = self._elsewhere.get((channel, rule))
            if elsewhere is None:
                by_ledger[rule] = state
                continue
            try:
                await elsewhere.told(channel, {rule: state})
            except Unavailable:
                continue
            if state == "resolved":
                del self._elsewhere[channel, rule]
        if by_ledger:
            try:
                await self._ledger.told(channel, by_ledger, self._clock.now())
            except Unavailable:
                return

    async def _taken_back(self, channel: str, states: Mapping[str, State]) -> list[str]:
        rules = []
        for rule, state in states.items():
            elsewhere = self._elsewhere.get((channel, rule))
            if elsewhere is None:
                continue
            try:
                claimed = await elsewhere.claim(channel, {rule: state})
            except Unavailable:
                continue
            rules += claimed
            if state == "resolved" and not claimed:
                # Another worker takes it back.
                del self._elsewhere[channel, rule]
                self._told[channel, rule] = state
        return rules

    async def _without_ledger(self, channel: str, states: Mapping[str, State]) -> list[str]:
        # What the channel knows already is not told again because the ledger is away.
        news = {
            rule: state
            for rule, state in states.items()
            if state != self._told.get((channel, rule), "resolved")
        }
        if not news:
            return []
        for fallback in self._fallbacks:
            try:
                claimed = await fallback.claim(channel, news)
            except Unavailable:
                continue
            # Also what another worker claimed: that one may die before it takes it back.
            for rule in news:
                self._elsewhere[channel, rule] = fallback
            return claimed
        return []
