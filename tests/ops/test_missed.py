"""`tidegate missed`: what it lists, pushes and exports, and what it says when it cannot."""

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.wiring import Gateway
from tests.ops.conftest import Cli
from tests.stores.missed_support import attempted, delivery, told
from tests.stores.support import Database

TARGET = """
[[accounts]]
provider = "standard_webhooks"
name = "warehouse"
channels = ["web"]
secrets = ["env:WAREHOUSE_SECRET"]
options = { target = "wms" }
[[targets]]
name = "wms"
kind = "redis_stream"
url = "redis://127.0.0.1:6379/0"
accepts = "callback"
missed_after_s = 600.0
options = { stream = "orders" }
[[targets]]
name = "bus"
kind = "redis_stream"
url = "redis://127.0.0.1:6379/0"
options = { stream = "orders" }
"""

Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def run(cli: Cli, tmp_path: Path) -> Run:
    """``tidegate missed`` with a warehouse that accepts by callback."""
    (tmp_path / "wms.toml").write_text(TARGET)

    async def ran(*arguments: str) -> Any:
        config = str(tmp_path / "wms.toml")
        return await asyncio.to_thread(cli, "missed", *arguments, TIDEGATE_CONFIG=config)

    return ran


async def test_it_lists_the_last_attempt_and_its_reason(
    run: Run, gateway: Gateway, ledger: Database
) -> None:
    await told(gateway, ledger, 1, age_s=4000)
    await attempted(ledger, "failed", 503, "busy")
    await delivery(ledger, is_dead=True)
    shown = await run("list", "--wide")
    assert shown.exit_code == 0, shown.stderr
    head, line = shown.stdout.splitlines()
    assert head.split()[:4] == ["ORDER", "CHANNEL", "TARGET", "AGE"]
    assert line.startswith("W-1    web      wms     1 h 6 min  dead letter")
    assert line.endswith("503: busy")
    (row,) = json.loads((await run("list", "--json")).stdout)
    assert (row["order_no"], row["standing"], row["target"]) == ("W-1", "dead letter", "wms")
    assert 4000 <= row["age_s"] < 4100
    assert (await run("list", "--channel", "app")).stderr == "no missed orders\n"


async def test_a_dry_run_pushes_nothing_and_a_push_what_is_named(
    run: Run, gateway: Gateway, ledger: Database
) -> None:
    for n in (1, 2, 3):
        await told(gateway, ledger, n)
    dry = await run("push", "--all", "--dry-run")
    assert dry.stdout.splitlines() == [f"web/W-{n} to wms: would be pushed" for n in (1, 2, 3)]
    assert await ledger.fetchval("SELECT count(*) FROM deliveries") == 0
    some = await run("push", "W-2", "W-9")
    assert some.exit_code == 1
    assert some.stdout == "web/W-2 to wms: pushed\n"
    assert some.stderr.startswith("Error: W-9: not missed by wms; ")
    assert await ledger.fetchval("SELECT count(*) FROM deliveries") == 1
    told_of = json.loads((await run("push", "--all", "--json")).stdout)
    assert [each["is_pushed"] for each in told_of["orders"]] == [True] * 3
    assert await ledger.fetchval("SELECT count(*) FROM deliveries WHERE due_at <= now()") == 3
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 4


async def test_a_disabled_target_is_named(run: Run, gateway: Gateway, ledger: Database) -> None:
    await told(gateway, ledger)
    await ledger.execute("INSERT INTO targets (name, disabled_at) VALUES ('wms', now())")
    pushed = await run("push", "--all")
    assert pushed.stdout == "web/W-1 to wms: not pushed: the target is disabled\n"
    assert (pushed.exit_code, pushed.stderr) == (1, "Error: enable wms first, and push again\n")
    assert "wms (disabled)" in (await run("list")).stdout


async def test_an_export_has_every_missed_order(
    run: Run, gateway: Gateway, ledger: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.commands.missed._PAGE", 2)
    for n in range(5):
        await told(gateway, ledger, n, age_s=800 - n)
    path = tmp_path / "missed.csv"
    assert (await run("export", "--output", str(path))).exit_code == 0
    text = path.read_bytes().decode()
    assert (await run("export")).stdout.count("\n") == text.count("\n") == 6
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["order_no"] for row in rows] == [f"W-{n}" for n in range(5)]
    assert {row["standing"] for row in rows} == {"not tried"}


async def test_it_says_what_is_wrong(run: Run, cli: Cli) -> None:
    none = await asyncio.to_thread(cli, "missed", "list")
    assert none.exit_code == 2
    assert "no target accepts orders" in none.stderr
    other = await run("list", "--target", "bus")
    assert (other.exit_code, other.stderr) == (
        2,
        "Error: --target bus accepts no orders; there are wms\n",
    )
    for arguments in (("push",), ("push", "--all", "W-1")):
        assert (await run(*arguments)).stderr == "Error: name the orders, or give --all\n"
