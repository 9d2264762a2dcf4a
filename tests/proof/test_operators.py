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


async def wait_for(client: aiohttp.ClientSession, ports: list[int], reason: str) -> None:
    """Wait until every process rejects lists for this reason, or accepts them: an empty one.

    On a busy machine they may be shed for a while too, which no override says.
    """
    async with asyncio.timeout(HANG_S):
        while {await listed(client, port) for port in ports} != {reason}:
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


async def test_an_override_reaches_every_process_and_expires(
    processes: Processes,
    ports: list[int],
    client: aiohttp.ClientSession,
    ledger: "asyncpg.Pool[asyncpg.Record]",
) -> None:
    await wait_for(client, ports, "")
    command = ("shed", "order_lists", "on", "--reason", "rebuild", "--for")
    status, result = await tidegate(processes, *command, "10m")
    assert (status, result["stands"], result["where"]) == (0, True, "database")
    await wait_for(client, ports, "operator")
    # Another in its place, which may be over before the last process has heard of it.
    began_s = time.monotonic()
    assert (await tidegate(processes, *command, "2s"))[0] == 0
    await wait_for(client, ports, "")
    assert time.monotonic() - began_s > 2.0
    async with asyncio.timeout(HANG_S):
        while await ledger.fetchval("SELECT count(*) FROM switches"):
            await asyncio.sleep(0.05)
    rows = await ledger.fetch(
        "SELECT action FROM audit_log WHERE subject = 'order_lists' ORDER BY id"
    )
    assert [row["action"] for row in rows] == ["switch.set", "switch.set", "switch.end"]


async def test_a_step_begins_and_ends_in_every_process_and_is_audited_once(
    processes: Processes,
    ports: list[int],
    client: aiohttp.ClientSession,
    ledger: "asyncpg.Pool[asyncpg.Record]",
    tmp_path: Path,
) -> None:
    began_s = time.monotonic()
    await tidegate(processes, "shed")
    # A command must fit before its begin, and a look of every process into its time.
    lead_s = 3.0 + 3.0 * (time.monotonic() - began_s)
    begin, end = (datetime.now(UTC) + timedelta(seconds=n * lead_s) for n in (1, 2))
    file = tmp_path / "sale.toml"
    file.write_text(
        f'name = "sale"\n[[steps]]\ntarget = "order_lists"\nmode = "shed"\nreason = "it opens"\n'
        f"from_at = {begin.isoformat()}\nuntil = {end.isoformat()}\n"
    )
    assert (await tidegate(processes, "plan", "set", str(file)))[0] == 0
    await wait_for(client, ports, "operator")
    await wait_for(client, ports, "")
    async with asyncio.timeout(HANG_S):
        while not await ledger.fetchval("SELECT count(*) FROM audit_log WHERE action = 'plan.end'"):
            await asyncio.sleep(0.05)
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
    await wait_for(client, [port], "operator")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    await asyncio.to_thread(processes.serve, port=port)
    await wait_for(client, [port], "operator")
    assert (await tidegate(processes, "shed", "tier3", "auto"))[1]["stands"] is True
    await wait_for(client, [port], "")


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
            await wait_for(client, ports, "")
            for cable in cables.values():
                getattr(cable, how)()
            command = ("shed", "order_lists", "on", "--for", "5m", "--reason", "all is away")
            status, result = await tidegate(processes, *command)
            assert (status, result["where"]) == (0, "this machine")
            assert len(result["processes"]) == 2
            await wait_for(client, ports, "operator")
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
            await wait_for(client, ports, "operator")
    rows = await ledger.fetch("SELECT detail FROM audit_log WHERE action = 'switch.set'")
    assert len(rows) == 1
    assert "said on a gateway's machine" in rows[0]["detail"]
