"""The hand-off: dispatchers and receivers are killed, and the servers behind the dispatcher."""

import asyncio

from tests.torture.fault import Fault
from tests.torture.world import Member, World

#: Seconds that a dispatcher or a receiver lives before it is killed: half of it is its start.
_LIFE_S = (0.2, 2.5)


class HandOff(Fault):
    """A fault with a target that is told of every change."""

    targets = 1


class DispatcherAndReceiverKilled(HandOff):
    """Dispatchers and the receiver are killed at random moments, alone and together."""

    name = "dispatcher and receiver killed"
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


async def _kill(victims: list[Member]) -> None:
    """Kill them at one instant, and wait until each was started again."""
    old = [victim.process for victim in victims]
    for victim in victims:
        victim.kill()
    while any(victim.process is process for victim, process in zip(victims, old, strict=True)):
        await asyncio.sleep(0.02)


FAULTS: list[Fault] = [DispatcherAndReceiverKilled()]
