"""The real ledger in a few words: submit, tell, and look at what is stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec

from gateway.domain import events, orders
from gateway.domain.following import Done, FollowUp
from gateway.domain.placing import Placed, Placement
from gateway.runtime.settings import Settings
from gateway.wiring import Gateway, Replaying, open_gateway, replaying
from tests.domain import support
from tests.support.patience import HANG_S

TABLES = ("orders", "order_events", "payments", "waiting", "outbox", "parked", "raw_messages")

Database: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


def placement(
    gateway: Gateway, sent: orders.Submission, request_id: str | None = None
) -> Placement:
    """Check a submission as HTTP does and make it ready to store."""
    raw = msgspec.json.encode(sent)
    return gateway.intake.placement(sent, raw=raw, request_id=request_id, trigger="test")


async def submit(
    gateway: Gateway, sent: orders.Submission, request_id: str | None = None
) -> Placed:
    """Submit an order through the one way in."""
    return await gateway.intake.accept_order(placement(gateway, sent, request_id))


def replaying_in(gateway: Gateway) -> Replaying:
    """Return what replays of a gateway go through."""
    return replaying(
        pool=gateway.stores.primary,
        sealer=gateway.stores.sealer,
        settings=gateway.settings,
        policies=gateway.policies,
        clock=gateway.clock,
        new_id=gateway.new_id,
    )


def reported(
    gateway: Gateway, event: events.Event, key: str | None = None, **more: Any
) -> FollowUp:
    """Make ``event`` a callback of now, under a key of its own unless one is given."""
    now = datetime.now(UTC)
    made = {"id": gateway.new_id(), "received_at": now, **more}
    return support.follow_up(event, key or f"evt_{made['id']}", **made)


async def tell(gateway: Gateway, event: events.Event, key: str | None = None, **more: Any) -> Done:
    """Tell of an event through the one way in."""
    return await gateway.intake.accept_event(reported(gateway, event, key, **more))


async def rows(ledger: Database, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return these columns of a table in the order of its ids; one value a row stands bare."""
    found = await ledger.fetch(f"SELECT {', '.join(columns)} FROM {table} ORDER BY id")
    return [tuple(row) for row in found]


async def order(ledger: Database, order_no: str = "W-1") -> Mapping[str, Any]:
    """Return the stored order of this number."""
    found = await ledger.fetchrow("SELECT * FROM orders WHERE order_no = $1", order_no)
    assert found is not None, f"no order {order_no}"
    return dict(found)


async def counts(ledger: Database) -> dict[str, int]:
    """Return how many rows each table has."""
    return {table: await ledger.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}


@asynccontextmanager
async def gateways(*settings: Settings) -> AsyncIterator[list[Gateway]]:
    """Open a gateway for each of the settings, as so many processes would."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_gateway(each)) for each in settings]


def with_(settings: Settings, **changes: Any) -> Settings:
    """Return the settings, changed."""
    return msgspec.structs.replace(settings, **changes)


def alone(settings: Settings) -> Settings:
    """Return the settings of a gateway that shares the database alone, and has time for it.

    Without a journal: what a busy machine commits late would be acknowledged there, by each
    gateway for itself.
    """
    return with_(
        settings, redis_url="", replica_urls="", journal_url="", commit_s=HANG_S, drain_s=HANG_S + 1
    )


def at_once(coroutines: Sequence[Awaitable[Any]]) -> "asyncio.Future[list[Any]]":
    """Run all at the same instant; an exception is a result like others."""
    return asyncio.gather(*coroutines, return_exceptions=True)
