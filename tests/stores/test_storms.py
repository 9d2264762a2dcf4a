"""Two processes told of everything at once: nothing is lost, counted twice, or left waiting."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from gateway.runtime.settings import Settings
from gateway.wiring import Gateway
from tests.domain import histories
from tests.domain.support import due
from tests.stores.support import Database, alone, at_once, gateways, submit, tell

DISAGREEING = """
    SELECT o.order_no
      FROM orders o
           CROSS JOIN LATERAL (
               SELECT coalesce(sum(p.amount), 0) AS paid, coalesce(sum(p.refunded), 0) AS refunded
                 FROM payments p
                WHERE p.order_id = o.id
                  AND p.standing IN ('applied', 'after_close', 'duplicate')
           ) m
           CROSS JOIN LATERAL (
               SELECT array_agg(x.version ORDER BY x.version) AS versions
                 FROM outbox x WHERE x.order_id = o.id
           ) t
     WHERE (o.paid, o.refunded) <> (m.paid, m.refunded)
        OR t.versions <> ARRAY(SELECT generate_series(1, o.version))
"""


@pytest.fixture
async def rivals(settings: Settings) -> AsyncIterator[list[Gateway]]:
    async with gateways(alone(settings), alone(settings)) as opened:
        yield opened


async def swept(gateway: Gateway) -> None:
    """Pair what missed each other, as the sweeper does."""
    while found := await gateway.maintenance.orders_to_settle(500):
        await asyncio.gather(*[gateway.intake.settle(id_) for id_ in found])


@pytest.mark.parametrize("seed", range(6))
async def test_any_histories_at_once_leave_orders_that_agree_with_themselves(
    seed: int, rivals: list[Gateway], ledger: Database
) -> None:
    random = Random(seed)
    numbers = [f"W-{n}" for n in range(1, 9)]
    told: list[Any] = []
    for n, number in enumerate(numbers, start=1):
        told.append(submit(random.choice(rivals), due(n, order_no=number)))
        for k, event in enumerate(histories.told_of(random, number)):
            # Each is told twice: by a callback and a poll, under one key or under two.
            keys = f"{number} {k}", random.choice((f"{number} {k}", f"{number} {k} polled"))
            told += [tell(rivals[m], event, key) for m, key in enumerate(keys)]
    random.shuffle(told)
    outcomes = await at_once(told)
    assert not [each for each in outcomes if isinstance(each, BaseException)]
    await swept(rivals[0])
    assert not await ledger.fetch(DISAGREEING)
    waits = await ledger.fetch("SELECT event::text FROM waiting WHERE transaction_id <> ''")
    assert not waits
