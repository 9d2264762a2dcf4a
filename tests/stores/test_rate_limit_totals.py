"""Totals of rate limits in a real Valkey: what its keys hold, its faults, one server and a cluster.

How they are counted: ``contracts/test_rate_limit_totals.py``.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.domain.errors import Unavailable
from gateway.overload.rate_limit import HALF_S, PUBLISHED_MAX, RateLimits, Usage
from gateway.overload.rate_limit_sync import RateLimitSync
from gateway.stores.redis import scripting
from gateway.stores.redis.rate_limit_totals import RateLimitTotals, Total
from tests.support.fakes.clock import ManualClock
from tests.support.patience import HANG_S
from tests.support.valkey_cluster import Server, cluster_in, server_in

CALL_S = 0.5
KEY = b"tidegate:{load}:quota:k"
#: One request in a thousand seconds: what a test takes does not count.
SLOW_S = 1000.0


@pytest.fixture
def server(module_valkey: Server) -> Server:
    module_valkey.client.flushall()
    return module_valkey


@pytest.fixture
async def totals(server: Server) -> AsyncIterator[RateLimitTotals]:
    opened = of(server)
    yield opened
    await opened.close()


def of(server: Server) -> RateLimitTotals:
    return RateLimitTotals(url=server.url, call_s=CALL_S, half_s=HALF_S)


def used(
    admitted: int, asked: int = 0, *, key: str = "k", every_s: float = SLOW_S, most: int = 100
) -> Usage:
    return Usage(key, asked or admitted, admitted, every_s, most * every_s)


async def add(totals: RateLimitTotals, *usage: Usage, within_s: float = 0.0) -> list[Total]:
    return await totals.add(usage, within_s=within_s)


async def test_an_exchange_is_one_round_trip(totals: RateLimitTotals, server: Server) -> None:
    def reads() -> int:
        return int(server.client.info("stats")["total_reads_processed"])

    await add(totals, used(1))
    before = reads()
    for _ in range(10):
        await add(totals, *(used(1, key=str(n)) for n in range(PUBLISHED_MAX)))
    assert reads() - before < 10 * 20, "of 500 keys each"


async def test_when_no_key_is_ahead_nothing_is_left(
    totals: RateLimitTotals, server: Server
) -> None:
    await add(totals, used(3, every_s=1.0))
    assert 10_000 < server.client.pttl(KEY) <= 13_000
    await add(totals, used(0, 1, key="quiet"))
    assert 9_000 < server.client.pttl("tidegate:{load}:quota:quiet") <= 10_000


@pytest.mark.parametrize("foreign", [b"", b"plain", b"1 2 3", b"-5 1.000 1", b"nan nan nan"])
async def test_foreign_values_are_overwritten(
    totals: RateLimitTotals, server: Server, foreign: bytes
) -> None:
    server.client.set(KEY, foreign)
    (total,) = await add(totals, used(1))
    assert total.ahead_s == pytest.approx(SLOW_S, abs=CALL_S)


async def test_a_server_that_answers_with_an_error_is_unavailable(
    totals: RateLimitTotals, server: Server
) -> None:
    server.client.hset(KEY, "a", "b")
    with pytest.raises(Unavailable):
        await add(totals, used(1))


async def test_a_frozen_server_times_out(totals: RateLimitTotals, server: Server) -> None:
    await add(totals, used(1))
    with server.frozen():
        async with asyncio.timeout(HANG_S):
            with pytest.raises(Unavailable):
                await add(totals, used(1))


def syncing(totals: RateLimitTotals, limits: RateLimits, clock: ManualClock) -> RateLimitSync:
    """Return the exchange of a process with one rate limit."""
    return RateLimitSync(totals=totals, limits=lambda: [("key", limits)], clock=clock)


@pytest.mark.servers
async def test_two_processes_over_a_server_that_dies_and_comes_back(tmp_path: Path) -> None:
    clock = ManualClock()
    with server_in(tmp_path) as server:
        opened = [of(server), of(server)]
        limits = [RateLimits(rate=0.001, burst=10) for _ in opened]
        telling = [
            syncing(totals, each, clock) for totals, each in zip(opened, limits, strict=True)
        ]

        async def turn(*asked: int) -> list[int]:
            """Return what each admits of so many requests; then all exchange."""
            admitted = [
                sum(each.wait_s("k", clock.at_s) == 0.0 for _ in range(times))
                for each, times in zip(limits, asked, strict=True)
            ]
            for each in (*telling, *telling):
                await each.exchange()
            return admitted

        assert await turn(6, 1) == [6, 1]
        assert await turn(1, 5) == [1, 1], "what is left is shared"
        assert await turn(0, 5) == [0, 1]
        assert await turn(0, 5) == [0, 0]
        server.kill()
        await turn(0, 1)
        clock.at_s += 3000.0
        assert await turn(5, 5) == [4, 3], "each by itself"
        server.client.close()
        server.start()
        server.client.flushall()
        assert await turn(5, 5) == [0, 0], "and no key gets anything for it"
        for totals in opened:
            await totals.close()


@pytest.mark.servers
async def test_on_a_cluster_all_keys_are_on_one_node(tmp_path: Path) -> None:
    with cluster_in(tmp_path) as nodes:
        for n, node in enumerate(nodes):
            totals = of(node)
            for total in await add(totals, *(used(1, key=key) for key in "abcdef")):
                assert total.ahead_s == pytest.approx((n + 1) * SLOW_S, abs=5.0)
            await totals.close()
        assert sorted(node.client.dbsize() for node in nodes) == [0, 0, 6]


@pytest.mark.parametrize("usage", [None, [], [[b"1", b"2"], [b"3", b"4"]], [[b"x", b"y"]], [1]])
async def test_an_odd_answer_counts_as_none(
    totals: RateLimitTotals, monkeypatch: pytest.MonkeyPatch, usage: object
) -> None:
    async def odd(*_: object) -> object:
        return usage

    monkeypatch.setattr(scripting, "run", odd)
    with pytest.raises(Unavailable):
        await add(totals, used(1))
