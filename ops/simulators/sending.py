"""Post simulated messages to a gateway and report the result of each."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import aiohttp
from msgspec import Struct

from ops.simulators.contract import Forgery, Kind, Posted, Simulator, Trade

_CONCURRENT_TRADES_MAX = 32
_ANSWER_S = 15.0
_REPLY_BYTES_MAX = 500


class Step(Struct, frozen=True):
    """One message to send: a kind, which attempt of it, forged or not."""

    kind: Kind
    attempt: int = 0
    forged: Forgery | None = None

    @property
    def is_genuine(self) -> bool:
        """Whether the gateway must acknowledge it; a probe must be rejected like a forgery."""
        return self.forged is None and self.kind != "probe"


class Sent(Struct, frozen=True):
    """The result of one message. Status 0: no response. ``reply``: the beginning of the body."""

    step: Step
    trade: Trade
    status: int
    is_right: bool
    took_s: float
    reply: str = ""


def posted(simulator: Simulator, step: Step, trade: Trade) -> Posted:
    """Build the message of a step, sent now. Raises ``ValueError`` if it cannot be expressed."""
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
    on_sent: Callable[[Sent], None],
) -> None:
    """Send each trade's steps in sequence, many trades concurrently; call ``on_sent`` for each.

    With a ``rate`` (messages per second in total), trades start evenly spaced.
    """
    limit = asyncio.Semaphore(_CONCURRENT_TRADES_MAX)
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
        begun_s = time.monotonic()
        for n, trade in enumerate(trades):
            if rate:
                due_s = begun_s + n * len(steps) / rate
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await limit.acquire()
            sending = _send_steps(session, url, trade, steps, simulator=simulator, on_sent=on_sent)
            group.create_task(sending).add_done_callback(lambda _: limit.release())


async def _send_steps(
    session: aiohttp.ClientSession,
    url: str,
    trade: Trade,
    steps: Sequence[Step],
    *,
    simulator: Simulator,
    on_sent: Callable[[Sent], None],
) -> None:
    for step in steps:
        message = posted(simulator, step, trade)
        begun_s = time.perf_counter()
        status, is_right, reply = 0, False, ""
        try:
            async with session.post(url, data=message.body, headers=message.headers) as answer:
                body = await answer.read()
                status = answer.status
                kind = answer.headers.get("Content-Type", "")
                reply = body[:_REPLY_BYTES_MAX].decode("utf-8", "replace")
            is_right = 400 <= status < 500 and status != 404
            if step.is_genuine:
                is_right = simulator.is_acknowledged(status, kind, body)
        except (aiohttp.ClientError, TimeoutError):
            pass
        took_s = time.perf_counter() - begun_s
        on_sent(Sent(step, trade, status, is_right, took_s, reply))
