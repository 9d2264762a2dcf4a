"""Waiting before a retry: full jitter, so that rivals do not collide again."""

import asyncio
import random

_FIRST_S = 0.005


async def jitter(attempt: int) -> None:
    """Wait up to 5 ms before the first retry, twice as long before each next one."""
    await asyncio.sleep(random.uniform(0, _FIRST_S * 2**attempt))  # noqa: S311 - guards nothing
