"""`tidegate deliveries targets | disable | enable | forget`."""

import asyncio
import json
from typing import Any

import pytest

from gateway.wiring import Gateway
from tests.ops.conftest import Cli
from tests.stores.support import Database
from tests.workers.handoff import Receiver, opened, targets
from tests.workers.test_dispatcher import staged

LONG_AGO = "UPDATE targets SET known_at = now() - interval '2 minutes'"


async def run(cli: Cli, *arguments: str) -> Any:
    return await asyncio.to_thread(cli, "deliveries", *arguments)


async def test_a_target_is_disabled_and_enabled_with_a_reason(
    cli: Cli, gateway: Gateway, ledger: Database
) -> None:
    await staged(gateway, targets(opened(Receiver())), 1)
    shown = await run(cli, "disable", "wms", "their maintenance")
    assert (shown.exit_code, shown.stdout) == (0, "wms is disabled\n")
    assert (await run(cli, "disable", "wms", "again")).stdout == "wms was disabled before\n"
    (row,) = json.loads((await run(cli, "targets", "--json")).stdout)
    assert (row["name"], row["disabled_reason"], row["pending"]) == ("wms", "their maintenance", 2)
    assert (await run(cli, "enable", "wms", "they are back")).stdout == "wms is enabled\n"
    actions = await ledger.fetch("SELECT action FROM audit_log ORDER BY id")
    assert [action for (action,) in actions] == ["disable_target", "enable_target"]


async def test_a_target_is_forgotten_once_no_worker_has_it(
    cli: Cli, gateway: Gateway, ledger: Database
) -> None:
    await staged(gateway, targets(opened(Receiver())), 1)
    shown = await run(cli, "forget", "wms", "replaced")
    assert shown.exit_code == 1
    assert "that a worker has in its settings is taken out there first" in shown.stderr
    await ledger.execute(LONG_AGO)
    shown = await run(cli, "forget", "wms", "replaced")
    assert (shown.exit_code, shown.stdout) == (0, "wms is forgotten, and 2 deliveries to it\n")
    assert (await run(cli, "targets")).stderr == "no worker has seen a target in its settings\n"
    assert await ledger.fetchval("SELECT count(*) FROM deliveries") == 0


@pytest.mark.parametrize("switch", ["disable", "enable", "forget"])
async def test_a_reason_is_asked_for(switch: str, cli: Cli) -> None:
    shown = await run(cli, switch, "wms", " ")
    assert shown.exit_code == 2
    assert "1 to 500 printable characters" in shown.stderr
