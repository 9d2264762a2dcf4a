"""What the rounds of a task come to."""

import asyncio
import logging

import pytest
from prometheus_client import REGISTRY

from gateway.domain.errors import Unavailable
from tests.support.fakes.clock import ManualClock
from tests.support.patience import HANG_S
from workers.rounds import Rounds


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"task": "tested", **labels})


def test_a_task_is_ready_once_a_round_was_done_and_while_rounds_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    rounds = Rounds(task="tested", clock=clock, overdue_s=60.0)
    assert rounds.fault() == "has not done a round yet"
    rounds.done()
    assert rounds.fault() == ""
    clock.at_s += 60.0
    assert rounds.fault() == ""
    clock.at_s += 1.0
    assert rounds.fault() == "has done no round for 61 s"
    rounds.done()
    rounds.postponed(Unavailable("postgres"))
    assert "postgres" in rounds.fault()
    rounds.done()
    assert rounds.fault() == ""
    assert [record.getMessage() for record in caplog.records] == ["tested postponed"]
    assert caplog.records[0].levelno == logging.WARNING


def test_rounds_are_counted_by_result_and_the_last_one_has_its_time() -> None:
    clock = ManualClock()
    rounds = Rounds(task="tested", clock=clock, overdue_s=60.0)
    done, postponed = (
        value("tidegate_worker_rounds_total", result=result) for result in ("done", "postponed")
    )
    assert done is not None
    assert postponed is not None
    rounds.done()
    rounds.postponed(Unavailable("postgres"))
    assert value("tidegate_worker_rounds_total", result="done") == done + 1
    assert value("tidegate_worker_rounds_total", result="postponed") == postponed + 1
    last_s = value("tidegate_worker_last_done_timestamp_seconds")
    assert last_s == clock.now().timestamp()


async def test_rounds_follow_each_other_at_once_while_more_is_left_and_stop_when_asked() -> None:
    clock, stopping = ManualClock(), asyncio.Event()
    rounds = Rounds(task="tested", clock=clock, overdue_s=60.0)
    left = [True, True, False]

    async def do() -> bool:
        if len(left) == 1:
            stopping.set()
        return left.pop(0)

    async with asyncio.timeout(HANG_S):
        await rounds.run(stopping, do, pause_s=3600.0)
    assert (left, rounds.fault()) == ([], "")


async def test_a_round_that_fails_is_postponed_and_the_next_one_tries_again() -> None:
    clock, stopping = ManualClock(), asyncio.Event()
    rounds = Rounds(task="tested", clock=clock, overdue_s=60.0)
    faults: list[str] = []

    async def do() -> bool:
        faults.append(rounds.fault())
        if len(faults) == 1:
            raise Unavailable("postgres")
        stopping.set()
        return False

    async with asyncio.timeout(HANG_S):
        await rounds.run(stopping, do, pause_s=0.001)
    assert ("postgres" in faults[1], rounds.fault()) == (True, "")
