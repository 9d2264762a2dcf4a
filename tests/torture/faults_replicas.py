"""The replica is killed or falls behind; the primary is killed while a replica is left."""

import asyncio
import time
from collections.abc import Sequence
from itertools import islice

import aiohttp
import asyncpg

from loadtest.ledger_contents import Stored
from loadtest.verify import Check, none
from ops.embedded.cluster import PRIMARY, REPLICA
from tests.support import databases
from tests.torture import reader
from tests.torture.fault import Fault
from tests.torture.world import World

_OK, _CREATED, _UNAVAILABLE = 200, 201, 503
_READ_EVERY_S = 0.05
#: Readers choose among so many of the newest orders.
_NEWEST = 50
#: The time-out of a read, longer than it may take.
_PATIENCE_S = 3.0


class Reading(Fault):
    """Recently acknowledged orders are read again and again.

    On a busy machine some reads are shed: they are counted separately and are no wrong answer.
    """

    replica = True
    lasts_s, quick_s = 30.0, 4.0
    refusals = frozenset()
    #: Statuses of a read that are allowed besides 200.
    read_refusals: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self._reading: asyncio.Task[None] | None = None
        self._odd: list[str] = []
        self._answers = self._aged = self._refused = self._shed = 0

    async def strike(self, world: World) -> None:
        await self.break_it(world)
        self._reading = asyncio.create_task(self._read(world), name="read")

    async def break_it(self, world: World) -> None:
        raise NotImplementedError

    async def _read(self, world: World) -> None:
        url = f"http://127.0.0.1:{world.gateways[0].port}"
        headers = {"Authorization": f"Bearer {world.token}"}
        timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
        async with aiohttp.ClientSession(url, headers=headers, timeout=timeout) as client:
            while True:
                await asyncio.sleep(_READ_EVERY_S)
                known = self._known(world)
                if known:
                    await self._read_one(client, world.rng.choice(known))

    def _known(self, world: World) -> list[str]:
        committed = (
            answer.id
            for order in reversed(world.shoppers.history.orders.values())
            for answer in order.answers[:1]
            if answer.status == _CREATED
        )
        return list(islice(committed, _NEWEST))

    async def _read_one(self, client: aiohttp.ClientSession, id_: str) -> None:
        began_s = time.monotonic()
        try:
            read = await reader.read_once(client, id_)
        except (TimeoutError, aiohttp.ClientError):
            read = reader.NOTHING
        if read.status == _OK:
            self._answers += 1
            self._aged += read.age is not None
        elif read.is_shed:
            self._shed += 1
        elif read.status in self.read_refusals:
            self._refused += 1
        else:
            self._odd.append(f"{read} after {time.monotonic() - began_s:.1f} s")

    async def mend(self, world: World) -> None:
        assert self._reading is not None, "strike starts it"
        self._reading.cancel()
        await asyncio.wait({self._reading})
        world.say(
            f"{self._answers} reads, {self._aged} of them with an age, {self._refused} rejected, "
            f"{self._shed} shed for load"
        )
        await self.repair(world)

    async def repair(self, world: World) -> None:
        raise NotImplementedError

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        return [
            none("failed reads of acknowledged orders", self._odd),
            Check("anything could be read", True, self._answers > 0),
        ]


class ReplicaKilled(Reading):
    """The replica is killed."""

    name = "replica killed"
    sees = 'tidegate_reads_total{where="primary"} rises; /readyz names the replica.'

    async def break_it(self, world: World) -> None:
        await world.kill_server(REPLICA)

    async def repair(self, world: World) -> None:
        await world.restart_server(REPLICA)


class ReplicaLagging(Reading):
    """The replica receives everything and replays nothing."""

    name = "replica lagging"
    sees = 'tidegate_reads_total{where="primary"} rises; `doctor` shows the replica lag.'

    async def break_it(self, world: World) -> None:
        await self._execute_on_replica(world, "SELECT pg_wal_replay_pause()")

    async def repair(self, world: World) -> None:
        await self._execute_on_replica(world, "SELECT pg_wal_replay_resume()")

    async def _execute_on_replica(self, world: World, statement: str) -> None:
        url = databases.admin_url(world.servers, server=REPLICA)
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class PrimaryKilledBesideReplica(Reading):
    """The primary is killed, and reads come from the replica alone."""

    name = "postgres killed, replica left"
    sees = "Orders are answered 202; reads come from the replica, with an Age header."
    expects_202 = True
    lasts_s = 10.0
    refusals = read_refusals = frozenset({_UNAVAILABLE})

    async def break_it(self, world: World) -> None:
        await world.kill_server(PRIMARY)

    async def repair(self, world: World) -> None:
        await world.restart_server(PRIMARY)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        aged = Check("reads without the primary have an Age header", True, self._aged > 0)
        return [*await super().judge(world, found), aged]


FAULTS = (ReplicaKilled(), ReplicaLagging(), PrimaryKilledBesideReplica())
