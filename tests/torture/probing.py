"""Check the system from outside, as an operator would."""

import asyncio
import time

import aiohttp
import asyncpg
import redis

from loadtest.history import JOURNALED
from loadtest.verify import Check, every
from tests.torture import reader
from tests.torture.world import World

_READS_AT_ONCE = 16
_CREATED = 201
#: Seconds in which reads must be taken again once all is well. A tier that opened comes back after
#: 10 s at least, 5 of them quiet, and step by step in another 10; each relapse doubles the quiet
#: time, up to a minute.
_READS_BACK_S = 120.0
_PAIRS = """
SELECT count(*) FROM waiting w JOIN orders o ON o.order_no = w.order_no
   AND o.channel = ANY (w.channels)
"""
#: The errors of a client while its server is unavailable.
_UNAVAILABLE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    redis.RedisError,
)


async def ailing(world: World, *, since_s: float) -> str:
    """Return what has not recovered yet; "" when everything has."""
    if world.crowd.last_s.get(_CREATED, 0.0) < since_s:
        return "no order was committed since the repair"
    for gateway in world.gateways:
        if not await world.is_ready(gateway):
            return f"{gateway.name} is not ready"
    try:
        if journaled := await world.journaled():
            return f"{journaled} entries are in the journal"
        async with asyncio.timeout(1), world.admin() as connection:
            if pairs := await connection.fetchval(_PAIRS):
                return f"{pairs} events wait although their orders are stored"
    except _UNAVAILABLE_ERRORS as exc:
        return f"{type(exc).__name__}: {exc}"
    return ""


async def ids_resolve(world: World) -> tuple[Check, float]:
    """Read the order of every id that came with a 202: it must stay valid.

    Return the seconds too until all were answered: reads are shed for a while after a fault, and
    who is asked to come back does.
    """
    promised = {
        answer.id: order.order_no
        for order in world.shoppers.history.orders.values()
        for answer in order.answers
        if answer.status == JOURNALED
    }
    slots = asyncio.Semaphore(_READS_AT_ONCE)
    url = f"http://127.0.0.1:{world.gateways[0].port}"
    headers = {"Authorization": f"Bearer {world.token}"}
    began_s = time.monotonic()
    until_s = began_s + _READS_BACK_S
    async with aiohttp.ClientSession(url, headers=headers) as client:

        async def fault_of(id_: str, order_no: str) -> str:
            async with slots:
                read = await reader.read_patiently(client, id_, until_s=until_s)
            found = read.body.get("order_no")
            is_right = read.status == 200 and found == order_no
            return "" if is_right else f"{id_} of {order_no}: {found}, {read}"

        faults = await asyncio.gather(*[fault_of(*each) for each in promised.items()])
    return every("ids answered with 202 resolve", faults), time.monotonic() - began_s
