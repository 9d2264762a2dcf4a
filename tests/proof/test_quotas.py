"""The rate limit of a key over two real processes: it holds for both together, not for each."""

import asyncio
import time
from collections import Counter

import msgspec
import pytest

from gateway.runtime.settings import Settings
from loadtest import sending
from ops.harness.ports import free_port
from tests.proof.test_processes import serve_two, until_connected
from tests.support.processes import Processes

RATE = 40.0
BURST = 20
SENDERS = 24
#: Seconds until each has received the other's totals and the burst through both is used up.
SETTLED_S = 3.0
MEASURED_S = 5.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, key_requests_per_s_max=RATE, key_burst=BURST)


async def test_two_processes_together_admit_the_rate_limit_of_a_key(processes: Processes) -> None:
    port = free_port()
    token = await processes.make_token("query")
    parent = await serve_two(processes, port)
    statuses: Counter[int] = Counter()
    is_over = asyncio.Event()
    headers = {"Authorization": f"Bearer {token}"}
    async with sending.session(SENDERS, base_url=f"http://127.0.0.1:{port}") as session:

        async def read_lists() -> None:
            while not is_over.is_set():
                async with session.get("/v1/orders", headers=headers) as answer:
                    await answer.read()
                statuses[answer.status] += 1
                await asyncio.sleep(0.05)

        clients = [asyncio.create_task(read_lists()) for _ in range(SENDERS)]
        shares = await until_connected(parent, port, SENDERS)
        assert min(shares) > 2, f"one process gets too few connections: {shares}"
        await asyncio.sleep(SETTLED_S)
        statuses.clear()
        began_s = time.monotonic()
        await asyncio.sleep(MEASURED_S)
        found, took_s = statuses.copy(), time.monotonic() - began_s
        is_over.set()
        await asyncio.gather(*clients)
    assert set(found) == {200, 429}, found
    assert 0.6 * RATE * took_s < found[200] < 1.5 * RATE * took_s, found
