"""Gateways and workers are killed, told to end, and frozen."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from loadtest.history import NO_ANSWER, NOT_CONNECTED
from loadtest.ledger_contents import Stored
from loadtest.verify import Check
from ops.embedded.cluster import PRIMARY
from tests.torture import kill_points
from tests.torture.fault import Fault
from tests.torture.world import Member, World

#: Seconds that a gateway lives before it is killed, at most.
_LIFE_S = 0.5
_OUTAGE_S = 3.0
#: Longer than a worker takes for what was journaled in an outage.
_DRAINED_S = 4.0


class GatewaysKilled(Fault):
    """Two gateways die again and again, at named points of their work, never missing both."""

    name = "gateway killed"
    sees = "The gateway's process is gone and started again; senders see a cut connection."
    do = "Look for the killer (`dmesg`: out of memory?); nothing is lost meanwhile."
    gateways = 2
    lasts_s = quick_s = 0.0
    rate, senders = 300.0, 48

    async def strike(self, world: World) -> None:
        left = iter(range(world.cycles))
        met: Counter[str] = Counter()
        async with asyncio.TaskGroup() as killers:
            for gateway in world.gateways:
                killers.create_task(self._kill(world, gateway, left, met))
        world.say(f"killed at {dict(met)}")

    async def _kill(
        self, world: World, gateway: Member, left: Iterator[int], met: Counter[str]
    ) -> None:
        async with world.admin() as admin:
            for n in left:
                while not await world.is_ready(gateway):
                    await asyncio.sleep(0.02)
                await asyncio.sleep(world.rng.uniform(0.0, _LIFE_S))
                point = kill_points.POINTS[n % len(kill_points.POINTS)]
                died = gateway.process
                met[await kill_points.kill_at(point, gateway, admin)] += 1
                while gateway.process is died:
                    await asyncio.sleep(0.02)
                if n and n % 50 == 0:
                    world.say(f"{n} of {world.cycles} kills")


class GatewaysTerminated(Fault):
    """Gateways are told to end, one after the other, in the middle of it all."""

    name = "gateway terminated"
    sees = "A deployment: each gateway drains and ends with 0, the next takes over."
    gateways = 2
    lasts_s = quick_s = 0.0
    refusals = frozenset({NOT_CONNECTED})

    async def strike(self, world: World) -> None:
        for n in range(2 if world.is_quick else 10):
            gateway = world.gateways[n % 2]
            died = gateway.process
            gateway.end(signal.SIGTERM)
            while gateway.process is died or not await world.is_ready(gateway):
                await asyncio.sleep(0.05)


class GatewayFrozen(Fault):
    """One of two gateways stands still."""

    name = "gateway frozen"
    sees = "One gateway answers nothing, /healthz neither; the other works."
    do = "Take it out of the balancer and restart it; thawed, it goes on by itself."
    gateways = 2
    lasts_s, quick_s = 40.0, 6.0
    senders = 64

    async def strike(self, world: World) -> None:
        world.gateways[0].stop()

    async def mend(self, world: World) -> None:
        world.gateways[0].send(signal.SIGCONT)


class GatewayKilledMeanwhile(Fault):
    """Every gateway dies while PostgreSQL is away, and starts without it."""

    name = "gateway killed while postgres is away"
    sees = "Gateways start without PostgreSQL and journal; API keys are found on a replica."
    expects_202 = True
    gateways = 2
    replica = True
    lasts_s, quick_s = 10.0, 4.0

    def __init__(self) -> None:
        self._killed_s = 0.0
        self._promised_s = 0.0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)
        await asyncio.sleep(1.0)
        for gateway in world.gateways:
            gateway.kill()
        self._killed_s = time.monotonic()

    async def mend(self, world: World) -> None:
        self._promised_s = world.crowd.last_s.get(202, 0.0)
        await world.restart_server(PRIMARY)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        # Only orders are answered 202, and what was under way when they died was answered before.
        is_late = self._promised_s > self._killed_s + 0.5
        return [Check("gateways that started without postgres journal", True, is_late)]


class WorkerFrozen(Fault):
    """One of two workers stands still with entries of the journal in its hands."""

    name = "worker frozen"
    sees = "tidegate_journal_oldest_seconds stays up until the other worker takes over."
    do = "Restart the frozen worker; the others have what it held after 15 s."
    expects_202 = True
    workers = 2
    lasts_s, quick_s = 40.0, 4.0

    def __init__(self) -> None:
        self._held = self._left = 0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)
        await asyncio.sleep(_OUTAGE_S)
        # Both have read what they can not bring anywhere now.
        world.workers[0].stop()
        await world.restart_server(PRIMARY)
        await asyncio.sleep(_DRAINED_S)
        self._held = await world.journaled()

    async def mend(self, world: World) -> None:
        self._left = await world.journaled()
        world.workers[0].send(signal.SIGCONT)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        held = Check("the frozen worker held entries", True, self._held > 0)
        if world.is_quick:
            return [held]
        return [held, Check("entries that nobody took over from it", 0, self._left)]


class WorkerKilled(Fault):
    """Workers die again and again while they drain."""

    name = "worker killed"
    sees = "The worker's process is gone and started again; the journal empties more slowly."
    expects_202 = True
    workers = 2
    lasts_s = quick_s = 0.0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)
        await asyncio.sleep(_OUTAGE_S)
        await world.restart_server(PRIMARY)
        for n in range(max(4, world.cycles // 10)):
            worker = world.workers[n % 2]
            died = worker.process
            worker.kill()
            while worker.process is died:
                await asyncio.sleep(0.02)
            await asyncio.sleep(world.rng.uniform(0.3, 1.5))


class NobodyDrains(Fault):
    """Control: the journal fills and no worker empties it, which must not pass for a recovery."""

    name = "control: no worker"
    sees = "tidegate_journal_oldest_seconds rises and rises."
    do = "Start a worker."
    is_control = True
    breaks = "everything was well again in time"
    workers = 0
    lasts_s = quick_s = 2.0
    recovers_s = 8.0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)

    async def mend(self, world: World) -> None:
        await world.restart_server(PRIMARY)


class DiesByItself(Fault):
    """Control: a gateway that ends without having been told to must be noticed."""

    name = "control: gateway that dies by itself"
    sees = "The gateway is started again and again."
    is_control = True
    breaks = "processes that ended by themselves"
    lasts_s = quick_s = 1.0
    refusals = frozenset({503, NO_ANSWER, NOT_CONNECTED})

    async def strike(self, world: World) -> None:
        world.gateways[0].send(signal.SIGABRT)


FAULTS = (
    GatewaysKilled(), GatewaysTerminated(), GatewayFrozen(), GatewayKilledMeanwhile(),
    WorkerFrozen(), WorkerKilled(), NobodyDrains(), DiesByItself(),
)  # fmt: skip
