"""The night's tasks are due by the clock of the business zone, and done once, whoever asks."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pytest

from gateway.runtime.clock import Clock
from gateway.wiring import Gateway
from tests.stores.support import Database
from workers import nightly_scan, supervisor
from workers.nightly import Nightly
from workers.rounds import Rounds


class At(Clock):
    """A clock that shows what it is told."""

    def __init__(self, now: datetime) -> None:
        self.shown = now

    def now(self) -> datetime:
        return self.shown

    def monotonic_s(self) -> float:
        return self.shown.timestamp()


def worker(gateway: Gateway, clock: At) -> Nightly:
    scan = nightly_scan.scan_of(gateway)
    scan._clock = clock
    return Nightly(
        scan=scan,
        runs=nightly_scan.runs_of(gateway.stores.primary, holder=nightly_scan.NOBODY),
        at=time(2),
        zone=UTC,
        clock=clock,
        rounds=Rounds(task="nightly", clock=clock, overdue_s=7200.0),
    )


async def done(ledger: Database) -> list[date]:
    found = await ledger.fetch("SELECT business_day FROM daily_runs ORDER BY 1")
    return [day for (day,) in found]


async def test_each_night_is_done_once_by_any_number_of_workers(
    gateway: Gateway, ledger: Database
) -> None:
    clock = At(datetime(2026, 11, 30, 1, 59, tzinfo=UTC))
    workers = [worker(gateway, clock) for _ in range(3)]
    stopping = asyncio.Event()

    async def rounds() -> None:
        await asyncio.gather(*(each.round(stopping) for each in workers))

    await rounds()
    assert await done(ledger) == [date(2026, 11, 28)], "the last one that is due"
    clock.shown += timedelta(minutes=1)
    for _ in range(2):
        await rounds()
    assert await done(ledger) == [date(2026, 11, 28), date(2026, 11, 29)]
    # Nobody worked for two nights.
    clock.shown += timedelta(days=2, hours=7)
    await rounds()
    assert await done(ledger) == [date(2026, 11, 28) + timedelta(days=n) for n in range(4)]
    assert await ledger.fetchval("SELECT count(*) FROM daily_runs WHERE finished_at IS NULL") == 0


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin"])
async def test_a_worker_has_the_task_with_its_settings(gateway: Gateway, zone: str) -> None:
    gateway.settings = msgspec.structs.replace(
        gateway.settings, nightly_at="03:30", business_zone=zone
    )
    made = supervisor.tasks(gateway)["nightly"]
    assert isinstance(made, Nightly)
    assert (made._at, str(made._zone)) == (time(3, 30), zone)
