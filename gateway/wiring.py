"""Opens the stores in order, introduces the parts to each other, closes in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
from msgspec import Struct

from gateway.intake.accept import Intake
from gateway.intake.committer import Committer
from gateway.runtime.clock import Clock, SystemClock
from gateway.runtime.ids import UUIDv7
from gateway.runtime.settings import Settings
from gateway.stores import sealing
from gateway.stores.postgres import pools
from gateway.stores.postgres.ledger import Ledger
from gateway.stores.postgres.replicas import Readers
from gateway.stores.postgres.upkeep import Upkeep
from gateway.stores.redis import results


class Stores(Struct):
    """The opened stores."""

    primary: "asyncpg.Pool[asyncpg.Record]"
    primary_reads: "asyncpg.Pool[asyncpg.Record]"
    replicas: list["asyncpg.Pool[asyncpg.Record]"]
    results: results.Results | results.NoResults
    sealer: sealing.Sealer


class Gateway(Struct):
    """What every process has: the way in, and the stores behind it."""

    settings: Settings
    clock: Clock
    new_id: UUIDv7
    stores: Stores
    committer: Committer
    intake: Intake
    readers: Readers
    upkeep: Upkeep


@asynccontextmanager
async def open_gateway(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Gateway]:
    """Lend the parts of a process; what was accepted is finished before the stores close.

    Raises ``Unavailable`` when the primary does not answer and ``SealingError`` without a ring.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        stores = await _open_stores(settings, clock, stack)
        new_id = UUIDv7()
        ledger = Ledger(pool=stores.primary, sealer=stores.sealer, new_id=new_id)
        committer = Committer(ledger=ledger, results=stores.results, settings=settings)
        stack.push_async_callback(committer.drain)
        yield Gateway(
            settings=settings,
            clock=clock,
            new_id=new_id,
            stores=stores,
            committer=committer,
            intake=Intake(
                committer=committer,
                clock=clock,
                new_id=new_id,
                policies=settings.channel_policies(),
            ),
            readers=Readers(
                primary=stores.primary_reads,
                replicas=stores.replicas,
                clock=clock,
                wait_s=settings.replica_wait_s,
                query_s=settings.query_s,
            ),
            upkeep=Upkeep(pool=stores.primary),
        )


async def _open_stores(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Stores:
    sealer = sealing.Sealer(sealing.load_ring(Path(settings.keyring_file)))
    primary = await pools.open_writers(settings)
    stack.push_async_callback(_close, primary)
    primary_reads = await pools.open_readers(settings)
    stack.push_async_callback(_close, primary_reads)
    replicas = []
    for url in pools.replica_urls(settings):
        replica = await pools.open_replica(url, settings)
        stack.push_async_callback(_close, replica)
        replicas.append(replica)
    remembered: results.Results | results.NoResults = results.NoResults()
    if settings.redis_url:
        remembered = results.Results(
            lines=results.Lines(settings.redis_url, call_s=settings.redis_s),
            clock=clock,
            ttl_s=settings.results_ttl_s,
            pause_s=settings.redis_pause_s,
        )
    stack.push_async_callback(remembered.close)
    return Stores(primary, primary_reads, replicas, remembered, sealer)


async def _close(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    # Whatever still runs was given its time by the drain before.
    pool.terminate()
