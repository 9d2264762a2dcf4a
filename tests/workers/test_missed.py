"""Missed orders are a metric from the first round on, and what is settled is forgotten."""

import pytest

from gateway.domain import events
from gateway.domain.missed import AcceptingTarget
from gateway.stores.postgres.missed_orders import MissedOrders
from gateway.wiring import Gateway
from tests.domain.support import NOW, shipped
from tests.stores.missed_support import WMS, told
from tests.stores.support import Database, tell
from workers import metrics, missed
from workers.missed import Missed
from workers.rounds import Rounds


def worker(gateway: Gateway, *targets: AcceptingTarget) -> Missed:
    return Missed(
        missed_orders=MissedOrders(pool=gateway.stores.primary),
        targets=lambda: targets,
        clock=gateway.clock,
        rounds=Rounds(task="missed", clock=gateway.clock, overdue_s=120.0),
    )


def shown(target: str) -> tuple[float, float]:
    orders = metrics.MISSED_ORDERS.labels(target)._value.get()
    return float(orders), float(metrics.MISSED_OLDEST_S.labels(target)._value.get())


async def test_it_counts_by_target_and_forgets_what_is_settled(
    gateway: Gateway, ledger: Database
) -> None:
    for n in (1, 2, 3):
        await told(gateway, ledger, n, age_s=700 + n)
    await tell(gateway, events.Accepted("W-1", "wms", "", NOW))
    await tell(gateway, shipped("W-2"))
    working = worker(gateway, WMS)
    assert await working.round() is False
    orders, oldest_s = shown("wms")
    assert (orders, 700 < oldest_s < 760) == (1, True)
    assert await ledger.fetchval("SELECT count(*) FROM awaiting_acceptance") == 1
    await tell(gateway, events.Accepted("W-3", "wms", "", NOW))
    await working.round()
    assert shown("wms") == (0, 0)


async def test_a_target_that_missed_nothing_is_a_zero_and_not_a_gap(gateway: Gateway) -> None:
    await worker(gateway, AcceptingTarget("idle", WMS.missed_after)).round()
    assert shown("idle") == (0, 0)


async def test_without_a_target_that_accepts_there_is_nothing_to_do(gateway: Gateway) -> None:
    assert await worker(gateway).round() is False


async def test_more_than_a_round_forgets_is_taken_up_at_once(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missed, "_ROWS_MAX", 2)
    for n in (1, 2, 3):
        await told(gateway, ledger, n)
        await tell(gateway, shipped(f"W-{n}"))
    working = worker(gateway, WMS)
    assert [await working.round(), await working.round()] == [True, False]
    assert await ledger.fetchval("SELECT count(*) FROM awaiting_acceptance") == 0
