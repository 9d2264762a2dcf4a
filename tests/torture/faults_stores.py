"""The servers behind the gateway are killed, frozen, blocked by a lock, or lose their data."""

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio

from loadtest.ledger_contents import Stored
from loadtest.verify import Check
from ops.embedded.cluster import JOURNAL, PRIMARY, VALKEY
from tests.torture.fault import Fault
from tests.torture.world import World

_JOURNALING = "Orders are answered 202 and tidegate_journal_entries rises; /readyz names postgres."


class Killed(Fault):
    """Servers are killed, and restarted in reverse order."""

    def __init__(self, name: str, *servers: str, sees: str, **changes: Any) -> None:
        self.name = name
        self.sees = sees
        self._servers = servers
        for attribute, value in changes.items():
            setattr(self, attribute, value)

    async def strike(self, world: World) -> None:
        for name in self._servers:
            await world.kill_server(name)

    async def mend(self, world: World) -> None:
        for name in reversed(self._servers):
            await world.restart_server(name)


class Frozen(Fault):
    """Every process of the primary is stopped: connections stay open without an answer."""

    name = "postgres frozen"
    sees = _JOURNALING
    do = "Find out what blocks the machine; fail over when it does not recover."
    expects_202 = True
    lasts_s, quick_s = 20.0, 4.0
    refusals = frozenset({503})

    async def strike(self, world: World) -> None:
        world.freeze(PRIMARY)

    async def mend(self, world: World) -> None:
        world.thaw(PRIMARY)


class Locked(Fault):
    """Another session locks the table of orders and does not end its transaction."""

    name = "orders locked"
    sees = "As when PostgreSQL is unavailable, while it answers everything else."
    do = "Find the blocker with pg_blocking_pids() of a waiting statement; pg_terminate_backend()."
    expects_202 = True
    lasts_s, quick_s = 15.0, 4.0
    refusals = frozenset({503})

    async def strike(self, world: World) -> None:
        self._holding = asyncio.create_task(self._hold(world), name="hold the lock")

    async def _hold(self, world: World) -> None:
        async with world.admin() as connection, connection.transaction():
            await connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            await asyncio.Event().wait()

    async def mend(self, world: World) -> None:
        self._holding.cancel()
        await asyncio.wait({self._holding})


class Emptied(Fault):
    """The server of the results loses all its data, again and again."""

    name = "valkey emptied"
    sees = "Repeats cost a look-up in PostgreSQL for some minutes; nothing else."
    lasts_s = quick_s = 0.0
    refusals = frozenset()

    async def strike(self, world: World) -> None:
        client = redis.asyncio.Redis.from_url(world.servers.redis_url, protocol=2)
        async with client:
            for _ in range(10 if world.is_quick else 50):
                await client.flushall()
                await asyncio.sleep(0.2)


class JournalToo(Fault):
    """PostgreSQL is killed; then the journal is killed and restarted; then PostgreSQL is."""

    name = "journal killed while postgres is away"
    sees = "202, then 503 while the journal is down too, then 202 again."
    expects_202 = True
    lasts_s, quick_s = 5.0, 2.0

    def __init__(self) -> None:
        self._before = self._after = 0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)
        await asyncio.sleep(2.0)
        await world.kill_server(JOURNAL)
        await asyncio.sleep(2.0)
        self._before = world.shoppers.history.statuses().get(202, 0)
        await world.restart_server(JOURNAL)

    async def mend(self, world: World) -> None:
        self._after = world.shoppers.history.statuses().get(202, 0)
        await world.restart_server(PRIMARY)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        is_back = self._after > self._before
        return [Check("the journal is used again when it is back", True, is_back)]


class JournalWiped(Fault):
    """Control: what was answered 202 is wiped, which must be reported as lost."""

    name = "control: journal wiped while postgres is away"
    sees = "tidegate_journal_entries falls to 0 while PostgreSQL is down: it was wiped."
    do = "Restore the append-only file: what was answered 202 is stored nowhere else."
    is_control = True
    breaks = "acknowledged orders stored once"
    lasts_s = quick_s = 1.0

    async def strike(self, world: World) -> None:
        await world.kill_server(PRIMARY)
        await asyncio.sleep(2.0)
        async with world.journal() as client:
            await client.flushall()

    async def mend(self, world: World) -> None:
        await world.restart_server(PRIMARY)


class Damaged(Fault):
    """Control: the ledger is changed by other means, which must be reported."""

    is_control = True
    lasts_s = quick_s = 0.0
    sees = "Nothing: only the verifier finds it."
    do = "Restore from a backup."

    def __init__(self, name: str, *statements: str, breaks: str) -> None:
        self.name = f"control: {name}"
        self.breaks = breaks
        self._statements = statements

    async def strike(self, world: World) -> None:
        async with world.admin() as connection:
            for statement in self._statements:
                await connection.execute(statement)


_ONE = "(SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT 1)"
FAULTS = (
    Killed(
        "postgres killed", PRIMARY, sees=_JOURNALING, expects_202=True, lasts_s=10.0,
        refusals=frozenset({503}),
    ),
    Frozen(),
    Locked(),
    Killed(
        "valkey killed", VALKEY, refusals=frozenset(),
        sees="/readyz names redis; repeats cost a look-up in PostgreSQL.",
    ),
    Emptied(),
    Killed(
        "journal killed", JOURNAL, refusals=frozenset(),
        sees="/readyz names the journal; orders are committed as ever.",
    ),
    JournalToo(),
    Killed(
        "both stores killed", PRIMARY, JOURNAL, VALKEY, lasts_s=10.0,
        sees="Everything is answered 503 with Retry-After; providers send again by themselves.",
    ),
    JournalWiped(),
    Damaged(
        "an order deleted", f"DELETE FROM orders WHERE id = {_ONE}",
        breaks="acknowledged orders stored once",
    ),
    Damaged(
        "an order doubled", "DROP INDEX orders_order_no",
        "INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object("
        f"'id', gen_random_uuid(), 'request_id', null))).* FROM orders o WHERE id = {_ONE}",
        breaks="orders stored that were never sent",
    ),
)  # fmt: skip
