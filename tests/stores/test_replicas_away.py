"""Reads while servers are away: bounded on the primary, old and saying so on a replica."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from gateway.domain.errors import Unavailable
from gateway.runtime.clock import SystemClock
from gateway.runtime.settings import Settings
from gateway.stores.postgres import pools, read_limiter
from gateway.stores.postgres import primary as primary_module
from gateway.stores.postgres import replica as replica_module
from gateway.stores.postgres.api_keys import ApiKeys, digest
from gateway.stores.postgres.order_reader import Filter
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.replicas import Readers
from gateway.wiring import Gateway
from ops.embedded.cluster import Servers
from ops.harness.ports import free_port
from tests.domain.support import due
from tests.stores.support import at_once, gateways, submit, with_
from tests.stores.test_readers import paused_replay, reading, warm
from tests.support.cable import Cable, cable_to
from tests.support.patience import HANG_S, until

#: Far longer than a read may wait for a primary that is unavailable.
QUERY_S = 10.0


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenths of a second that a read has for each step may pass on a busy machine for nothing.

    A server that is silent is given up after a second here, and no read loses its turn.
    """
    for module in (read_limiter, primary_module, replica_module):
        monkeypatch.setattr(module, "ANSWER_S", 1.0)
    monkeypatch.setattr(read_limiter, "WAIT_S", HANG_S)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """How often the primary is asked for its position; one that fails is left alone for good."""
    calls: list[None] = []
    flushed = primary_module.Primary._flushed

    async def counted(self: primary_module.Primary) -> tuple[str, int]:
        calls.append(None)
        try:
            return await flushed(self)
        except primary_module.FAILURES:
            monkeypatch.setattr(primary_module, "_PAUSE_S", HANG_S)
            raise

    monkeypatch.setattr(primary_module.Primary, "_flushed", counted)
    return calls


@asynccontextmanager
async def over_cables(settings: Settings) -> AsyncIterator[tuple[Gateway, Cable, Cable, UUID]]:
    """Open a gateway with a cable to the primary and one to the replica, and an order on both."""
    async with (
        cable_to(settings.database_url) as primary,
        cable_to(settings.replica_urls) as replica,
    ):
        changed = with_(
            settings,
            database_url=primary.url,
            replica_urls=replica.url,
            query_s=QUERY_S,
            replica_wait_s=0.5,
        )
        async with gateways(changed) as (gateway,):
            placed = await submit(gateway, due(1))
            await warm(gateway)
            assert await age_of(gateway, placed.id) is None
            yield gateway, primary, replica, placed.id
            for cable in (primary, replica):
                cable.mend()


async def age_of(gateway: Gateway, id_: UUID) -> int | None:
    read = await reading(gateway).order(id_, None)
    assert read is not None
    return read.age_s


def sleeping_at_first() -> tuple[Callable[[Connection], Awaitable[object]], list[Connection]]:
    """Return a query that sleeps until its server is gone, the first time, and who was asked."""
    begun: list[Connection] = []

    async def work(connection: Connection) -> object:
        begun.append(connection)
        seconds = 2 * HANG_S if len(begun) == 1 else 0.0
        return await connection.fetchval("SELECT 1 FROM pg_sleep($1)", seconds)

    return work, begun


# --- the primary is unavailable ---


@pytest.mark.parametrize("fault", ["cut", "silence"])
async def test_without_the_primary_a_replica_answers_with_its_age(
    settings: Settings, fault: str, asked: list[None]
) -> None:
    async with over_cables(settings) as (gateway, primary, _, id_):
        getattr(primary, fault)()
        asked.clear()
        ages = [await age_of(gateway, id_) for _ in range(21)]
        # Asked once and then left alone: each on its own would wait for the primary again.
        assert len(asked) == 1
        assert all(age is not None and 1 <= age <= HANG_S for age in ages)
        history = await reading(gateway).history(id_, None)
        page = await reading(gateway).page(Filter())
        assert history is not None
        assert history.age_s
        assert page.age_s
        assert [order.id for order, _ in page.value] == [str(id_)]
        assert gateway.readers.reads["stale"] == 23


async def test_readers_who_come_at_once_wait_for_a_silent_primary_together(
    settings: Settings, asked: list[None]
) -> None:
    async with over_cables(settings) as (gateway, primary, _, id_):
        primary.silence()
        asked.clear()
        assert all(await asyncio.gather(*[age_of(gateway, id_) for _ in range(60)]))
        assert len(asked) == 1


async def test_what_a_replica_of_old_does_not_have_may_exist(settings: Settings) -> None:
    async with over_cables(settings) as (gateway, primary, _, _):
        reader, nobody = reading(gateway), gateway.new_id()
        assert await reader.order(nobody, None) is None
        primary.cut()
        for read in (reader.order(nobody, None), reader.history(nobody, None)):
            with pytest.raises(Unavailable):
                await read


async def test_the_age_grows_and_goes_when_the_primary_is_back(settings: Settings) -> None:
    async with over_cables(settings) as (gateway, primary, _, id_):
        primary.cut()
        first = await age_of(gateway, id_)

        async def is_older() -> bool:
            return (await age_of(gateway, id_) or 0) > (first or 0)

        await until(is_older)
        primary.mend()

        async def is_of_now() -> bool:
            return await age_of(gateway, id_) is None

        await until(is_of_now)
        placed = await submit(gateway, due(2))
        assert await age_of(gateway, placed.id) is None


async def test_the_age_covers_what_the_replica_has_not_replayed(
    servers: Servers, settings: Settings
) -> None:
    """It lags and the primary goes: the answer is as old as what it has, not as the outage."""
    async with over_cables(settings) as (gateway, primary, _, id_), paused_replay(servers):
        late = await submit(gateway, due(2))
        assert await age_of(gateway, late.id) is None
        await asyncio.sleep(2.1)
        primary.cut()
        age_s = await age_of(gateway, id_)
        assert age_s is not None
        assert age_s >= 3
        with pytest.raises(Unavailable):
            await reading(gateway).order(late.id, None)


async def test_with_primary_and_replica_silent_reads_time_out(
    settings: Settings, asked: list[None]
) -> None:
    async with over_cables(settings) as (gateway, primary, replica, id_):
        primary.silence()
        replica.silence()
        asked.clear()
        for _ in range(2):
            async with asyncio.timeout(HANG_S):
                with pytest.raises(Unavailable):
                    await age_of(gateway, id_)
        assert len(asked) == 1


async def test_a_primary_that_became_a_standby_counts_as_unavailable(settings: Settings) -> None:
    """After a failover elsewhere: the age of what it has is not known."""
    demoted = with_(settings, database_url=settings.replica_urls)
    primary = await pools.open_readers(demoted)
    replica = await pools.open_replica(settings.replica_urls, settings)

    def readers(replicas: Sequence[read_limiter.Pool]) -> Readers:
        return Readers(
            primary=primary, replicas=replicas, clock=SystemClock(), wait_s=0.05, query_s=QUERY_S
        )

    async def work(connection: Connection) -> object:
        return await connection.fetchval("SELECT 1")

    with pytest.raises(Unavailable):
        await readers([]).read(work)
    assert (await readers([replica]).read(work)).age_s
    for pool in (primary, replica):
        pool.terminate()


async def test_a_read_amid_which_the_replica_goes_is_answered_by_the_primary(
    settings: Settings,
) -> None:
    async with over_cables(settings) as (gateway, _, replica, _):
        before = dict(gateway.readers.reads)
        work, begun = sleeping_at_first()
        running = asyncio.ensure_future(gateway.readers.read(work))
        await until(lambda: bool(begun))
        replica.cut()
        assert (await running).value == 1
        assert gateway.readers.reads == {**before, "primary": before["primary"] + 1}


async def test_a_read_amid_which_the_primary_goes_is_answered_by_a_replica_that_lags(
    servers: Servers, settings: Settings
) -> None:
    async with over_cables(settings) as (gateway, primary, _, _), paused_replay(servers):
        await submit(gateway, due(2))
        work, begun = sleeping_at_first()
        running = asyncio.ensure_future(gateway.readers.read(work))
        await until(lambda: bool(begun))
        primary.cut()
        assert (await running).age_s
        assert len(begun) == 2


@pytest.mark.parametrize("fault", ["cut", "silence"])
async def test_an_api_key_is_found_on_a_replica(settings: Settings, fault: str) -> None:
    async with over_cables(settings) as (gateway, primary, replica, _):
        made, token = await ApiKeys(pool=gateway.stores.primary).create(
            "till", ["ingest"], [], actor="test"
        )
        keys = ApiKeys(pool=gateway.stores.primary_reads, replicas=gateway.stores.replicas)
        only = ApiKeys(pool=gateway.stores.replicas[0])

        async def is_there() -> bool:
            return await only.find(digest(token)) is not None

        await until(is_there)
        getattr(primary, fault)()
        async with asyncio.timeout(HANG_S):
            found = await keys.find(digest(token))
        assert found is not None
        assert found.key_id == made.id
        # What a replica lacks may have been made since: no client is rejected because of it.
        with pytest.raises(Unavailable):
            await keys.find(digest("tg_unknown"))
        replica.cut()
        with pytest.raises(Unavailable):
            await keys.find(digest(token))


# --- the replicas are away ---


@pytest.fixture
def alone(settings: Settings) -> Settings:
    """Settings with a replica that is not there."""
    return with_(settings, replica_urls=f"postgresql://u:p@127.0.0.1:{free_port()}/x")


async def test_a_flood_of_reads_is_rejected_quickly_and_delays_no_commit_and_no_key(
    alone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two reads take all there is for reading until the flood has gone by."""
    monkeypatch.setattr(read_limiter, "WAIT_S", 0.25)
    async with gateways(alone) as (gateway,):
        key, token = await ApiKeys(pool=gateway.stores.primary).create(
            "till", ["ingest"], [], actor="test"
        )
        keys = ApiKeys(pool=gateway.stores.primary_reads)
        await keys.find(digest(token))
        await submit(gateway, due(1))
        has_gone_by = asyncio.Event()
        refused: list[None] = []

        async def endless(connection: Connection) -> object:
            return await has_gone_by.wait()

        async def read() -> None:
            try:
                await gateway.readers.read(endless)
            except Unavailable:
                refused.append(None)

        reads = [asyncio.create_task(read()) for _ in range(300)]
        await until(lambda: len(refused) == 298)
        assert (await submit(gateway, due(2))).answer == "placed"
        principal = await keys.find(digest(token))
        assert principal is not None
        assert principal.key_id == key.id
        has_gone_by.set()
        await asyncio.gather(*reads)
        assert gateway.readers.reads["primary"] == 2


async def test_a_full_queue_rejects_at_once() -> None:
    gate = read_limiter.ReadLimiter(1)

    async def pass_() -> None:
        async with gate.slot():
            await asyncio.sleep(0)

    async with gate.slot():
        queue = [asyncio.create_task(pass_()) for _ in range(read_limiter.WAITING_MAX + 5)]
        await asyncio.sleep(0)
        assert sum(task.done() for task in queue) == 5
    outcomes = await at_once(queue)
    assert [type(each) for each in outcomes[-5:]] == [Unavailable] * 5
    assert outcomes[:-5] == [None] * read_limiter.WAITING_MAX


async def test_reads_that_are_short_are_queued_and_answered(alone: Settings) -> None:
    async with gateways(alone) as (gateway,):
        placed = await submit(gateway, due(1))
        await age_of(gateway, placed.id)
        outcomes = await at_once(
            [age_of(gateway, placed.id) for _ in range(read_limiter.WAITING_MAX)]
        )
        assert outcomes == [None] * read_limiter.WAITING_MAX
