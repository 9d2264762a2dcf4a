"""Reads as a client makes them: they obey ``Retry-After``, for a bounded time.

While a process sheds lower tiers it answers reads with 503 and ``Retry-After``, and admits them
again some seconds after the load has fallen (``ops/runbooks/overload.md``). Such an answer breaks
no promise, unless it never ends.
"""

import asyncio
import time
from typing import Any

import aiohttp
import msgspec

from loadtest.history import NO_ANSWER

_UNAVAILABLE = 503
_OVERLOADED = "/problems/overloaded"


class Read(msgspec.Struct, frozen=True):
    """The last answer to a read, and the number of earlier ones with ``Retry-After``."""

    status: int
    body: dict[str, Any]
    #: Whole seconds; None without ``Retry-After``.
    retry_after_s: int | None
    age: str | None
    postponed: int = 0

    @property
    def is_shed(self) -> bool:
        """Whether it was shed for load, with ``Retry-After``."""
        return (
            self.status == _UNAVAILABLE
            and self.retry_after_s is not None
            and self.body.get("type") == _OVERLOADED
        )

    def __str__(self) -> str:
        parts = [self.status, self.body.get("type", ""), self.body.get("context", "")]
        text = " ".join(str(each) for each in parts if each)
        return f"{text} after {self.postponed} more" if self.postponed else text


#: A read without an answer.
NOTHING = Read(status=NO_ANSWER, body={}, retry_after_s=None, age=None)


async def read_once(client: aiohttp.ClientSession, id_: str) -> Read:
    """Read an order once. Raises the errors of aiohttp."""
    async with client.get(f"/v1/orders/{id_}") as response:
        body = await response.json(content_type=None)
        later = response.headers.get("Retry-After")
        return Read(
            status=response.status,
            body=body if isinstance(body, dict) else {},
            retry_after_s=None if later is None else int(later),
            age=response.headers.get("Age"),
        )


async def read_patiently(client: aiohttp.ClientSession, id_: str, *, until_s: float) -> Read:
    """Retry after each 503 with ``Retry-After``, until ``until_s`` (monotonic); the last answer."""
    postponed = 0
    while True:
        read = await read_once(client, id_)
        is_postponed = read.status == _UNAVAILABLE and read.retry_after_s is not None
        if not is_postponed or time.monotonic() + (read.retry_after_s or 0) > until_s:
            return msgspec.structs.replace(read, postponed=postponed)
        postponed += 1
        await asyncio.sleep(read.retry_after_s or 0)
