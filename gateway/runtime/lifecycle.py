"""Long-lived tasks: each has a name and runs until it is told to stop.

A task that ends by itself, with or without an error, is a fault of the process: everything is
stopped and the process ends loudly, so that whoever watches it starts it again.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

_log = logging.getLogger(__name__)


class Task(Protocol):
    """Runs until ``stopping`` is set, then finishes what it began and returns."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop."""
        ...


async def supervise(tasks: Mapping[str, Task], stopping: asyncio.Event, *, drain_s: float) -> bool:
    """Run the tasks until ``stopping`` is set; return whether all of them ended as told.

    A task that ends early sets ``stopping`` for the others. After ``drain_s`` what still runs
    is cancelled.
    """
    running: dict[asyncio.Task[Any], str] = {
        asyncio.create_task(task.run(stopping), name=name): name for name, task in tasks.items()
    }
    told: asyncio.Task[Any] = asyncio.create_task(stopping.wait(), name="stopping")
    done, _ = await asyncio.wait({*running, told}, return_when=asyncio.FIRST_COMPLETED)
    early = {task for task in done & running.keys() if not stopping.is_set()}
    stopping.set()
    ended, late = await asyncio.wait(running, timeout=drain_s)
    for task in late:
        _log.warning("task did not end in time", extra={"task": running[task]})
        task.cancel()
    failed = {task for task in ended if task.cancelled() or task.exception() is not None}
    for task in early | failed:
        error = None if task.cancelled() else task.exception()
        event = "task ended early" if task in early else "task failed in its drain"
        _log.error(event, extra={"task": running[task]}, exc_info=error)
    await asyncio.gather(*running, told, return_exceptions=True)
    return not (early or failed or late)


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Return after ``seconds``, or at once when the process is told to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
