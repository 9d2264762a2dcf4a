"""The hand-off: dispatchers and receivers are killed, and the servers behind the dispatcher."""

import asyncio
from collections.abc import Sequence

from loadtest.ledger_contents import Stored
from loadtest.verify import Check
from ops.embedded.cluster import PRIMARY, REPLICA
from tests.support.cable import Cable
from tests.torture.fault import Fault
from tests.torture.world import Member, World

#: Seconds that a dispatcher or a receiver lives before it is killed: half of it is its start.
_LIFE_S = (0.2, 2.5)
_STALLED = "tidegate_outbox_waiting rises while PostgreSQL is unavailable, and falls by itself."
#: What was promised before the primary was lost is on the replica.
_SYNCHRONOUS = "ALTER SYSTEM SET synchronous_standby_names = '*'"


class HandOff(Fault):
    """A fault with a target that is told of every change."""

    targets = 1
    sees = _STALLED


class DispatcherAndReceiverKilled(HandOff):
    """Dispatchers and the receiver are killed at random moments, alone and together."""

    name = "hand-off: dispatcher and receiver killed"
    sees = "Deliveries stop for seconds and go on; some events come twice, under the same id."
    do = "Nothing: what a killed worker had claimed is sent again when its lease is over."
    workers = 2
    lasts_s = quick_s = 0.0
    rate, senders = 100.0, 16

    async def strike(self, world: World) -> None:
        for n in range(world.cycles):
            await asyncio.sleep(world.rng.uniform(*_LIFE_S))
            victims: list[Member] = [world.workers[n % 2], *world.receivers]
            if alone := world.rng.randrange(3):
                victims = victims[alone - 1 : alone]
            await _kill(victims)
            if n and n % 25 == 0:
                world.say(f"{n} of {world.cycles} kills")


class AcknowledgedTooEarly(DispatcherAndReceiverKilled):
    """Control: a dispatcher that takes a delivery for done before it was answered."""

    name = "control: hand-off, delivered before it was answered"
    sees = "Nothing: only who counts the deliveries finds it."
    is_control = True
    breaks = "events delivered at least once"

    async def prepare(self, world: World) -> None:
        for worker in world.workers:
            worker.module = "tests.torture.hasty_worker"


class PostgresKilled(HandOff):
    """The primary is killed and restarted."""

    name = "hand-off: postgres killed"
    refusals = frozenset({503})
    expects_202 = True
    lasts_s = 10.0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)

    async def mend(self, world: World) -> None:
        await world.restart_server(PRIMARY)


class PostgresFrozen(HandOff):
    """Every process of the primary is stopped for a while."""

    name = "hand-off: postgres frozen"
    refusals = frozenset({503})
    expects_202 = True
    lasts_s, quick_s = 20.0, 4.0

    async def strike(self, world: World) -> None:
        world.freeze(PRIMARY)

    async def mend(self, world: World) -> None:
        world.thaw(PRIMARY)


class FailedOver(HandOff):
    """The primary is lost for good; its replica, which confirmed each commit, takes over."""

    name = "hand-off: postgres failed over"
    refusals = frozenset({503})
    expects_202 = True
    replica = True
    lasts_s, quick_s = 5.0, 2.0

    def __init__(self) -> None:
        self._cable: Cable | None = None

    async def prepare(self, world: World) -> None:
        """Gateways and workers reach the primary through a cable, and know no replica."""
        async with world.admin() as connection:
            await connection.execute(_SYNCHRONOUS)
            await connection.execute("SELECT pg_reload_conf()")
        self._cable = cable = Cable(world.settings.database_url)
        await cable.lay()
        world.change(database_url=cable.url, replica_urls="")

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)

    async def mend(self, world: World) -> None:
        """The operator promotes the replica and has the address of the primary lead there."""
        assert self._cable is not None, "prepare lays it"
        await world.fail_over()
        self._cable.redirect(world.database_url)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        port = str(world.servers.port(REPLICA))
        return [Check("the replica is the primary", True, port in world.database_url)]

    async def release(self, world: World) -> None:
        if self._cable is not None:
            await self._cable.remove()


async def _kill(victims: list[Member]) -> None:
    """Kill them at one instant, and wait until each was started again."""
    old = [victim.process for victim in victims]
    for victim in victims:
        victim.kill()
    while any(victim.process is process for victim, process in zip(victims, old, strict=True)):
        await asyncio.sleep(0.02)


FAULTS: list[Fault] = [
    DispatcherAndReceiverKilled(), AcknowledgedTooEarly(), PostgresKilled(), PostgresFrozen(),
    FailedOver(),
]  # fmt: skip
