"""Send the plan: a closed workload of concurrent senders, each with one script at a time."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from loadtest import sending
from loadtest.demo.plan import Plan, Script
from loadtest.deployment import Deployment

_PARTS = 10


async def drive(
    plan: Plan, deployment: Deployment, *, connections: int, say: Callable[[str], None]
) -> float:
    """Send everything; return the seconds it took. The answers are in the plan's history."""
    scripts = deque(plan.scripts)
    began_s = time.monotonic()
    async with sending.session(connections, base_url=deployment.url) as session:
        sender = sending.Sender(session, token=deployment.token)
        progress = asyncio.create_task(_report_progress(sender, plan.attempts, say))
        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(connections):
                    senders.create_task(_play(scripts, sender))
        finally:
            progress.cancel()
    return time.monotonic() - began_s


async def _play(scripts: deque[Script], sender: sending.Sender) -> None:
    while scripts:
        script = scripts.popleft()
        for group in script.groups:
            await asyncio.gather(*[sender.send(message) for message in group])
        # To the end of the queue: by then only the stores still have the answer.
        scripts.extend(Script(groups=[[message]]) for message in script.later)


async def _report_progress(
    sender: sending.Sender, attempts: int, say: Callable[[str], None]
) -> None:
    reported = 0
    began_s = time.monotonic()
    while True:
        await asyncio.sleep(0.05)
        part = sender.attempts * _PARTS // attempts
        if part > reported:
            reported = part
            took_s = time.monotonic() - began_s
            say(f"  {sender.attempts:,} of {attempts:,} messages sent, {took_s:.1f} s")
