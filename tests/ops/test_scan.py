"""`tidegate scan`: runs a day, shows its report, and says what is wrong."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gateway.wiring import Gateway
from tests.domain.support import due, paid
from tests.ops.conftest import Cli
from tests.stores.support import Database, submit, tell
from workers import nightly_scan

Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def run(cli: Cli) -> Run:
    """``tidegate scan`` with days of UTC."""

    async def ran(*arguments: str) -> Any:
        return await asyncio.to_thread(
            cli, "scan", *arguments, TIDEGATE_BUSINESS_ZONE="UTC", TIDEGATE_REFUND_OWED_H="1"
        )

    return ran


async def test_it_runs_a_day_and_shows_what_it_found(
    run: Run, gateway: Gateway, ledger: Database
) -> None:
    today = str(datetime.now(UTC).date())
    assert (await run("show")).stderr == "Error: no day was scanned\n"
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid())
    ran = await run("run", "--day", today)
    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout.splitlines()[0].startswith(f"{today}: 1 payments, 1 orders, 0 held, 0 wait")
    assert ran.stdout.splitlines()[1] == "all of it agrees"
    await ledger.execute("UPDATE orders SET paid = 90")
    ran = await run("run", "--day", today, "--wide")
    shown = await run("show", "--wide")
    assert ran.stdout == shown.stdout
    assert "sum_differs: 1, of which 1 new" in shown.stdout
    assert "sum_differs  web      W-1    paid 90.00 CNY, by its payments 100.00" in shown.stdout
    report = json.loads((await run("show", "--day", today, "--json")).stdout)
    assert (report["business_day"], report["found"]) == (today, {"sum_differs": 1})


async def test_it_says_how_far_a_scan_is(run: Run, gateway: Gateway) -> None:
    today = datetime.now(UTC).date()
    runs = nightly_scan.runs_of(gateway.stores.primary, holder=gateway.new_id())
    await runs.claim(today)
    await runs.renew(today, {"part": "orders", "payments": 7, "orders": 2})
    shown = (await run("show")).stdout
    assert shown.startswith(f"the scan of {today} began at ")
    assert shown.endswith("is at orders: 2 orders, 7 payments\n")
    taken = await run("run", "--day", str(today))
    assert taken.exit_code == 1
    assert taken.stderr.startswith(f"Error: {today} is being scanned by a worker")


async def test_without_a_day_it_is_the_last_one_that_is_over(run: Run, ledger: Database) -> None:
    before = datetime.now(UTC).date()
    assert (await run("run")).exit_code == 0
    after = datetime.now(UTC).date()
    days: set[date] = {row[0] for row in await ledger.fetch("SELECT business_day FROM daily_runs")}
    assert days <= {before - timedelta(days=1), after - timedelta(days=1)}


async def test_wrong_days_are_named(run: Run) -> None:
    for command in ("run", "show"):
        wrong = await run(command, "--day", "29.11.2026")
        assert wrong.exit_code == 2
        assert "is no date: write it YYYY-MM-DD" in wrong.stderr
    assert (await run("run", "--day", "2999-01-01")).stderr == (
        "Error: --day 2999-01-01 has not begun\n"
    )
    assert (
        await run("show", "--day", "2020-01-01")
    ).stderr == "Error: 2020-01-01 was not scanned\n"
