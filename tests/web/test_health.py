"""Health and metrics need no key, so their cost has a limit."""

import asyncio
from typing import cast

import pytest

from gateway.runtime import metrics
from gateway.web.handlers.health import StatusHandler
from gateway.web.request import Request
from tests.support.fakes.clock import ManualClock


async def test_rendering_of_metrics_has_a_small_budget_of_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They need no key. At a normal rate every answer is current."""
    clock, rendered = ManualClock(), []

    def render() -> bytes:
        clock.at_s += 0.01
        rendered.append(clock.at_s)
        return b"%d" % len(rendered)

    monkeypatch.setattr(metrics, "render", render)
    pages = StatusHandler(
        required={}, alternatives={}, optional={}, objection=lambda: "",
        is_stopping=lambda: False, clock=clock,
    )  # fmt: skip
    request = cast("Request", None)
    for _ in range(10):
        clock.at_s += 1.0
        assert (await pages.metrics(request)).body == b"%d" % len(rendered)
    assert len(rendered) == 10
    began_s = clock.at_s
    while clock.at_s < began_s + 10.0:
        clock.at_s += 0.001
        assert (await pages.metrics(request)).body == b"%d" % len(rendered)
    assert len(rendered) - 10 < 80, "a quarter of a second saved up, and half of one earned"


async def test_concurrent_requests_for_readiness_share_one_run_of_probes() -> None:
    asked = 0

    async def probe() -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return ""

    pages = StatusHandler(
        required={"part": probe}, alternatives={}, optional={}, objection=lambda: "",
        is_stopping=lambda: False, clock=ManualClock(),
    )  # fmt: skip
    request = cast("Request", None)
    answers = await asyncio.gather(*[pages.readiness(request) for _ in range(64)])
    assert {answer.status for answer in answers} == {200}
    assert asked == 1
    await pages.readiness(request)
    assert asked == 2
