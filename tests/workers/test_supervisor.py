"""A worker process is its tasks: all of them are there, and they end when asked."""

import asyncio

from gateway.runtime import lifecycle
from gateway.wiring import Gateway
from tests.support.patience import HANG_S
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
