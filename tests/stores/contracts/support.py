"""What the contracts share."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from gateway.domain.errors import Unavailable

T = TypeVar("T")

#: Seconds that a real store has for a call.
CALL_S = 1.0


async def retried(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the store is back: a connection that timed out is opened anew."""
    while True:
        with suppress(Unavailable):
            return await call()
