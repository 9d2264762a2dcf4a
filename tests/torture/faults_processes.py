"""Gateways and workers are killed, terminated and frozen."""

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
#: Longer than a worker takes to drain what was journaled in an outage.
_DRAINED_S = 4.0


class GatewaysKilled(Fault):
    """Two gateways are killed again and again, at named points of their work, each on its own."""

    name = "gateway killed"
    sees = "The gateway's process is gone and restarted; senders see a closed connection."
    do = "Find the cause (`dmesg`: out of memory?); nothing is lost meanwhile."
    gateways = 2
    lasts_s = quick_s = 0.0
    rate, senders = 300.0, 48

    async def strike(self, world: World) -> None:
        left = iter(range(world.cycles))
        killed_at: Counter[str] = Counter()
        async with asyncio.TaskGroup() as killers:
            for gateway in world.gateways:
                killers.create_task(self._kill(world, gateway, left, killed_at))
        world.say(f"killed at {dict(killed_at)}")

    async def _kill(
        self, world: World, gateway: Member, left: Iterator[int], killed_at: Counter[str]
    ) -> None:
        async with world.admin() as admin:
            for n in left:
                while not await world.is_ready(gateway):
                    await asyncio.sleep(0.02)
                await asyncio.sleep(world.rng.uniform(0.0, _LIFE_S))
                point = kill_points.POINTS[n % len(kill_points.POINTS)]
                old_process = gateway.process
                killed_at[await kill_points.kill_at(point, gateway, admin)] += 1
                while gateway.process is old_process:
                    await asyncio.sleep(0.02)
                if n and n % 50 == 0:
                    world.say(f"{n} of {world.cycles} kills")


class GatewaysTerminated(Fault):
    """Gateways get SIGTERM, one after the other, under load."""

    name = "gateway terminated"
    sees = "As in a deployment: each gateway drains and exits with 0, the next takes over."
    gateways = 2
    lasts_s = quick_s = 0.0
    refusals = frozenset({NOT_CONNECTED})

    async def strike(self, world: World) -> None:
        for n in range(2 if world.is_quick else 10):
            gateway = world.gateways[n % 2]
            old_process = gateway.process
            gateway.end(signal.SIGTERM)
            while gateway.process is old_process or not await world.is_ready(gateway):
                await asyncio.sleep(0.05)


class GatewayFrozen(Fault):
    """One of two gateways is stopped with SIGSTOP."""

    name = "gateway frozen"
    sees = "One gateway answers nothing, not even /healthz; the other works."
    do = "Remove it from the load balancer and restart it; when thawed, it continues by itself."
    gateways = 2
    lasts_s, quick_s = 40.0, 6.0
    senders = 64

    async def strike(self, world: World) -> None:
        world.gateways[0].stop()

    async def mend(self, world: World) -> None:
        world.gateways[0].send(signal.SIGCONT)


class GatewayKilledMeanwhile(Fault):
    """Every gateway is killed while PostgreSQL is down, and starts without it."""

    name = "gateway killed while postgres is away"
    sees = "Gateways start without PostgreSQL and journal orders; API keys are read from a replica."
    expects_202 = True
    gateways = 2
    replica = True
    lasts_s, quick_s = 10.0, 4.0

    def __init__(self) -> None:
        self._killed_s = 0.0
        self._journaled_s = 0.0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)
        await asyncio.sleep(1.0)
        for gateway in world.gateways:
            gateway.kill()
        self._killed_s = time.monotonic()

    async def mend(self, world: World) -> None:
        self._journaled_s = world.crowd.last_s.get(202, 0.0)
        await world.restart_server(PRIMARY)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        # Only orders are answered 202; those in flight at the kill were answered before it.
        is_late = self._journaled_s > self._killed_s + 0.5
        return [Check("gateways that started without postgres journal", True, is_late)]


class WorkerFrozen(Fault):
    """One of two workers is stopped after it has read entries of the journal."""

    name = "worker frozen"
    sees = "tidegate_journal_oldest_seconds stays up until the other worker takes over."
    do = "Restart the frozen worker; the others take over its entries after 15 s."
    expects_202 = True
    workers = 2
    lasts_s, quick_s = 40.0, 4.0

    def __init__(self) -> None:
        self._held = self._left = 0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)
        await asyncio.sleep(_OUTAGE_S)
        # Both have read entries that they cannot flush to the ledger now.
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
        return [held, Check("entries that were not taken over from it", 0, self._left)]


class WorkerKilled(Fault):
    """Workers are killed again and again while they drain."""

    name = "worker killed"
    sees = "The worker's process is gone and restarted; the journal drains more slowly."
    expects_202 = True
    workers = 2
    lasts_s = quick_s = 0.0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)
        await asyncio.sleep(_OUTAGE_S)
        await world.restart_server(PRIMARY)
        for n in range(max(4, world.cycles // 10)):
            worker = world.workers[n % 2]
            old_process = worker.process
            worker.kill()
            while worker.process is old_process:
                await asyncio.sleep(0.02)
            await asyncio.sleep(world.rng.uniform(0.3, 1.5))


class NoWorker(Fault):
    """Control: the journal fills and no worker drains it, which must not count as a recovery."""

    name = "control: no worker"
    sees = "tidegate_journal_oldest_seconds keeps rising."
    do = "Start a worker."
    is_control = True
    breaks = "everything recovered in time"
    workers = 0
    lasts_s = quick_s = 2.0
    recovers_s = 8.0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)

    async def mend(self, world: World) -> None:
        await world.restart_server(PRIMARY)


class DiesByItself(Fault):
    """Control: a gateway that ends by itself must be reported."""

    name = "control: gateway that dies by itself"
    sees = "The gateway is restarted again and again."
    is_control = True
    breaks = "processes that ended by themselves"
    lasts_s = quick_s = 1.0
    refusals = frozenset({503, NO_ANSWER, NOT_CONNECTED})

    async def strike(self, world: World) -> None:
        world.gateways[0].send(signal.SIGABRT)


FAULTS = (
    GatewaysKilled(), GatewaysTerminated(), GatewayFrozen(), GatewayKilledMeanwhile(),
    WorkerFrozen(), WorkerKilled(), NoWorker(), DiesByItself(),
)  # fmt: skip
