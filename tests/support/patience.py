"""How long tests wait for what is about to happen: a bound against hanging, no measure of speed.

A test that is right must pass however slow the machine is. What should happen is waited for until
it does, ``HANG_S`` at most. What should take no longer than a limit of the product is measured
on a manual clock, or shown by something that only comes after that limit.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

#: Seconds after which a test is taken to hang. Far more than a busy machine needs for anything
#: that a test waits for.
HANG_S = 120.0


async def until(
    holds: Callable[[], bool] | Callable[[], Awaitable[bool]], *, every_s: float = 0.01
) -> None:
    """Return once ``holds()`` is true. Raises ``TimeoutError`` when it never is."""
    async with asyncio.timeout(HANG_S):
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(every_s)


def until_blocking(holds: Callable[[], bool], *, every_s: float = 0.05) -> None:
    """Do as ``until`` where there is no loop. Raises ``TimeoutError`` when it never is true."""
    deadline_s = time.monotonic() + HANG_S
    while not holds():
        if time.monotonic() > deadline_s:
            raise TimeoutError
        time.sleep(every_s)
