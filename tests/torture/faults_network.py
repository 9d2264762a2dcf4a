"""Slow, trickling, cut, half-open and flapping connections to each of the three servers."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from loadtest.ledger_contents import Stored
from loadtest.verify import Check
from ops.embedded.cluster import PRIMARY
from tests.support.cable import Cable
from tests.torture.fault import Fault
from tests.torture.world import World

_FLAP_S = 0.3


class Trouble(msgspec.Struct, frozen=True):
    """One way in which a connection can be bad."""

    name: str
    begin: Callable[[Cable], None]
    #: Repeats ``begin`` for as long as the fault lasts.
    flaps: bool = False


_SLOW = Trouble("slow", lambda cable: cable.slow(0.4))
_TRICKLING = Trouble("trickling", lambda cable: cable.trickle(64, 0.05))
_CUT = Trouble("cut", lambda cable: cable.cut())
_HALF_OPEN = Trouble("half-open", lambda cable: cable.silence())
_ONE_WAY = Trouble("answers lost", lambda cable: cable.lose("answered"))
_FLAPPING = Trouble("flapping", lambda cable: cable.reset(), flaps=True)
#: Slow, and still within ``journal_s``.
_SLOW_IN_TIME = Trouble("slow, in time", lambda cable: cable.slow(0.05))


class BadCable(Fault):
    """Inserts a cable before a server and disturbs it."""

    setting: Literal["database_url", "redis_url", "journal_url"]

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble
        self._cable: Cable | None = None

    async def prepare(self, world: World) -> None:
        """Gateways and workers reach the server through the cable."""
        self._cable = cable = Cable(getattr(world.settings, self.setting))
        await cable.lay()
        world.change(**{self.setting: cable.url})

    async def strike(self, world: World) -> None:
        """Disturb the cable; one that flaps does so for as long as the fault lasts."""
        self._trouble.begin(self._laid)
        if self._trouble.flaps:
            for _ in range(round((self.quick_s if world.is_quick else self.lasts_s) / _FLAP_S)):
                await asyncio.sleep(_FLAP_S)
                self._trouble.begin(self._laid)

    async def mend(self, world: World) -> None:
        """The cable works again."""
        self._laid.mend()

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """The cable was used."""
        used = "yes" if self._laid.connections else "no"
        return [Check("connections went over the cable", "yes", used)]

    async def release(self, world: World) -> None:
        """The cable is removed."""
        if self._cable is not None:
            await self._cable.remove()

    @property
    def _laid(self) -> Cable:
        assert self._cable is not None, "prepare lays it"
        return self._cable


class ToPostgres(BadCable):
    """Postgres works and its connections do not: orders are journaled."""

    setting = "database_url"
    sees = "202 instead of 201, the circuit breaker open, /readyz names postgres."
    do = "Check the network between gateway and primary; the drainer catches up by itself."

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.name = f"connections to postgres: {trouble.name}"
        # Between two resets most batches are committed, and the others are retried.
        self.expects_202 = not trouble.flaps


class ToResults(BadCable):
    """Committed results cannot be looked up: every repeat goes to Postgres, none is rejected."""

    setting = "redis_url"
    refusals = frozenset()
    sees = "Latency up by redis_s once per redis_pause_s, no rejections, /readyz names redis."
    do = "Check the network between gateway and Valkey; nothing depends on it meanwhile."

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.name = f"connections to valkey: {trouble.name}"


class ToJournal(BadCable):
    """Postgres is down and the connections to the journal are bad: 202 in time, else 503."""

    setting = "journal_url"
    sees = "503 with Retry-After while both are unavailable; 202 when the journal answers in time."
    do = "Restore either: the primary, or the network to the journal."

    def __init__(self, trouble: Trouble, *, is_usable: bool = False) -> None:
        super().__init__(trouble)
        self.name = f"postgres killed, connections to the journal: {trouble.name}"
        self.expects_202 = is_usable
        self._is_usable = is_usable

    async def strike(self, world: World) -> None:
        """Postgres is killed, then the cable disturbed."""
        await world.kill_server(PRIMARY)
        await super().strike(world)

    async def mend(self, world: World) -> None:
        """Both are repaired."""
        await super().mend(world)
        await world.restart_server(PRIMARY)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """Where neither was usable, clients were answered 503."""
        statuses = world.shoppers.history.statuses()
        rejected = "yes" if self._is_usable or statuses.get(503, 0) else "no"
        return [*await super().judge(world, found), Check("answered 503", "yes", rejected)]


FAULTS: list[Fault] = [
    *(ToPostgres(each) for each in (_SLOW, _TRICKLING, _CUT, _HALF_OPEN, _ONE_WAY, _FLAPPING)),
    *(ToResults(each) for each in (_SLOW, _TRICKLING, _CUT, _HALF_OPEN, _ONE_WAY, _FLAPPING)),
    *(ToJournal(each) for each in (_TRICKLING, _CUT, _HALF_OPEN, _ONE_WAY)),
    ToJournal(_SLOW_IN_TIME, is_usable=True),
]
