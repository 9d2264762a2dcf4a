"""Kill a gateway at a chosen point of its work, found from outside.

A table is locked until a statement of the gateway waits for it. The point is known then: the
gateway can be killed there, or stopped and killed when its statement has ended.
"""

import asyncio
from typing import Any, Literal, get_args

import psutil  # type: ignore[import-untyped]  # it ships no types

from tests.torture.world import Member

#: Anywhere; during a statement; between two statements of a transaction; between commit and answer.
Point = Literal["random", "statement", "transaction", "unanswered"]
POINTS: tuple[Point, ...] = get_args(Point)

_WAIT_S = 0.4
_POLL_INTERVAL_S = 0.005
#: Placements are one statement and begin with the fingerprints; follow-ups are a transaction and
#: begin with their orders.
_LOCKS = {
    "statement": "LOCK TABLE fingerprints IN EXCLUSIVE MODE",
    "unanswered": "LOCK TABLE fingerprints IN EXCLUSIVE MODE",
    "transaction": "LOCK TABLE orders IN EXCLUSIVE MODE",
}
#: The state of a connection whose statement has ended while its process is stopped.
_AFTER = {"unanswered": "idle", "transaction": "idle in transaction"}
_STATES = """
SELECT client_port, state, wait_event_type FROM pg_stat_activity WHERE client_port = ANY ($1)
"""


async def kill_at(point: Point, member: Member, admin: Any) -> Point:
    """Kill the gateway at this point, or anywhere if it does not reach it; return the point.

    ``admin`` is a connection to the primary.
    """
    is_there = point == "random"
    if point != "random":
        async with admin.transaction():
            await admin.execute(_LOCKS[point])
            waiters = await _waiters(member, admin)
            if point != "statement":
                member.stop()
        is_there = bool(waiters) and (
            point == "statement" or _AFTER[point] in await _ended(waiters, member, admin)
        )
    member.kill()
    return point if is_there else "random"


async def _waiters(member: Member, admin: Any) -> set[int]:
    """Wait until statements of the gateway wait for a lock; return their client ports."""
    for _ in range(int(_WAIT_S / _POLL_INTERVAL_S)):
        if waiting := {port for port, _, event in await _states(member, admin) if event == "Lock"}:
            return waiting
        await asyncio.sleep(_POLL_INTERVAL_S)
    return set()


async def _ended(waiters: set[int], member: Member, admin: Any) -> set[str]:
    """Wait until these statements have ended; return the states of their connections."""
    states: set[str] = set()
    for _ in range(int(_WAIT_S / _POLL_INTERVAL_S)):
        states = {state for port, state, _ in await _states(member, admin) if port in waiters}
        if "active" not in states:
            break
        await asyncio.sleep(_POLL_INTERVAL_S)
    return states


async def _states(member: Member, admin: Any) -> list[tuple[int, str, str]]:
    try:
        connections = psutil.Process(member.pid).net_connections("tcp")
    except psutil.NoSuchProcess:
        return []
    ports = [connection.laddr.port for connection in connections]
    return [tuple(row) for row in await admin.fetch(_STATES, ports)]
