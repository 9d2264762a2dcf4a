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
    """Lend a client whose n-th read gets ``answer(n)``."""
    asked = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return answer(asked)

    app = web.Application()
    app.router.add_get("/v1/orders/{id}", handle)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as client:
        yield client


async def test_a_reader_comes_back_as_often_as_it_is_asked_to() -> None:
    def answer(n: int) -> web.Response:
        if n <= 3:
            return shed(**{"Retry-After": "0"})
        return web.json_response({"order_no": "a"}, headers={"Age": "4"})

    async with answering(answer) as client:
        read = await reader.read_patiently(client, "a", until_s=math.inf)
    assert (read.status, read.body, read.age, read.postponed) == (200, {"order_no": "a"}, "4", 3)
    assert not read.is_shed


async def test_a_503_that_does_not_say_when_is_an_answer() -> None:
    async with answering(lambda n: shed()) as client:
        read = await reader.read_patiently(client, "a", until_s=math.inf)
    assert (read.status, read.postponed, read.is_shed) == (503, 0, False)


async def test_patience_ends_before_a_pause_that_is_longer() -> None:
    async with answering(lambda n: shed(**{"Retry-After": "3600"})) as client:
        read = await reader.read_patiently(client, "a", until_s=time.monotonic() + 600)
    assert (read.status, read.postponed, read.is_shed) == (503, 0, True)


async def test_what_is_not_there_is_not_asked_for_again() -> None:
    async with answering(lambda n: web.json_response({}, status=404)) as client:
        read = await reader.read_patiently(client, "a", until_s=math.inf)
    assert (read.status, read.postponed) == (404, 0)
