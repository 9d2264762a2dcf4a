"""Supervised tasks: one that dies stops the others and is logged; all that end asked are clean."""

import asyncio
import logging

import pytest

from gateway.runtime import lifecycle
from tests.support.patience import HANG_S


class Obedient:
    """Runs until asked to stop, then finishes what it began."""

    def __init__(self) -> None:
        self.has_finished = False

    async def run(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self.has_finished = True


class Dying:
    """Ends by itself: with an error, or without."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error

    async def run(self, _: asyncio.Event) -> None:
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error


class Stumbling:
    """Fails over what it had to finish."""

    async def run(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        raise ValueError("the last batch")


class Unresponsive:
    """Ignores that it should stop."""

    def __init__(self) -> None:
        self.was_cancelled = False

    async def run(self, _: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


class Slow:
    """Needs a while for what it began."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        await self.released.wait()


class Stubborn(Slow):
    """Swallows its cancellation."""

    async def run(self, stopping: asyncio.Event) -> None:
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    return [
        (line.levelname, line.message, line.__dict__["task"])
        for line in caplog.records
        if line.levelno >= logging.WARNING
    ]


async def test_all_that_end_when_asked_are_clean(caplog: pytest.LogCaptureFixture) -> None:
    stopping, tasks = asyncio.Event(), {"a": Obedient(), "b": Obedient()}
    running = asyncio.create_task(lifecycle.supervise(tasks, stopping, drain_s=1))
    await asyncio.sleep(0)
    assert not running.done()
    stopping.set()
    assert await running
    assert all(task.has_finished for task in tasks.values())
    assert logged(caplog) == []


@pytest.mark.parametrize("error", [ValueError("no"), None])
async def test_a_task_that_dies_stops_the_others_and_is_logged(
    caplog: pytest.LogCaptureFixture, error: BaseException | None
) -> None:
    other, stopping = Obedient(), asyncio.Event()
    tasks: dict[str, lifecycle.Task] = {"dying": Dying(error), "other": other}
    async with asyncio.timeout(HANG_S):
        assert not await lifecycle.supervise(tasks, stopping, drain_s=1)
    assert stopping.is_set()
    assert other.has_finished
    assert logged(caplog) == [("ERROR", "task ended early", "dying")]
    if error is not None:
        assert caplog.records[0].exc_info is not None
        assert caplog.records[0].exc_info[1] is error


async def test_a_task_that_ends_cancelled_has_died_too(caplog: pytest.LogCaptureFixture) -> None:
    other = Obedient()
    tasks: dict[str, lifecycle.Task] = {
        "dying": Dying(asyncio.CancelledError()),
        "other": other,
    }
    assert not await lifecycle.supervise(tasks, asyncio.Event(), drain_s=1)
    assert other.has_finished
    assert logged(caplog) == [("ERROR", "task ended early", "dying")]


async def test_a_task_that_fails_after_it_was_asked_to_stop_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What it had to finish is not finished: the process must not end as if it were."""
    stopping = asyncio.Event()
    running = asyncio.create_task(
        lifecycle.supervise({"stumbling": Stumbling()}, stopping, drain_s=1)
    )
    await asyncio.sleep(0)
    stopping.set()
    assert not await running
    assert len(logged(caplog)) == 1


async def test_a_task_that_does_not_stop_is_cancelled_after_its_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    deaf, stopping = Unresponsive(), asyncio.Event()
    stopping.set()
    async with asyncio.timeout(HANG_S):
        assert not await lifecycle.supervise({"deaf": deaf}, stopping, drain_s=0.01)
    assert deaf.was_cancelled
    assert logged(caplog) == [("WARNING", "task did not end in time", "deaf")]


async def test_what_is_still_awaited_is_logged_and_since_when(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow, quick, stopping = Slow(), Obedient(), asyncio.Event()
    tasks: dict[str, lifecycle.Task] = {"slow": slow, "quick": quick}
    stopping.set()
    running = asyncio.create_task(
        lifecycle.supervise(tasks, stopping, drain_s=3600, report_s=0.001)
    )
    while len(logged(caplog)) < 2:
        await asyncio.sleep(0.001)
    slow.released.set()
    assert await running
    assert set(logged(caplog)) == {("WARNING", "task is still awaited", "slow")}
    since_s = [line.__dict__["since_s"] for line in caplog.records]
    assert 0 < since_s[0] < since_s[1]


async def test_a_task_that_swallows_its_cancellation_does_not_keep_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stubborn, stopping = Stubborn(), asyncio.Event()
    stopping.set()
    running = asyncio.create_task(
        lifecycle.supervise({"stubborn": stubborn}, stopping, drain_s=0.01, cancel_s=0.01)
    )
    done, _ = await asyncio.wait({running}, timeout=HANG_S)
    stubborn.released.set()
    assert done
    assert not await running
    assert logged(caplog) == [
        ("WARNING", "task did not end in time", "stubborn"),
        ("WARNING", "task did not end when cancelled", "stubborn"),
    ]
    since_s = [line.__dict__["since_s"] for line in caplog.records]
    assert 0.01 <= since_s[0] < since_s[1]


async def test_a_pause_ends_when_the_process_is_asked_to_stop() -> None:
    stopping = asyncio.Event()
    pausing = asyncio.create_task(lifecycle.pause(stopping, 3600))
    await asyncio.sleep(0)
    stopping.set()
    async with asyncio.timeout(HANG_S):
        await pausing


async def test_a_pause_ends_after_its_time() -> None:
    async with asyncio.timeout(HANG_S):
        await lifecycle.pause(asyncio.Event(), 0.001)
