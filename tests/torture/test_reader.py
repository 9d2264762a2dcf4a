import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.torture import reader

SHED = '{"type": "/problems/overloaded", "status": 503}'


def shed(**headers: str) -> web.Response:
    return web.Response(
        status=503, text=SHED, headers=headers, content_type="application/problem+json"
    )


@asynccontextmanager
async def answering(answer: Callable[[int], web.Response]) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client whose n-th read gets ``answer(n)``."""
    requests = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return answer(requests)

    app = web.Application()
    app.router.add_get("/v1/orders/{id}", handle)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as client:
        yield client


async def test_a_read_is_retried_as_long_as_retry_after_is_sent() -> None:
    def answer(n: int) -> web.Response:
        if n <= 3:
            return shed(**{"Retry-After": "0"})
        return web.json_response({"order_no": "a"}, headers={"Age": "4"})

    async with answering(answer) as client:
        read = await reader.read_patiently(client, "a", until_s=math.inf)
    assert (read.status, read.body, read.age, read.postponed) == (200, {"order_no": "a"}, "4", 3)
    assert not read.is_shed


async def test_a_503_without_retry_after_is_not_retried() -> None:
    async with answering(lambda n: shed()) as client:
        read = await reader.read_patiently(client, "a", until_s=math.inf)
    assert (read.status, read.postponed, read.is_shed) == (503, 0, False)


async def test_a_retry_after_beyond_the_deadline_is_not_obeyed() -> None:
    async with answering(lambda n: shed(**{"Retry-After": "3600"})) as client:
        read = await reader.read_patiently(client, "a", until_s=time.monotonic() + 600)
    assert (read.status, read.postponed, read.is_shed) == (503, 0, True)


async def test_a_404_is_not_retried() -> None:
    async with answering(lambda n: web.json_response({}, status=404)) as client:
        read = await reader.read_patiently(client, "a", until_s=math.inf)
    assert (read.status, read.postponed) == (404, 0)
