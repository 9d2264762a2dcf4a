"""Several processes on one port: no duplicates, a dead child is replaced, drains lose nothing."""

import asyncio
import signal
import subprocess
import time
from collections import Counter

import asyncpg
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from gateway.runtime.settings import Settings
from loadtest import ledger_contents, orders, sending, verify
from loadtest.history import NO_ANSWER, NOT_CONNECTED, History
from ops.harness.ports import free_port
from tests.support.patience import HANG_S, until
from tests.support.payers import Payers
from tests.support.processes import Processes
from tests.support.shoppers import Shoppers

AT_ONCE = 100
SENDERS = 32


def tree(parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    process = psutil.Process(parent.pid)
    return [process, *process.children(recursive=True)]


def connections(process: psutil.Process, port: int) -> int:
    """The number of established connections of a process."""
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
        for each in process.net_connections("tcp")
    )


async def serve_two(processes: Processes, port: int) -> subprocess.Popen[bytes]:
    """Start two processes; return their parent once both listen."""
    parent = await asyncio.to_thread(processes.serve, port=port, count=2)
    await until_listening(parent, port)
    return parent


async def until_listening(parent: subprocess.Popen[bytes], port: int) -> None:
    async with asyncio.timeout(HANG_S):
        while not all(is_listening(child, port) for child in tree(parent)[1:]):
            await asyncio.sleep(0.05)


def is_listening(process: psutil.Process, port: int) -> bool:
    return any(
        each.status == psutil.CONN_LISTEN and each.laddr.port == port
        for each in process.net_connections("tcp")
    )


async def until_connected(parent: subprocess.Popen[bytes], port: int, wanted: int) -> list[int]:
    """Wait until the children together have so many connections; return the number of each."""
    async with asyncio.timeout(HANG_S):
        while True:
            shares = [connections(child, port) for child in tree(parent)[1:]]
            if sum(shares) >= wanted:
                return shares
            await asyncio.sleep(0.05)


async def test_100_identical_requests_at_once_on_two_processes_are_one_order(
    processes: Processes, payers: Payers, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    port = free_port()
    token = await processes.make_token("ingest")
    parent = await serve_two(processes, port)
    history = History()
    async with sending.session(AT_ONCE, base_url=f"http://127.0.0.1:{port}") as session:
        sender = sending.Sender(session, token=token)

        async def greet() -> None:
            async with session.get("/healthz") as answer:
                await answer.read()

        for n in range(10):
            account, channel = payers.pick(n)
            content = orders.order(n, prefix="same", channel=channel)
            # With and without a request id: each case has a unique key of its own.
            order = sending.order(content, history, request_id=f"k{n}" if n % 2 else "")
            payment = sending.payment(order.sent, account, history, amount=order.sent.payable)
            # Connections first, so that the requests leave at one instant.
            await asyncio.gather(*(greet() for _ in range(AT_ONCE)))
            shares = await until_connected(parent, port, AT_ONCE)
            assert min(shares) > 10, f"one process gets too few connections: {shares}"
            await asyncio.gather(*(sender.send(order) for _ in range(AT_ONCE)))
            await asyncio.gather(*(sender.send(payment) for _ in range(AT_ONCE)))
            assert Counter(answer.status for answer in order.sent.answers) == {201: 1, 200: 99}
            assert len({answer.id for answer in order.sent.answers}) == 1
            assert all(answer.is_promise for answer in payment.sent.answers)
    assert await ledger.fetchval("SELECT count(*) FROM orders WHERE status = 'paid'") == 10
    assert broken(history, await ledger_contents.read(ledger)) == []


async def test_a_killed_child_is_replaced_and_nothing_acknowledged_is_lost(
    processes: Processes, payers: Payers, settings: Settings
) -> None:
    port = free_port()
    token = await processes.make_token("ingest")
    processes.start("work")
    parent = await serve_two(processes, port)
    async with sending.session(SENDERS, base_url=f"http://127.0.0.1:{port}") as session:
        sender = sending.Sender(session, token=token)
        shoppers = Shoppers(payers=payers, sender=sender, seed=1)
        async with shoppers.shopping(SENDERS):
            for _ in range(3):
                await until_connected(parent, port, SENDERS // 2)
                await until_listening(parent, port)
                victim = max(tree(parent)[1:], key=lambda child: connections(child, port))
                answered = count_answered(shoppers.history)
                victim.kill()
                # The other one continues meanwhile.
                async with asyncio.timeout(HANG_S):
                    while count_answered(shoppers.history) < answered + 50:
                        await asyncio.sleep(0.02)
                    while len(tree(parent)) != 3 or victim in tree(parent):
                        await asyncio.sleep(0.05)
    await ledger_contents.settle(settings.database_url, "", within_s=HANG_S)
    found = await ledger_contents.read_from(settings.database_url)
    assert broken(shoppers.history, found, NO_ANSWER, NOT_CONNECTED, 503) == []


@pytest.mark.parametrize(
    ("count", "how"),
    [(1, signal.SIGTERM), (2, signal.SIGTERM), (2, signal.SIGKILL)],
    ids=["one process", "two processes", "their supervisor killed"],
)
async def test_accepted_requests_are_answered_before_the_processes_end(
    processes: Processes, payers: Payers, settings: Settings, count: int, how: signal.Signals
) -> None:
    port = free_port()
    token = await processes.make_token("ingest")
    if count == 2:
        parent = await serve_two(processes, port)
    else:
        parent = await asyncio.to_thread(processes.serve, port=port)
    async with sending.session(SENDERS, base_url=f"http://127.0.0.1:{port}") as session:
        sender = sending.Sender(session, token=token)
        shoppers = Shoppers(payers=payers, sender=sender, seed=1, stops_at_failure=True)
        async with shoppers.shopping(SENDERS):
            await asyncio.sleep(1.0)
            family = tree(parent)
            began_s = time.monotonic()
            parent.send_signal(how)
            _, left = await asyncio.to_thread(psutil.wait_procs, family, HANG_S)
            took_s = time.monotonic() - began_s
            # Each sender gives up at the first that is not acknowledged; nobody listens any more.
            await until(lambda: count_failed(shoppers.history) == SENDERS)
    assert left == []
    if how == signal.SIGTERM:
        assert parent.wait(HANG_S) == 0, processes.log_path.read_text()[-2000:]
    statuses = shoppers.history.statuses()
    assert statuses[NOT_CONNECTED] == SENDERS, f"cut off: {statuses}, gone in {took_s:.1f} s"
    assert set(statuses) <= {200, 201, NOT_CONNECTED}
    processes.start("work")
    await ledger_contents.settle(settings.database_url, "", within_s=HANG_S)
    found = await ledger_contents.read_from(settings.database_url)
    # An event whose order was never placed keeps waiting.
    assert broken(shoppers.history, found, NOT_CONNECTED) in ([], ["events that still wait"])


def count_failed(history: History) -> int:
    return sum(count for status, count in history.statuses().items() if status not in (200, 201))


def count_answered(history: History) -> int:
    return sum(count for status, count in history.statuses().items() if status in (200, 201))


def broken(history: History, found: ledger_contents.Stored, *tolerated: int) -> list[str]:
    checks = verify.verify(history, found, tolerated=tolerated)
    return [check.name for check in checks if not check.ok]
