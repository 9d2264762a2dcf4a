"""Dead letters, replayed twice at once: each is delivered, and none of them twice.

DEAD_LETTERS=10000 tries as many.
"""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import aiohttp
import asyncpg
import msgspec
import pytest

from gateway.runtime.settings import Settings
from gateway.runtime.settings_targets import Target
from loadtest import orders
from loadtest.deployment import new_secret
from loadtest.handoff import recorder
from loadtest.handoff.recorder import Behaviour
from ops.harness.ports import free_port
from tests.support.patience import until
from tests.support.processes import Processes

LETTERS, ORDERS = int(os.environ.get("DEAD_LETTERS") or 1000), 100
TARGET = "warehouse"
#: As many events of each order.
_STAGE = """
INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
SELECT gen_random_uuid(), id, version, 'order.placed', 5, now()
  FROM generate_series(1, $1) n CROSS JOIN orders ORDER BY n, id
"""
_ENDED = """
SELECT event_id, count(*)::int FROM delivery_attempts WHERE outcome = 'delivered' GROUP BY 1
"""


@pytest.fixture
def receipts(tmp_path: Path) -> Path:
    return tmp_path / "receipts.jsonl"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, port: int) -> Settings:
    secret = tmp_path / "secret"
    secret.write_text(new_secret())
    target = Target(
        name=TARGET,
        kind="webhook",
        url=f"http://127.0.0.1:{port}/hand-off",
        secrets=[f"file:{secret}"],
        private_addresses=["127.0.0.1"],
        attempts_max=1,
    )
    return msgspec.structs.replace(settings, targets=[target])


async def place(url: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as client:
        for n in range(ORDERS):
            async with client.post(f"{url}/v1/orders", data=orders.order_bytes(n)) as answer:
                assert answer.status == 201, await answer.text()


async def behave(port: int, behaviour: Behaviour) -> None:
    async with aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{port}/behave"
        (await client.post(url, data=msgspec.json.encode(behaviour))).raise_for_status()


async def test_each_is_delivered_once_however_often_they_are_replayed(
    processes: Processes, settings: Settings, tmp_path: Path, receipts: Path, port: int
) -> None:
    token = await processes.make_token("ingest")
    gateway_port = free_port()
    await asyncio.to_thread(processes.serve, port=gateway_port)
    await place(f"http://127.0.0.1:{gateway_port}", token)
    processes.start_module(
        "loadtest.handoff.recorder",
        f"--port={port}",
        f"--secret-file={tmp_path / 'secret'}",
        f"--file={receipts}",
    )
    processes.start("work")
    ledger = await asyncpg.connect(settings.database_url)
    try:
        # What was staged before the worker first read of the target is none of the target's.
        await until(lambda: _is_idle(ledger, dead=0))
        # Not unwell: it answers, and wants nothing of this. Each is tried, and is dead at once.
        await until(lambda: _behaves(port, Behaviour(status=422)))
        await ledger.execute(_STAGE, LETTERS // ORDERS)
        await until(lambda: _is_idle(ledger, dead=LETTERS), every_s=0.1)
        assert recorder.read(receipts) == []

        await behave(port, Behaviour())
        began_s = time.monotonic()
        replay = ("deliveries", "replay", "--target", TARGET, "--per-s", "100000")
        twice = [processes.start(*replay) for _ in range(2)]
        assert [await asyncio.to_thread(each.wait) for each in twice] == [0, 0]
        await until(lambda: _is_idle(ledger, dead=0), every_s=0.1)
        took_s = time.monotonic() - began_s
        again = processes.start(*replay)
        assert await asyncio.to_thread(again.wait) == 0
        await until(lambda: _is_idle(ledger, dead=0))

        ended = dict([tuple(row) for row in await ledger.fetch(_ENDED)])
    finally:
        await ledger.close()
    received = recorder.read(receipts)
    print(f"{LETTERS:,} dead letters replayed twice and delivered in {took_s:.1f} s")
    assert Counter(ended.values()) == {1: LETTERS}
    assert Counter(Counter(each.event_id for each in received).values()) == {1: LETTERS}
    assert {each.event_id for each in received} == set(ended)


async def _is_idle(ledger: "asyncpg.Connection[asyncpg.Record]", *, dead: int) -> bool:
    """Whether nothing waits to be relayed or attempted, and so many are dead."""
    found = await ledger.fetchrow(
        "SELECT (SELECT count(*) FROM outbox),"
        " count(*) FILTER (WHERE dead_at IS NULL), count(*) FILTER (WHERE dead_at IS NOT NULL)"
        " FROM deliveries"
    )
    return tuple(found) == (0, 0, dead)


async def _behaves(port: int, behaviour: Behaviour) -> bool:
    try:
        await behave(port, behaviour)
    except aiohttp.ClientConnectionError:
        return False
    return True
