"""An operator's override: active everywhere within 2 s, expires, and works without any store."""

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import aiohttp
import asyncpg
import msgspec
import pytest

from gateway.runtime.settings import Settings
from ops.harness.ports import free_port
from tests.support.cable import Cable, cable_to
from tests.support.patience import HANG_S
from tests.support.processes import Processes

#: From the override to the last process; and through the local socket, without any store.
REACHED_S = 2.0
REACHED_LOCALLY_S = 5.0
#: How late the end of an override may be.
LATE_S = 1.0
_serial = itertools.count()


@pytest.fixture
async def cables(settings: Settings) -> AsyncIterator[dict[str, Cable]]:
    async with cable_to(settings.database_url) as ledger, cable_to(settings.redis_url) as valkey:
        yield {"ledger": ledger, "valkey": valkey}


@pytest.fixture
def behind_cables(settings: Settings, cables: dict[str, Cable], tmp_path: Path) -> Settings:
    return msgspec.structs.replace(
        settings,
        database_url=cables["ledger"].url,
        redis_url=cables["valkey"].url,
        journal_url=cables["valkey"].url,
        control_dir=str(tmp_path / "control"),
    )


async def tidegate(processes: Processes, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command with --json."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.cli", *arguments, "--json",
        env=processes.environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, json.loads(output) if output.strip() else {}


async def listed(client: aiohttp.ClientSession, port: int) -> str:
    """Request a list; return the reason of its rejection, "" when it is answered."""
    # Another page each time: the response cache would answer the same one for a while.
    page = f"/v1/orders?order_no=n{next(_serial)}"
    async with client.get(f"http://127.0.0.1:{port}{page}") as answer:
        if answer.status == 503:
            problem = await answer.json(content_type=None)
            return str(problem.get("context", {}).get("reason", problem["type"]))
        return ""


async def wait_for(
    client: aiohttp.ClientSession, ports: list[int], reason: str, within_s: float
) -> float:
    """Return the seconds until every process rejects lists for this reason; "": admits them."""
    began_s = time.monotonic()
    while True:
        reasons = [await listed(client, port) for port in ports]
        elapsed_s = time.monotonic() - began_s
        if all(each == reason for each in reasons):
            return elapsed_s
        assert elapsed_s < within_s, reasons
        await asyncio.sleep(0.02)


@pytest.fixture
async def ports(processes: Processes) -> list[int]:
    made = [free_port(), free_port()]
    for port in made:
        await asyncio.to_thread(processes.serve, port=port)
    return made


@pytest.fixture
async def client(processes: Processes) -> AsyncIterator[aiohttp.ClientSession]:
    token = await processes.make_token("query")
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield session


async def test_an_override_reaches_every_process_in_two_seconds_and_expires_in_time(
    processes: Processes,
    ports: list[int],
    client: aiohttp.ClientSession,
    ledger: "asyncpg.Pool[asyncpg.Record]",
) -> None:
    await wait_for(client, ports, "", 5.0)
    command = ("shed", "order_lists", "on", "--for", "4s", "--reason", "rebuild")
    status, result = await tidegate(processes, *command)
    set_s = time.monotonic()
    assert (status, result["stands"], result["where"]) == (0, True, "database")
    await wait_for(client, ports, "operator", REACHED_S)
    # It was set a moment before the command returned.
    await wait_for(client, ports, "", 4.0 + LATE_S)
    assert time.monotonic() - set_s > 1.0
    async with asyncio.timeout(HANG_S):
        while await ledger.fetchval("SELECT count(*) FROM switches"):
            await asyncio.sleep(0.05)
    rows = await ledger.fetch(
        "SELECT action FROM audit_log WHERE subject = 'order_lists' ORDER BY id"
    )
    assert [row["action"] for row in rows] == ["switch.set", "switch.end"]


async def test_a_step_begins_and_ends_in_every_process_and_is_audited_once(
    processes: Processes,
    ports: list[int],
    client: aiohttp.ClientSession,
    ledger: "asyncpg.Pool[asyncpg.Record]",
    tmp_path: Path,
) -> None:
    begin = datetime.now(UTC) + timedelta(seconds=3)
    file = tmp_path / "sale.toml"
    file.write_text(
        f'name = "sale"\n[[steps]]\ntarget = "order_lists"\nmode = "shed"\nreason = "it opens"\n'
        f"from_at = {begin.isoformat()}\nuntil = {(begin + timedelta(seconds=3)).isoformat()}\n"
    )
    assert (await tidegate(processes, "plan", "set", str(file)))[0] == 0
    await wait_for(client, ports, "operator", 3.0 + LATE_S)
    await wait_for(client, ports, "", 3.0 + LATE_S)
    # Every process has refreshed since.
    await asyncio.sleep(2.0)
    rows = await ledger.fetch("SELECT action, subject FROM audit_log ORDER BY id")
    assert [tuple(row) for row in rows][-3:] == [
        ("plan.set", "sale"), ("plan.begin", "order_lists"), ("plan.end", "order_lists"),
    ]  # fmt: skip


async def test_an_override_outlives_the_process(
    processes: Processes, client: aiohttp.ClientSession
) -> None:
    port = free_port()
    first = await asyncio.to_thread(processes.serve, port=port)
    command = ("shed", "tier3", "on", "--for", "5m", "--reason", "rebuild")
    assert (await tidegate(processes, *command))[0] == 0
    await wait_for(client, [port], "operator", REACHED_S)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    await asyncio.to_thread(processes.serve, port=port)
    await wait_for(client, [port], "operator", REACHED_S)
    assert (await tidegate(processes, "shed", "tier3", "auto"))[1]["stands"] is True
    await wait_for(client, [port], "", REACHED_S)


@pytest.mark.parametrize("how", ["cut", "silence"])
async def test_without_any_store_an_override_is_active_on_the_machine_and_flushed_later(
    how: Literal["cut", "silence"],
    behind_cables: Settings,
    cables: dict[str, Cable],
    ledger: "asyncpg.Pool[asyncpg.Record]",
    tmp_path: Path,
) -> None:
    (tmp_path / "behind").mkdir()
    with Processes(behind_cables, directory=tmp_path / "behind") as processes:
        ports = [free_port(), free_port()]
        for port in ports:
            await asyncio.to_thread(processes.serve, port=port)
        token = await processes.make_token("query")
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as client:
            await wait_for(client, ports, "", 5.0)
            for cable in cables.values():
                getattr(cable, how)()
            began_s = time.monotonic()
            command = ("shed", "order_lists", "on", "--for", "5m", "--reason", "all is away")
            status, result = await tidegate(processes, *command)
            assert (status, result["where"]) == (0, "this machine")
            assert len(result["processes"]) == 2
            await wait_for(client, ports, "operator", REACHED_LOCALLY_S)
            assert time.monotonic() - began_s < REACHED_LOCALLY_S
            # To shed the core takes two people, also now.
            core = ("shed", "callbacks", "on", "--reason", "panic")
            assert (await tidegate(processes, *core))[0] == 1
            shown = (await tidegate(processes, "shed"))[1]
            assert [mode["target"] for mode in shown["modes"]] == ["order_lists"]
            assert await ledger.fetchval("SELECT count(*) FROM switches") == 0
            for cable in cables.values():
                cable.mend()
            async with asyncio.timeout(HANG_S):
                while not await ledger.fetchval("SELECT count(*) FROM switches"):
                    await asyncio.sleep(0.05)
            assert list((tmp_path / "control").glob("*.change")) == []
            await wait_for(client, ports, "operator", REACHED_S)
    rows = await ledger.fetch("SELECT detail FROM audit_log WHERE action = 'switch.set'")
    assert len(rows) == 1
    assert "said on a gateway's machine" in rows[0]["detail"]
