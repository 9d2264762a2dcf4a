"""All that may be told of orders, told while Postgres was away: drained, it comes to the same."""

from collections.abc import AsyncIterator
from random import Random

import pytest

from gateway.runtime.settings import Settings
from tests.domain import histories
from tests.domain.support import due
from tests.stores.support import Database, submit, tell
from tests.stores.test_storms import DISAGREEING, swept
from tests.workers.outage import Outage, outage_of


@pytest.fixture
async def outage(settings: Settings) -> AsyncIterator[Outage]:
    async with outage_of(settings) as started:
        yield started


@pytest.mark.parametrize("seed", range(4))
async def test_histories_that_were_journaled_leave_orders_that_agree_with_themselves(
    seed: int, outage: Outage, ledger: Database
) -> None:
    """A part of each before the outage, and the rest while it lasts, orders among it."""
    random, gateway = Random(seed), outage.gateway
    numbers = [f"W-{n}" for n in range(1, 7)]
    told: list[str] = []
    events = {n: histories.told_of(random, number) for n, number in enumerate(numbers, start=1)}
    for is_away in (False, True):
        if is_away:
            outage.cable.cut()
        for n, mine in events.items():
            random.shuffle(mine)
            while mine and (is_away or random.random() < 0.7):
                told.append((await tell(gateway, mine.pop())).outcome)
            if is_away or random.random() < 0.5:
                await submit(gateway, due(n, order_no=f"W-{n}"))
    assert "journaled" in told
    await outage.mend()
    await outage.drained()
    await swept(gateway)
    assert not await ledger.fetch(DISAGREEING)
    kept = await ledger.fetchval("SELECT count(DISTINCT source_key) FROM order_events "
                                 "WHERE source = 'stripe:main'")  # fmt: skip
    assert kept == len(told)
    assert not await ledger.fetch("SELECT FROM parked WHERE source LIKE 'journal%'")
    assert not await ledger.fetch("SELECT FROM waiting WHERE transaction_id <> ''")
