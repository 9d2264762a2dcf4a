"""The relay is woken after a commit: soon, seldom, and never at the cost of who staged."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.stores.postgres import outbox_listener, outbox_signal
from gateway.stores.postgres.outbox_listener import OutboxListener
from gateway.stores.postgres.outbox_signal import OutboxSignal
from gateway.wiring import Gateway, open_gateway
from tests.domain.support import due
from tests.stores.support import Database, submit, with_
from tests.support.patience import until
from tests.workers.handoff import running, target


@pytest.fixture
async def heard(ledger: Database) -> AsyncIterator[list[float]]:
    """The loop's time of each signal."""
    times: list[float] = []
    loop = asyncio.get_running_loop()

    def hear(*_: object) -> None:
        times.append(loop.time())

    async with ledger.acquire() as connection:
        await connection.add_listener(outbox_signal.CHANNEL, hear)
        yield times
        await connection.remove_listener(outbox_signal.CHANNEL, hear)


async def test_what_is_staged_in_one_moment_shares_few_signals(
    gateway: Gateway, heard: list[float]
) -> None:
    signal = OutboxSignal(
        connect=lambda: asyncpg.connect(gateway.settings.database_url), is_on=True
    )
    for _ in range(50):
        signal.staged()
    await until(lambda: len(heard) >= 1)
    for _ in range(50):
        signal.staged()
        await asyncio.sleep(0)
    await until(lambda: len(heard) >= 2)
    await until(lambda: signal._task is None)
    await signal.close()
    assert len(heard) == 2


async def test_a_gateway_with_a_target_signals_each_commit(
    gateway: Gateway, heard: list[float]
) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    async with open_gateway(with_(gateway.settings, targets=[target()])) as telling:
        await submit(telling, due(2, order_no="W-2"))
        await until(lambda: len(heard) == 1)
    # Without a target nobody waits for it.
    assert len(heard) == 1


async def test_a_signal_that_fails_is_dropped_and_the_next_one_connects_anew(
    gateway: Gateway, heard: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_signal, "_PAUSE_S", 0.01)
    tries: list[Any] = []

    async def connect() -> Any:
        tries.append(None)
        if len(tries) == 1:
            raise OSError("away")
        return await asyncpg.connect(gateway.settings.database_url)

    signal = OutboxSignal(connect=connect, is_on=True)
    signal.staged()
    await until(lambda: signal._task is None)
    assert (len(tries), heard) == (1, [])
    signal.staged()
    await until(lambda: len(heard) == 1)
    await signal.close()


async def test_a_listener_whose_connection_is_lost_listens_again(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_listener, "_PAUSE_S", 0.01)
    monkeypatch.setattr(outbox_listener, "_PROBE_EVERY_S", 0.05)
    woken = asyncio.Event()
    connections: list[Any] = []

    async def connect() -> Any:
        connections.append(await asyncpg.connect(gateway.settings.database_url))
        return connections[-1]

    async with running(OutboxListener(connect=connect, woken=woken)):
        await until(woken.is_set)
        woken.clear()
        await ledger.execute(f"NOTIFY {outbox_signal.CHANNEL}")
        await until(woken.is_set)
        pid = connections[0].get_server_pid()
        await ledger.fetchval("SELECT pg_terminate_backend($1)", pid)
        woken.clear()
        # It looks at once: what was staged meanwhile was not heard.
        await until(woken.is_set)
        woken.clear()
        await ledger.execute(f"NOTIFY {outbox_signal.CHANNEL}")
        await until(woken.is_set)
    assert len(connections) == 2
