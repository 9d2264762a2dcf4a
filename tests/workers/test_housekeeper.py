"""The housekeeper keeps the ledger's bounds and survives a database that is unavailable."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.errors import Unavailable
from gateway.stores.postgres import maintenance
from gateway.wiring import Gateway
from tests.stores.support import Database
from tests.support.fakes.clock import ManualClock
from tests.support.patience import HANG_S
from workers.housekeeper import Housekeeper
from workers.rounds import Rounds


def housekeeper(gateway: Gateway, clock: ManualClock) -> Housekeeper:
    return Housekeeper(
        maintenance=gateway.maintenance,
        clock=clock,
        rounds=Rounds(task="housekeeper", clock=clock, overdue_s=60.0),
        months={"raw_messages": 6, "delivery_attempts": 3, "order_changes": 6},
        rejected_retention_h=72,
        rejected_rows_max=5,
    )


async def months(ledger: Database) -> set[str]:
    found = await ledger.fetch("SELECT inhrelid::regclass::text FROM pg_inherits")
    return {name for (name,) in found}


async def test_a_round_makes_months_drops_months_and_purges(
    gateway: Gateway, ledger: Database
) -> None:
    clock = ManualClock()
    clock.at = datetime(2031, 11, 15, tzinfo=UTC)
    await housekeeper(gateway, clock).round()
    made = {f"{table}_2031_{month}" for table in maintenance.MONTHLY for month in (11, 12)}
    assert made <= await months(ledger)
    await ledger.execute(
        "INSERT INTO fingerprints VALUES ('x', gen_random_uuid(), now() - interval '1 hour')"
    )
    clock.at = datetime(2032, 6, 1, tzinfo=UTC)
    await housekeeper(gateway, clock).round()
    kept = await months(ledger)
    assert "raw_messages_2031_11" not in kept
    assert {"raw_messages_2031_12", "order_changes_2031_12"} <= kept
    assert "delivery_attempts_2031_12" not in kept
    assert await ledger.fetchval("SELECT count(*) FROM fingerprints") == 0


async def test_rejected_callbacks_are_stored_for_their_hours_and_not_beyond_their_number(
    gateway: Gateway, ledger: Database
) -> None:
    clock = ManualClock()
    clock.at = datetime(2031, 11, 15, tzinfo=UTC)
    await ledger.execute(
        "INSERT INTO refused_callbacks SELECT"
        " ('00000000-0000-7000-8000-00000000000' || n)::uuid, 'stripe', 'main', 'stale', '',"
        " $1::timestamptz - make_interval(hours => 80 - 10 * n), 0, ''"
        " FROM generate_series(0, 7) n",
        clock.at,
    )
    await housekeeper(gateway, clock).round()
    left = await ledger.fetch("SELECT right(id::text, 1) FROM refused_callbacks ORDER BY id")
    assert [n for (n,) in left] == ["3", "4", "5", "6", "7"]
    clock.at += timedelta(hours=40)
    await housekeeper(gateway, clock).round()
    left = await ledger.fetch("SELECT right(id::text, 1) FROM refused_callbacks ORDER BY id")
    assert [n for (n,) in left] == ["5", "6", "7"]


async def test_a_month_without_a_partition_does_not_keep_the_rest_from_being_done(
    gateway: Gateway, ledger: Database
) -> None:
    """The worker was away for months: messages of this one lie where those of no month do."""
    clock = ManualClock()
    clock.at = datetime(2031, 11, 15, tzinfo=UTC)
    await ledger.execute(
        "INSERT INTO raw_messages VALUES (gen_random_uuid(), 'test', '', $1)", clock.at
    )
    await ledger.execute(
        "INSERT INTO fingerprints VALUES ('x', gen_random_uuid(), now() - interval '1 hour')"
    )
    await housekeeper(gateway, clock).round()
    assert "raw_messages_2031_12" in await months(ledger)
    assert await ledger.fetchval("SELECT count(*) FROM fingerprints") == 0


async def test_a_round_that_fails_is_put_off_and_not_the_end(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stopping = asyncio.Event()

    async def failing(_: datetime) -> None:
        stopping.set()
        raise Unavailable("postgres")

    monkeypatch.setattr(gateway.maintenance, "create_months", failing)
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(HANG_S):
            await housekeeper(gateway, ManualClock()).run(stopping)
    assert [line.message for line in caplog.records] == ["housekeeper postponed"]
