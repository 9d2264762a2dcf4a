"""Reads: what was acknowledged is found, on the replica when it is there, else on the primary."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from gateway.runtime.settings import Settings
from gateway.stores.postgres import replica
from gateway.stores.postgres.order_reader import Filter, OrderReader
from gateway.wiring import Gateway
from ops.embedded.cluster import REPLICA, Servers
from ops.harness.ports import free_port
from tests.domain.support import DUE, due, paid, placement, shipped
from tests.stores.support import Database, gateways, submit, tell, with_
from tests.support import databases
from tests.support.cable import cable_to
from tests.support.patience import HANG_S, until


def reading(gateway: Gateway) -> OrderReader:
    return OrderReader(readers=gateway.readers, sealer=gateway.stores.sealer)


async def found(gateway: Gateway, id_: UUID) -> bool:
    return await reading(gateway).order(id_, None) is not None


async def warm(gateway: Gateway) -> None:
    """Return once the replica has answered a read."""

    async def has_answered() -> bool:
        await found(gateway, gateway.new_id())
        return gateway.readers.reads["replica"] > 0

    await until(has_answered)


async def test_an_order_just_written_is_always_found(gateway: Gateway) -> None:
    """Read at once after each commit: no read is ever too early."""
    for n in range(100):
        placed = await submit(gateway, due(n))
        assert await found(gateway, placed.id)
    assert sum(gateway.readers.reads.values()) == 100


async def test_a_replica_that_is_there_answers(settings: Settings) -> None:
    async with gateways(with_(settings, replica_wait_s=2.0)) as (gateway,):
        placed = await submit(gateway, due(1))
        await warm(gateway)
        before = dict(gateway.readers.reads)
        for _ in range(10):
            assert await found(gateway, placed.id)
        assert gateway.readers.reads == {**before, "replica": before["replica"] + 10}
        assert await gateway.readers.lag_s() is not None


async def test_without_a_replica_the_primary_answers(settings: Settings) -> None:
    async with gateways(with_(settings, replica_urls="")) as (gateway,):
        placed = await submit(gateway, due(1))
        assert await found(gateway, placed.id)
        assert gateway.readers.reads == {"replica": 0, "primary": 1, "stale": 0}
        assert await gateway.readers.lag_s() is None


async def test_an_unavailable_replica_is_not_called_for_a_while(settings: Settings) -> None:
    away = with_(settings, replica_urls=f"postgresql://u:p@127.0.0.1:{free_port()}/x")
    async with gateways(away) as (gateway,):
        for n in range(10):
            assert await found(gateway, (await submit(gateway, due(n))).id)
        assert gateway.readers.reads == {"replica": 0, "primary": 10, "stale": 0}
        assert await gateway.readers.lag_s() is None


async def test_a_replica_gone_silent_costs_a_read_no_more_than_its_patience(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the bytes and says nothing: the primary answers, at once from then on."""
    async with cable_to(settings.replica_urls) as cable:
        over = with_(settings, replica_urls=cable.url, replica_wait_s=0.5)
        async with gateways(over) as (gateway,):
            placed = await submit(gateway, due(1))
            await warm(gateway)
            # It is left alone for as long as the test takes.
            monkeypatch.setattr(replica, "_PAUSE_S", HANG_S)
            asked = []
            catch_up = replica.Replica._catch_up

            async def counted(*arguments: Any) -> None:
                asked.append(arguments)
                await catch_up(*arguments)

            monkeypatch.setattr(replica.Replica, "_catch_up", counted)
            cable.silence()
            async with asyncio.timeout(HANG_S):
                for _ in range(3):
                    assert await found(gateway, placed.id)
            assert len(asked) == 1
            cable.mend()


async def test_of_two_replicas_the_one_that_answers_is_used(settings: Settings) -> None:
    away = f"postgresql://u:p@127.0.0.1:{free_port()}/x"
    both = with_(settings, replica_urls=f"{away},{settings.replica_urls}", replica_wait_s=2.0)
    async with gateways(both) as (gateway,):
        placed = await submit(gateway, due(1))
        await warm(gateway)
        before = gateway.readers.reads["replica"]
        for _ in range(5):
            assert await found(gateway, placed.id)
        assert gateway.readers.reads["replica"] > before


@asynccontextmanager
async def paused_replay(servers: Servers) -> AsyncIterator[None]:
    """The replica receives and does not replay, until the block ends."""
    replica = await asyncpg.connect(databases.admin_url(servers, server=REPLICA))
    await replica.execute("SELECT pg_wal_replay_pause()")
    try:
        yield
    finally:
        await replica.execute("SELECT pg_wal_replay_resume()")
        await replica.close()


async def test_a_replica_that_fell_behind_is_not_asked(
    servers: Servers, settings: Settings, ledger: Database
) -> None:
    async with gateways(settings) as (gateway,):
        await submit(gateway, due(0))
        await warm(gateway)
        before = gateway.readers.reads["replica"]
        async with paused_replay(servers):
            for n in range(1, 6):
                placed = await submit(gateway, due(n))
                assert await found(gateway, placed.id)
            assert gateway.readers.reads["replica"] == before

            async def lags() -> bool:
                return (await gateway.readers.lag_s() or 0) > 0

            await until(lags)
        assert await ledger.fetchval("SELECT count(*) FROM orders") == 6


# --- what a read returns ---


async def test_an_order_is_read_as_it_was_sent_and_moved(gateway: Gateway) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"))
    for event in (paid(), shipped()):
        await tell(gateway, event)
    read = await reading(gateway).order(placed.id, None)
    assert read is not None
    assert read.age_s is None
    stored, details = read.value
    assert [(each.transaction_id, each.standing) for each in details.payments] == [
        ("T-1", "applied")
    ]
    assert [parcel.tracking_no for parcel in details.parcels] == ["SF-1"]
    assert (stored.id, stored.order_no, stored.status) == (str(placed.id), "W-1", "shipped")
    assert (stored.paid, stored.carrier, stored.version) == (DUE, "SF", 3)
    assert stored.private is not None
    assert stored.private.phone == "13800000001"
    assert [item.sku for item in stored.items] == ["SKU-1"]


async def test_a_key_of_other_channels_finds_nothing(gateway: Gateway) -> None:
    placed = await submit(gateway, due(1))
    reader = reading(gateway)
    assert await reader.order(placed.id, ["web"]) is not None
    assert await reader.order(placed.id, ["app"]) is None
    assert await reader.history(placed.id, ["app"]) is None
    assert (await reader.page(Filter(channels=["app"]))).value == []


async def test_the_history_tells_the_steps_in_their_order(gateway: Gateway) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid())
    await tell(gateway, paid(transaction_id="T-2"))
    history = await reading(gateway).history(placed.id, None)
    assert history is not None
    assert [(line.action, line.to_status, line.outcome) for line in history.value] == [
        ("placed", "pending_payment", "applied"),
        ("payment_succeeded", "paid", "applied"),
        ("payment_succeeded", "paid", "parked"),
    ]


async def numbers(gateway: Gateway, **wanted: Any) -> list[str]:
    return [order.order_no for order, _ in (await reading(gateway).page(Filter(**wanted))).value]


async def test_a_page_is_narrowed_by_each_filter(gateway: Gateway) -> None:
    times = [f"2026-11-2{n}T00:00:00Z" for n in range(4)]
    for n, at in enumerate(times):
        channel = "app" if n == 3 else "web"
        await submit(gateway, due(n, order_no=f"W-{n}", placed_at=at, channel=channel))
    await tell(gateway, paid(order_no="W-1"))
    moment = msgspec.convert(times[1], type=type(due(1).placed_at))
    assert await numbers(gateway) == ["W-3", "W-2", "W-1", "W-0"]
    assert await numbers(gateway, channels=["app"]) == ["W-3"]
    assert await numbers(gateway, order_no="W-2") == ["W-2"]
    assert await numbers(gateway, status="paid") == ["W-1"]
    assert await numbers(gateway, placed_from=moment) == ["W-3", "W-2", "W-1"]
    assert await numbers(gateway, placed_to=moment) == ["W-0"]
    assert await numbers(gateway, phones=[placement(due(2)).phone]) == ["W-2"]
    assert await numbers(gateway, phones=["+8613800009999"]) == []
    assert await numbers(gateway, status="paid", channels=["app"]) == []


async def test_pages_lead_through_all_orders_once_even_with_equal_times(gateway: Gateway) -> None:
    for n in range(25):
        await submit(gateway, due(n))
    seen: list[str] = []
    after = None
    while page := (await reading(gateway).page(Filter(limit=7, after=after))).value:
        seen += [order.id for order, _ in page]
        after = (page[-1][0].placed_at, UUID(page[-1][0].id))
    assert len(seen) == len(set(seen)) == 25
    assert seen == sorted(seen, reverse=True)
