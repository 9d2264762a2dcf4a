"""Posts simulated messages to a gateway and says what came of each."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import aiohttp
from msgspec import Struct

from ops.simulators.contract import Forgery, Kind, Posted, Simulator, Trade

_TRADES_AT_ONCE = 32
_ANSWER_S = 15.0


class Step(Struct, frozen=True):
    """One message to send: a kind, which attempt of it, forged or not."""

    kind: Kind
    attempt: int = 0
    forged: Forgery | None = None

    @property
    def is_genuine(self) -> bool:
        """Whether the gateway must acknowledge it; a probe must be refused like a forgery."""
        return self.forged is None and self.kind != "probe"


class Sent(Struct, frozen=True):
    """What came of a message. Status 0: no answer."""

    step: Step
    status: int
    is_right: bool
    took_s: float


def posted(simulator: Simulator, step: Step, trade: Trade) -> Posted:
    """Make the message of a step, sent now. Raises ``ValueError`` where it can not be told."""
    now = datetime.now(UTC)
    if step.forged is None:
        return simulator.message(step.kind, trade, at=now, attempt=step.attempt)
    return simulator.forged(step.forged, step.kind, trade, at=now)


async def send(
    trades: Sequence[Trade],
    steps: Sequence[Step],
    *,
    url: str,
    simulator: Simulator,
    rate: float | None,
    said: Callable[[Sent], None],
) -> None:
    """Send every trade's steps one after another, many trades at once; tell of each message.

    With a ``rate`` messages a second in all, trades begin evenly spaced.
    """
    gate = asyncio.Semaphore(_TRADES_AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
        begun_s = time.monotonic()
        for n, trade in enumerate(trades):
            if rate:
                due_s = begun_s + n * len(steps) / rate
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await gate.acquire()
            told = _tell(session, url, trade, steps, simulator=simulator, said=said)
            group.create_task(told).add_done_callback(lambda _: gate.release())


async def _tell(
    session: aiohttp.ClientSession,
    url: str,
    trade: Trade,
    steps: Sequence[Step],
    *,
    simulator: Simulator,
    said: Callable[[Sent], None],
) -> None:
    for step in steps:
        message = posted(simulator, step, trade)
        begun_s = time.perf_counter()
        status, is_right = 0, False
        try:
            async with session.post(url, data=message.body, headers=message.headers) as answer:
                body = await answer.read()
                status = answer.status
                kind = answer.headers.get("Content-Type", "")
            is_right = 400 <= status < 500 and status != 404
            if step.is_genuine:
                is_right = simulator.is_acknowledged(status, kind, body)
        except (aiohttp.ClientError, TimeoutError):
            pass
        said(Sent(step, status, is_right, time.perf_counter() - begun_s))
