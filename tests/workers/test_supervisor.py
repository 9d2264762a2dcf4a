"""A worker process is its tasks: all of them are there, and they end when asked."""

import asyncio
import os

import pytest

from gateway.runtime import lifecycle
from gateway.wiring import Gateway
from tests.support.patience import HANG_S, until
from tests.support.processes import Processes
from workers import supervisor


async def test_a_worker_has_its_tasks_and_ends_cleanly_when_asked(gateway: Gateway) -> None:
    tasks = supervisor.tasks(gateway)
    assert {"sweeper", "timeouts", "housekeeper"} <= set(tasks)
    stopping = asyncio.Event()
    running = asyncio.create_task(lifecycle.supervise(tasks, stopping, drain_s=5))
    await asyncio.sleep(0)
    stopping.set()
    async with asyncio.timeout(HANG_S):
        assert await running


async def test_a_worker_whose_task_dies_ends_unclean(gateway: Gateway) -> None:
    class Dying:
        async def run(self, _: asyncio.Event) -> None:
            raise ValueError("no")

    tasks = {**supervisor.tasks(gateway), "dying": Dying()}
    async with asyncio.timeout(HANG_S):
        assert not await lifecycle.supervise(tasks, asyncio.Event(), drain_s=5)


@pytest.mark.parametrize("worker_nice", [3, 10])
async def test_a_worker_steps_back_for_the_gateways_of_its_machine(
    worker_nice: int, processes: Processes
) -> None:
    processes.environment["TIDEGATE_WORKER_NICE"] = str(worker_nice)
    expected = max(os.getpriority(os.PRIO_PROCESS, 0), worker_nice)
    pid = processes.start("work").pid
    await until(lambda: os.getpriority(os.PRIO_PROCESS, pid) == expected)
