"""Postgres or Redis away, cut off or silent: answers in time, nothing kept that was rejected."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis

from gateway.domain.errors import Unavailable
from gateway.runtime.settings import Settings
from gateway.stores.postgres.order_reader import OrderReader
from gateway.wiring import Gateway
from ops.harness.ports import free_port
from tests.domain.support import due, paid
from tests.stores.support import Database, at_once, counts, gateways, order, submit, tell, with_
from tests.support.cable import Cable, cable_to
from tests.support.patience import HANG_S

#: Short, so that the tests are; and long enough for what a busy machine commits.
COMMIT_S = 1.5


@asynccontextmanager
async def over_a_cable(settings: Settings) -> AsyncIterator[tuple[Gateway, Cable]]:
    """Open a gateway whose primary hangs on a cable, and which is not patient."""
    async with cable_to(settings.database_url) as cable:
        changed = with_(
            settings,
            database_url=cable.url,
            commit_s=COMMIT_S,
            query_s=COMMIT_S,
            replica_urls="",
            # Without a journal: what Postgres does not take is rejected.
            journal_url="",
        )
        async with gateways(changed) as (gateway,):
            await submit(gateway, due(1, order_no="W-1"))
            yield gateway, cable
            cable.mend()


@pytest.mark.parametrize("fault", ["cut", "silence"])
async def test_without_postgres_all_is_rejected_in_time_and_nothing_is_stored(
    settings: Settings, ledger: Database, fault: str
) -> None:
    async with over_a_cable(settings) as (gateway, cable):
        before = await counts(ledger)
        getattr(cable, fault)()
        # One after the other they would take longer than that.
        count = int(HANG_S / COMMIT_S)
        async with asyncio.timeout(HANG_S):
            outcomes = await at_once(
                [submit(gateway, due(n)) for n in range(2, count)]
                + [
                    tell(gateway, paid(order_no=f"X-{n}", transaction_id=f"X-{n}"))
                    for n in range(count)
                ]
            )
        assert {type(each) for each in outcomes} == {Unavailable}
        if fault == "cut":
            assert await counts(ledger) == before


@pytest.mark.parametrize("fault", ["cut", "silence"])
async def test_when_postgres_is_back_what_was_rejected_is_accepted(
    settings: Settings, ledger: Database, fault: str
) -> None:
    """The very same submission and event, sent again as a provider does."""
    async with over_a_cable(settings) as (gateway, cable):
        getattr(cable, fault)()
        with pytest.raises(Unavailable):
            await submit(gateway, due(2, order_no="W-2"))
        with pytest.raises(Unavailable):
            await tell(gateway, paid(), "evt_1")
        cable.mend()

        async def is_back() -> bool:
            try:
                await submit(gateway, due(2, order_no="W-2"))
                await tell(gateway, paid(), "evt_1")
            except Unavailable:
                return False
            return True

        async with asyncio.timeout(HANG_S):
            while not await is_back():
                await asyncio.sleep(0.02)
    assert (await order(ledger, "W-1"))["version"] == 2
    made = await counts(ledger)
    assert (made["orders"], made["payments"]) == (2, 1)


async def test_a_commit_whose_answer_was_lost_is_found_by_its_repeat(
    settings: Settings, ledger: Database
) -> None:
    """Rejected with 503 and committed all the same: sent again it is a repeat, stored once."""
    async with over_a_cable(settings) as (gateway, cable):
        cable.lose_answers()
        with pytest.raises(Unavailable):
            await submit(gateway, due(2, order_no="W-2"), "r-2")
        with pytest.raises(Unavailable):
            await tell(gateway, paid(), "evt_1")
        cable.cut()
    assert (await counts(ledger))["orders"] == 2
    async with gateways(settings) as (gateway,):
        assert (await submit(gateway, due(2, order_no="W-2"), "r-2")).answer == "replayed"
        await tell(gateway, paid(), "evt_1")
    made = await counts(ledger)
    assert (made["orders"], made["payments"]) == (2, 1)


async def test_a_silent_primary_does_not_hold_up_the_end_of_the_process(
    settings: Settings,
) -> None:
    async with cable_to(settings.database_url) as cable:
        changed = with_(
            settings,
            database_url=cable.url,
            commit_s=COMMIT_S,
            replica_urls="",
            journal_url="",
        )
        async with asyncio.timeout(HANG_S):
            async with gateways(changed) as (gateway,):
                cable.silence()
                leaving = asyncio.create_task(submit(gateway, due(1)))
                await asyncio.sleep(0)
            assert isinstance((await at_once([leaving]))[0], Unavailable)


async def test_reads_of_a_silent_primary_time_out(settings: Settings) -> None:
    async with over_a_cable(settings) as (gateway, cable):
        reading = OrderReader(readers=gateway.readers, sealer=gateway.stores.sealer)
        assert await reading.order(gateway.new_id(), None) is None
        cable.silence()
        with pytest.raises(Unavailable):
            async with asyncio.timeout(HANG_S):
                await reading.order(gateway.new_id(), None)


async def test_without_its_primary_and_a_journal_a_gateway_does_not_start(
    settings: Settings,
) -> None:
    nowhere = f"postgresql://u:p@127.0.0.1:{free_port()}/x"
    with pytest.raises(Unavailable):
        async with gateways(with_(settings, database_url=nowhere, journal_url="")):
            pass


async def test_without_its_primary_it_starts_to_journal(settings: Settings) -> None:
    nowhere = f"postgresql://u:p@127.0.0.1:{free_port()}/x"
    async with gateways(with_(settings, database_url=nowhere)) as (gateway,):
        assert (await submit(gateway, due(1))).is_journaled


# --- Redis ---


async def go_through_everything(gateway: Gateway, ledger: Database) -> None:
    """Order, repeat, payment, repeat: the answers are those of a gateway with Redis."""
    placed = await submit(gateway, due(1, order_no="W-1"))
    again = await submit(gateway, due(1, order_no="W-1"))
    assert (placed.answer, again.answer, again.id) == ("placed", "replayed", placed.id)
    assert (await tell(gateway, paid(), "evt_1")).outcome == "applied"
    assert (await tell(gateway, paid(), "evt_1")).outcome == "repeat"
    stored = await order(ledger, "W-1")
    assert (stored["status"], stored["version"]) == ("paid", 2)


async def test_without_redis_everything_works(settings: Settings, ledger: Database) -> None:
    async with gateways(with_(settings, redis_url="")) as (gateway,):
        await go_through_everything(gateway, ledger)


async def test_with_redis_at_a_wrong_port_everything_works(
    settings: Settings, ledger: Database
) -> None:
    wrong = with_(settings, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    async with gateways(wrong) as (gateway,):
        await go_through_everything(gateway, ledger)
        assert gateway.stores.result_cache.failures > 0


async def test_with_a_silent_redis_everything_works_and_it_is_asked_seldom(
    settings: Settings, ledger: Database
) -> None:
    async with cable_to(settings.redis_url) as cable:
        impatient = with_(settings, redis_url=cable.url, redis_s=0.05, redis_pause_s=60.0)
        async with gateways(impatient) as (gateway,):
            await submit(gateway, due(100))
            cable.silence()
            await go_through_everything(gateway, ledger)
            for n in range(101, 121):
                await submit(gateway, due(n))
            assert 1 <= gateway.stores.result_cache.failures <= 3


async def test_redis_is_used_again_when_it_is_back(
    settings: Settings, valkey: "redis.Redis"
) -> None:
    async with cable_to(settings.redis_url) as cable:
        changed = with_(settings, redis_url=cable.url, redis_pause_s=0.01)
        async with gateways(changed) as (gateway,):
            await submit(gateway, due(1))
            await gateway.committer.drain()
            known = valkey.dbsize()
            cable.cut()
            await submit(gateway, due(2))
            await gateway.committer.drain()
            assert valkey.dbsize() == known
            cable.mend()
            async with asyncio.timeout(HANG_S):
                n = 3
                while valkey.dbsize() == known:
                    await submit(gateway, due(n))
                    await gateway.committer.drain()
                    n += 1


async def test_results_expire(settings: Settings, valkey: "redis.Redis") -> None:
    async with gateways(with_(settings, results_ttl_s=77)) as (gateway,):
        await submit(gateway, due(1))
        await gateway.committer.drain()
    keys = valkey.keys("*")
    assert isinstance(keys, list)
    assert len(keys) == 1
    assert 0 < int(str(valkey.ttl(keys[0]))) <= 77


async def test_redis_knows_nothing_private(settings: Settings, valkey: "redis.Redis") -> None:
    async with gateways(settings) as (gateway,):
        sent = due(1, recipient={"name": "Canary", "phone": "13912345678"}, remark="Canary")
        await submit(gateway, sent)
        await tell(gateway, paid(order_no=sent.order_no))
        await gateway.committer.drain()
    keys = valkey.keys("*")
    assert isinstance(keys, list)
    assert len(keys) == 2
    for key in keys:
        value = valkey.get(key)
        assert isinstance(key, bytes)
        assert isinstance(value, bytes)
        assert b"Canary" not in key + value
        assert b"3912345678" not in key + value
