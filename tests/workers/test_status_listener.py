"""The status page of a worker: what it shows, and that it never costs the work."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from gateway.runtime import lifecycle, metrics
from gateway.runtime.settings import Settings
from gateway.wiring import open_gateway
from ops.harness.ports import free_port
from tests.support.fakes.clock import ManualClock
from tests.support.patience import HANG_S, until
from tests.support.processes import Processes
from workers import status_listener, supervisor
from workers.status_listener import StatusListener


@asynccontextmanager
async def listening(port: int, faults: Mapping[str, str]) -> AsyncIterator[None]:
    listener = StatusListener(
        host="127.0.0.1",
        port=port,
        faults=lambda: faults,
        rendering=metrics.Rendering(clock=ManualClock()),
    )
    stopping = asyncio.Event()
    running = asyncio.create_task(listener.run(stopping))
    yield
    stopping.set()
    async with asyncio.timeout(HANG_S):
        await running


async def ask(port: int, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def answers(port: int) -> bool:
    try:
        await ask(port, "/healthz")
    except aiohttp.ClientError:
        return False
    return True


@pytest.mark.servers
async def test_it_is_ready_while_nothing_is_wrong() -> None:
    port, faults = free_port(), {"sweeper": "", "drainer": "not configured"}
    async with listening(port, faults):
        await until(lambda: answers(port))
        status, body = await ask(port, "/readyz")
        assert (status, json.loads(body)) == (
            200,
            {"ready": True, "parts": {"sweeper": "ok", "drainer": "not configured"}},
        )
        faults["sweeper"] = "is postponed: postgres is unavailable"
        status, body = await ask(port, "/readyz")
        assert (status, json.loads(body)["parts"]["sweeper"]) == (503, faults["sweeper"])
        assert (await ask(port, "/healthz"))[0] == 200, "it works on, and must not be restarted"
        status, body = await ask(port, "/metrics")
        assert status == 200
        assert "process_resident_memory_bytes" in body
        assert "tidegate_worker_rounds_total" in body
        assert (await ask(port, "/v1/orders"))[0] == 404


@pytest.mark.servers
async def test_a_port_in_use_is_named_once_and_taken_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(status_listener, "_RETRY_S", 0.05)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        async with listening(port, {}):
            with caplog.at_level(logging.WARNING):
                await until(lambda: bool(caplog.records))
                await asyncio.sleep(0.2)
            (record,) = [r for r in caplog.records if r.name == status_listener.__name__]
            assert f"port {port} is in use" in record.getMessage()
            assert "TIDEGATE_WORKER_METRICS_PORT" in record.getMessage()
            other.close()
            await until(lambda: answers(port))


async def test_a_worker_shows_its_tasks(settings: Settings) -> None:
    """Over real servers, from its start until it is ready."""
    port = free_port()
    shown = msgspec.structs.replace(settings, worker_metrics_port=port)
    async with open_gateway(shown) as gateway:
        tasks = supervisor.tasks(gateway)
        stopping = asyncio.Event()
        running = asyncio.create_task(lifecycle.supervise(tasks, stopping, drain_s=5))

        async def is_ready() -> bool:
            return await answers(port) and (await ask(port, "/readyz"))[0] == 200

        await until(is_ready)
        _, body = await ask(port, "/readyz")
        parts = json.loads(body)["parts"]
        assert set(parts) == set(supervisor._OVERDUE_S)
        assert set(parts.values()) <= {"ok", "not configured"}
        for task in ("drainer", "sweeper", "timeouts", "parked", "relay", "dispatcher"):
            assert parts[task] == "ok"
        _, body = await ask(port, "/metrics")
        for name in ("tidegate_journal_entries", "tidegate_parked_oldest_seconds"):
            assert f"\n{name} " in body
        for task in ("drainer", "sweeper", "timeouts", "relay", "dispatcher", "housekeeper"):
            assert f'tidegate_worker_last_done_timestamp_seconds{{task="{task}"}}' in body
        stopping.set()
        async with asyncio.timeout(HANG_S):
            assert await running


async def test_without_a_port_or_a_journal_there_is_no_page_and_no_drainer(
    settings: Settings,
) -> None:
    bare = msgspec.structs.replace(settings, worker_metrics_port=0, redis_url="", journal_url="")
    async with open_gateway(bare) as gateway:
        assert not {"drainer", "journal", "status"} & set(supervisor.tasks(gateway))


async def test_two_workers_with_one_port_both_work(processes: Processes) -> None:
    port = free_port()
    processes.environment["TIDEGATE_WORKER_METRICS_PORT"] = str(port)
    workers = [processes.start("work"), processes.start("work")]

    def is_said() -> bool:
        log = processes.log_path.read_text()
        return log.count('"working"') == 2 and f"port {port} is in use" in log

    await until(is_said)
    assert await answers(port)
    for worker in workers:
        assert worker.poll() is None
        worker.terminate()
    for worker in workers:
        assert await asyncio.to_thread(worker.wait, HANG_S) == 0
