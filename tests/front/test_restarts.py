"""Core gateways are stopped and killed behind a front: no acknowledged order is lost."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

import aiohttp

from gateway.runtime.settings import Settings
from loadtest import ledger_contents, sending, verify
from loadtest.history import NO_ANSWER
from ops.harness.ports import free_port
from tests.support import fronts
from tests.support.fronts import Kind
from tests.support.patience import HANG_S
from tests.support.payers import Payers
from tests.support.processes import Processes
from tests.support.shoppers import Shoppers

SENDERS = 16
#: The answers of a front for a gateway that ended during a request. haproxy may also close the
#: connection: on a kept-alive connection its client knows to send the request again.
FRONT_STATUSES = (NO_ANSWER, 502, 503, 504)


async def test_gateways_that_end_and_come_back_lose_no_acknowledged_order(
    front_kind: Kind, processes: Processes, payers: Payers, settings: Settings, tmp_path: Path
) -> None:
    processes.environment["TIDEGATE_KEEPALIVE_S"] = "75"
    token = await processes.make_token("ingest")
    processes.start("work")
    ports = [free_port(), free_port()]
    running = {
        port: await asyncio.to_thread(processes.serve, port=port, role="core") for port in ports
    }
    with fronts.running(front_kind, core=ports, query=[free_port()], directory=tmp_path) as port:
        async with sending.session(SENDERS, base_url=f"http://127.0.0.1:{port}") as session:
            sender = sending.Sender(session, token=token)
            shoppers = Shoppers(payers=payers, sender=sender, seed=1)
            async with shoppers.shopping(SENDERS):
                for how in (signal.SIGTERM, signal.SIGKILL):
                    for each in ports:
                        await until_answered(shoppers, 50)
                        running[each].send_signal(how)
                        # The other one continues, before and after the front finds out.
                        await until_answered(shoppers, 100)
                        status = await asyncio.to_thread(running[each].wait, 15)
                        assert status == (0 if how == signal.SIGTERM else -signal.SIGKILL)
                        if how == signal.SIGTERM:
                            at_drain = failures(shoppers)
                        running[each] = await asyncio.to_thread(
                            processes.serve, port=each, role="core"
                        )
                        # As in a rolling restart.
                        await until_in_use(each)
                await until_answered(shoppers, 50)
    # A drained gateway answers what it accepted: only requests of its last moment may have failed.
    assert at_drain.total() <= SENDERS // 2, at_drain
    assert set(failures(shoppers)) <= set(FRONT_STATUSES)
    await ledger_contents.settle(settings.database_url, "", within_s=HANG_S)
    found = await ledger_contents.read_from(settings.database_url)
    checks = verify.verify(shoppers.history, found, tolerated=FRONT_STATUSES)
    assert [check.name for check in checks if not check.ok] == []


async def until_answered(shoppers: Shoppers, more: int) -> None:
    wanted = acknowledged(shoppers) + more
    async with asyncio.timeout(HANG_S):
        while acknowledged(shoppers) < wanted:
            await asyncio.sleep(0.02)


async def until_in_use(port: int) -> None:
    """Wait until the front sends orders to the gateway on this port again."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(HANG_S):
        while True:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                if 'route="orders.submit"' in await answer.text():
                    return
            await asyncio.sleep(0.05)


def acknowledged(shoppers: Shoppers) -> int:
    return sum(n for status, n in shoppers.history.statuses().items() if status in (200, 201))


def failures(shoppers: Shoppers) -> Counter[int]:
    statuses = shoppers.history.statuses()
    return Counter({each: n for each, n in statuses.items() if each not in (200, 201)})
