"""The servers behind the gateway fail under load: slower answers or 503, and no loss.

These tests have servers of their own: they kill, freeze and empty them. There is no journal: it
has proofs of its own.
"""

import asyncio
import contextlib
import json
import random
import signal
from collections.abc import AsyncIterator, Iterator

import aiohttp
import msgspec
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest
import redis

from gateway.runtime.settings import Settings
from loadtest import ledger_contents, orders, sending, verify
from loadtest.history import Answer, History
from loadtest.sending import Callback, Order
from ops.embedded.cluster import PRIMARY, VALKEY, Servers
from ops.harness.ports import free_port
from tests.support.patience import HANG_S
from tests.support.payers import Payers
from tests.support.processes import Processes
from tests.support.shoppers import Shoppers

SENDERS = 24


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers(replica=True, fsync=False) as started:
        yield started


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # The journal would be that of ``redis_url``, which is not durable.
    return msgspec.structs.replace(settings, journal_url="")


@pytest.fixture
async def session(processes: Processes) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to a gateway with a worker beside it."""
    port = free_port()
    processes.start("work")
    await asyncio.to_thread(processes.serve, port=port)
    async with sending.session(2 * SENDERS, base_url=f"http://127.0.0.1:{port}") as opened:
        yield opened


async def broken(settings: Settings, history: History, *tolerated: int) -> list[str]:
    """Wait until all has settled, compare, replica included; return the failed checks."""
    primary, replica = settings.database_url, settings.replica_urls
    await ledger_contents.settle(primary, replica, within_s=HANG_S)
    checks = verify.verify(history, await ledger_contents.read_from(primary), tolerated=tolerated)
    checks += verify.compare(
        await ledger_contents.table_digests(primary), await ledger_contents.table_digests(replica)
    )
    return [f"{check.name}: {check.wrong}" for check in checks if not check.ok]


async def test_emptying_valkey_during_10000_repeats_stores_no_duplicate(
    processes: Processes,
    payers: Payers,
    settings: Settings,
    session: aiohttp.ClientSession,
    valkey: "redis.Redis",
) -> None:
    history = History()
    sender = sending.Sender(session, token=await processes.make_token("ingest"))
    messages: list[Order | Callback] = []
    for n in range(500):
        account, channel = payers.pick(n)
        content = orders.order(n, prefix="again", channel=channel)
        order = sending.order(content, history, request_id=f"k{n}" if n % 2 else "")
        messages += [
            order,
            sending.payment(order.sent, account, history, amount=order.sent.payable),
        ]
    rng = random.Random(1)
    messages = [message for message in messages for _ in range(10)]
    rng.shuffle(messages)
    emptied_at = {2_000, 4_000, 6_000, 8_000}

    async def send() -> None:
        while messages:
            if len(messages) in emptied_at:
                valkey.flushall()
            await sender.send(messages.pop())

    async with asyncio.TaskGroup() as senders:
        for _ in range(SENDERS):
            senders.create_task(send())
    assert sender.attempts == 10_000
    assert history.statuses() == {200: 9_500, 201: 500}
    assert await broken(settings, history) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_without_valkey_everything_works_slower(
    processes: Processes,
    payers: Payers,
    settings: Settings,
    session: aiohttp.ClientSession,
    servers: Servers,
    how: signal.Signals,
) -> None:
    sender = sending.Sender(session, token=await processes.make_token("ingest"))
    shoppers = Shoppers(payers=payers, sender=sender, seed=1)
    async with shoppers.shopping(SENDERS):
        await asyncio.sleep(0.5)
        before = sender.attempts
        with unavailable(servers, VALKEY, how):
            await asyncio.sleep(2.5)
            meanwhile = sender.attempts - before
        await asyncio.sleep(1.0)
    assert meanwhile > 0
    assert set(shoppers.history.statuses()) == {200, 201}
    assert await broken(settings, shoppers.history) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_without_postgres_the_answer_is_503_until_it_is_back(
    processes: Processes,
    payers: Payers,
    settings: Settings,
    session: aiohttp.ClientSession,
    servers: Servers,
    how: signal.Signals,
) -> None:
    token = await processes.make_token("ingest")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    sender = sending.Sender(session, token=token)
    shoppers = Shoppers(payers=payers, sender=sender, seed=1)
    probe = sending.order(orders.order(0, prefix="probe"), shoppers.history)
    async with shoppers.shopping(SENDERS):
        await asyncio.sleep(0.5)
        with unavailable(servers, PRIMARY, how):
            async with session.post("/v1/orders", data=probe.body, headers=headers) as rejected:
                probe.sent.answers.append(Answer(rejected.status))
                assert rejected.status == 503
                assert int(rejected.headers["Retry-After"]) >= 1
            assert await status_of(session, "/readyz") == 503
            assert await status_of(session, "/healthz") == 200
            await asyncio.sleep(1.5)
        # The gateway is not restarted: it recovers by itself.
        async with asyncio.timeout(HANG_S):
            while await status_of(session, "/readyz") != 200:
                await asyncio.sleep(0.1)
        answered = accepted(shoppers)
        async with asyncio.timeout(HANG_S):
            while accepted(shoppers) <= answered + 100:
                await asyncio.sleep(0.1)
    statuses = shoppers.history.statuses()
    # Nobody gave up: after ``sending.ANSWER_S`` a sender notes that there was no answer.
    assert set(statuses) == {200, 201, 503}
    assert await broken(settings, shoppers.history, 503) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_without_postgres_orders_are_read_on_the_replica_with_their_age(
    processes: Processes,
    session: aiohttp.ClientSession,
    settings: Settings,
    servers: Servers,
    how: signal.Signals,
) -> None:
    token = await processes.make_token("ingest", "query")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps(orders.order(0, prefix="read"))
    async with session.post("/v1/orders", data=body, headers=headers) as placed:
        assert placed.status == 201
        path = placed.headers["Location"]

    async def read() -> tuple[int, int | None, str]:
        async with session.get(path, headers=headers) as answer:
            age = answer.headers.get("Age")
            return answer.status, None if age is None else int(age), await answer.text()

    async def read_without_age() -> tuple[int, int | None, str]:
        async with asyncio.timeout(HANG_S):
            while (answer := await read())[1] is not None:
                await asyncio.sleep(0.05)
        return answer

    status, age_s, before = await read_without_age()
    assert (status, age_s) == (200, None)
    await ledger_contents.settle(settings.database_url, settings.replica_urls, within_s=HANG_S)
    loop = asyncio.get_running_loop()
    with unavailable(servers, PRIMARY, how):
        ages = []
        until_s = loop.time() + 4.0
        while loop.time() < until_s:
            status, age_s, meanwhile = await read()
            assert (status, meanwhile) == (200, before)
            ages.append(age_s)
            await asyncio.sleep(0.05)
    assert None not in ages
    assert max(age for age in ages if age) >= 3
    status, _, after = await read_without_age()
    assert (status, after) == (200, before)


def accepted(shoppers: Shoppers) -> int:
    return sum(shoppers.history.statuses().get(status, 0) for status in (200, 201))


async def status_of(session: aiohttp.ClientSession, path: str) -> int:
    async with session.get(path) as answer:
        return answer.status


@contextlib.contextmanager
def unavailable(servers: Servers, name: str, how: signal.Signals) -> Iterator[None]:
    """Make a server unavailable for the block: killed and restarted, or frozen and thawed."""
    process = psutil.Process(servers.pid(name))
    family = [process, *process.children(recursive=True)]
    if how == signal.SIGKILL:
        servers.kill(name)
    else:
        for each in family:
            each.suspend()
    try:
        yield
    finally:
        if how == signal.SIGKILL:
            servers.restart(name)
        else:
            for each in family:
                each.resume()
