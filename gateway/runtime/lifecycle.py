"""Long-lived tasks: each has a name, is started once, and ends when it is asked to stop.

A task that ends by itself, with or without an error, is a fault of the process: everything is
stopped and the process ends with an error, so that its supervisor starts it again.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

_log = logging.getLogger(__name__)

#: Seconds that cancelled tasks have to end. One that swallows its cancellation must not keep the
#: process from closing its stores.
_CANCEL_S = 5.0
#: Seconds between two log records about the same task that shutdown still waits for.
_REPORT_S = 5.0


class Task(Protocol):
    """Runs until ``stopping`` is set, then finishes what it began and returns."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set."""
        ...


async def supervise(
    tasks: Mapping[str, Task],
    stopping: asyncio.Event,
    *,
    drain_s: float,
    cancel_s: float = _CANCEL_S,
    report_s: float = _REPORT_S,
) -> bool:
    """Run the tasks until ``stopping`` is set; return whether all of them then ended by themselves.

    A task that ends early sets ``stopping`` for the others. What still runs ``drain_s`` seconds
    after that is cancelled, and what still runs ``cancel_s`` seconds after its cancellation is
    left to the event loop. Every ``report_s`` seconds a record names each task that is still
    awaited, with the seconds since ``stopping`` was set.
    """
    running: dict[asyncio.Task[Any], str] = {
        asyncio.create_task(task.run(stopping), name=name): name for name, task in tasks.items()
    }
    waiter: asyncio.Task[Any] = asyncio.create_task(stopping.wait(), name="stopping")
    done, _ = await asyncio.wait({*running, waiter}, return_when=asyncio.FIRST_COMPLETED)
    early = {task for task in done & running.keys() if not stopping.is_set()}
    stopping.set()
    await waiter
    shutdown = _Shutdown(running, report_s=report_s)
    late = await shutdown.wait(set(running), drain_s)
    ended = running.keys() - late
    for task in late:
        shutdown.log("task did not end in time", task)
        task.cancel()
    failed = {task for task in ended if task.cancelled() or task.exception() is not None}
    for task in early | failed:
        error = None if task.cancelled() else task.exception()
        event = "task ended early" if task in early else "task failed in its drain"
        _log.error(event, extra={"task": running[task]}, exc_info=error)
    for task in await shutdown.wait(late, cancel_s):
        shutdown.log("task did not end when cancelled", task)
    for task in late:
        if task.done() and not task.cancelled():
            # Retrieved, so that asyncio does not report it a second time.
            task.exception()
    return not (early or failed or late)


class _Shutdown:
    """Waits for tasks, and logs what it waits for and since when."""

    def __init__(self, names: Mapping[asyncio.Task[Any], str], *, report_s: float) -> None:
        self._names = names
        self._report_s = report_s
        self._time_s = asyncio.get_running_loop().time
        self._began_s = self._time_s()

    def log(self, event: str, task: asyncio.Task[Any]) -> None:
        since_s = round(self._time_s() - self._began_s, 3)
        _log.warning(event, extra={"task": self._names[task], "since_s": since_s})

    async def wait(self, tasks: set[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
        """Return those that still run after ``seconds``."""
        until_s = self._time_s() + seconds
        while tasks:
            left_s = max(0.0, until_s - self._time_s())
            _, tasks = await asyncio.wait(tasks, timeout=min(left_s, self._report_s))
            if self._time_s() >= until_s:
                break
            for task in tasks:
                self.log("task is still awaited", task)
        return tasks


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Return after ``seconds``, or at once when the process is asked to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


async def either(stopping: asyncio.Event, woken: asyncio.Event, seconds: float) -> None:
    """Return when one of the two is set, or after ``seconds``."""
    if stopping.is_set() or woken.is_set():
        return
    waits = [asyncio.ensure_future(event.wait()) for event in (stopping, woken)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
