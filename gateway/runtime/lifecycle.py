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
    is_clean = True
    for task in done & running.keys():
        if not stopping.is_set() or task.exception() is not None:
            is_clean = False
            _log.error("task ended early", extra={"task": running[task]}, exc_info=task.exception())
    stopping.set()
    _, late = await asyncio.wait(running, timeout=drain_s)
    for task in late:
        is_clean = False
        _log.warning("task did not end in time", extra={"task": running[task]})
        task.cancel()
    await asyncio.gather(*running, told, return_exceptions=True)
    return is_clean


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Return after ``seconds``, or at once when the process is told to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
