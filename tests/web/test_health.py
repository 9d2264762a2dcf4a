"""The pages that machines watch: nobody needs a key for them, so none may take much."""

import asyncio
from typing import cast

import pytest

from gateway.runtime import metrics
from gateway.web.handlers.health import StatusHandler
from gateway.web.request import Request
from tests.web.support import ManualClock


async def test_whoever_asks_for_metrics_without_end_gets_a_small_part_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody needs a key for them. Who asks now and then is told what is true now."""
    clock, rendered = ManualClock(), []

    def render() -> bytes:
        clock.elapsed_s += 0.01
        rendered.append(clock.elapsed_s)
        return b"%d" % len(rendered)

    monkeypatch.setattr(metrics, "render", render)
    pages = StatusHandler(
        required={}, alternatives={}, optional={}, is_stopping=lambda: False, clock=clock
    )
    request = cast("Request", None)
    for _ in range(10):
        clock.elapsed_s += 1.0
        assert (await pages.metrics(request)).body == b"%d" % len(rendered)
    assert len(rendered) == 10
    began_s = clock.elapsed_s
    while clock.elapsed_s < began_s + 10.0:
        clock.elapsed_s += 0.001
        assert (await pages.metrics(request)).body == b"%d" % len(rendered)
    assert len(rendered) - 10 < 80, "a quarter of a second saved up, and half of one earned"


async def test_who_asks_for_readiness_at_once_shares_the_answer() -> None:
    asked = 0

    async def probe() -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return ""

    pages = StatusHandler(
        required={"part": probe}, alternatives={}, optional={}, is_stopping=lambda: False,
        clock=ManualClock(),
    )  # fmt: skip
    request = cast("Request", None)
    answers = await asyncio.gather(*[pages.readiness(request) for _ in range(64)])
    assert {answer.status for answer in answers} == {200}
    assert asked == 1
    await pages.readiness(request)
    assert asked == 2
