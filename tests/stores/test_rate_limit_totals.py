"""Totals of rate limits through a real Valkey: counted as the fake counts, by its own clock.

On a single server and on a cluster.
"""

import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.domain.errors import Unavailable
from gateway.overload.rate_limit import HALF_S, PUBLISHED_MAX, RateLimits, Usage
from gateway.overload.rate_limit_sync import RateLimitSync
from gateway.stores.redis import scripting
from gateway.stores.redis.rate_limit_totals import RateLimitTotals, Total
from tests.overload.rate_limit_support import FakeTotals
from tests.support.fakes.clock import ManualClock
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


async def test_the_script_counts_like_the_fake(totals: RateLimitTotals) -> None:
    clock, chance = ManualClock(), random.Random(1)
    table = FakeTotals(clock)
    began_s = time.monotonic()
    for _ in range(200):
        usage = [
            used(admitted := chance.randrange(3), admitted + chance.randrange(3), key=key)
            for key in chance.sample("abcdef", chance.randrange(1, 6))
        ]
        within_s = chance.uniform(0.0, 2 * SLOW_S)
        clock.at_s = 1e9 + time.monotonic() - began_s
        expected = await table.add(usage, within_s=within_s)
        found = await totals.add(usage, within_s=within_s)
        slack_s = time.monotonic() - began_s + 1.0
        for one, other in zip(found, expected, strict=True):
            assert one.ahead_s == pytest.approx(other.ahead_s, abs=slack_s)
            assert one.asked == pytest.approx(other.asked, rel=0.3, abs=0.01)


async def test_all_processes_get_the_totals(totals: RateLimitTotals) -> None:
    (first,) = await add(totals, used(1))
    (second,) = await add(totals, used(2, 5))
    assert first.ahead_s == pytest.approx(1 * SLOW_S, abs=CALL_S)
    assert second.ahead_s == pytest.approx(3 * SLOW_S, abs=CALL_S)
    assert (first.asked, 5.0 < second.asked <= 6.0) == (1.0, True)


async def test_usage_at_the_rate_is_not_ahead(totals: RateLimitTotals) -> None:
    for _ in range(5):
        (total,) = await add(totals, used(50, every_s=0.01, most=300), within_s=0.5)
    # Five half seconds within what the calls took: the first of them was let in before.
    assert 1.5 <= total.ahead_s <= 2.0
    (total,) = await add(totals, used(50, key="other", every_s=0.01), within_s=0.5)
    assert total.ahead_s == 0.0


@pytest.mark.parametrize("admitted", [101, 10**6, 10**15])
async def test_nothing_is_further_ahead_than_its_burst_and_a_debt(
    totals: RateLimitTotals, admitted: int
) -> None:
    for _ in range(2):
        (total,) = await add(totals, used(admitted))
        assert total.ahead_s == pytest.approx(100 * SLOW_S, abs=0.001)


@pytest.mark.parametrize("rate", [1e6, 1e-6, 1e-300, 5e-324])
async def test_whatever_the_rate(totals: RateLimitTotals, rate: float) -> None:
    limits = RateLimits(rate=rate, burst=1 << 30)
    for _ in range(3):
        limits.wait_s("k", 0.0)
        (total,) = await totals.add(limits.take(0.0), within_s=0.5)
        assert 0.0 <= total.ahead_s < 1e10


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


async def test_a_wiped_server_counts_as_nothing_used(
    totals: RateLimitTotals, server: Server
) -> None:
    await add(totals, used(50))
    server.client.flushall()
    (total,) = await add(totals, used(1))
    assert total.ahead_s == pytest.approx(SLOW_S, abs=CALL_S)
    assert total.asked == 1.0


@pytest.mark.parametrize("foreign", [b"", b"plain", b"1 2 3", b"-5 1.000 1", b"nan nan nan"])
async def test_foreign_values_are_overwritten(
    totals: RateLimitTotals, server: Server, foreign: bytes
) -> None:
    server.client.set(KEY, foreign)
    (total,) = await add(totals, used(1))
    assert total.ahead_s == pytest.approx(SLOW_S, abs=CALL_S)


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_changed_clock_locks_no_client_out(
    totals: RateLimitTotals, server: Server, hours: int
) -> None:
    await add(totals, used(1, every_s=0.1))
    due, asked, since = server.client.get(KEY).split()
    moved = hours * 3600 * 10**6
    server.client.set(KEY, b"%d %b %d" % (int(due) + moved, asked, int(since) + moved))
    (total,) = await add(totals, used(1, every_s=0.1))
    assert total.ahead_s <= 100 * 0.1
    assert total.asked <= 2.0


async def test_a_server_that_answers_with_an_error_is_unavailable(
    totals: RateLimitTotals, server: Server
) -> None:
    server.client.hset(KEY, "a", "b")
    with pytest.raises(Unavailable):
        await add(totals, used(1))


async def test_a_frozen_server_times_out(totals: RateLimitTotals, server: Server) -> None:
    await add(totals, used(1))
    with server.frozen():
        began_s = time.monotonic()
        with pytest.raises(Unavailable):
            await add(totals, used(1))
        assert time.monotonic() - began_s < CALL_S + 0.4


@pytest.mark.servers
async def test_two_processes_over_a_server_that_dies_and_comes_back(tmp_path: Path) -> None:
    clock = ManualClock()
    with server_in(tmp_path) as server:
        opened = [of(server), of(server)]
        limits = [RateLimits(rate=0.001, burst=10) for _ in opened]
        telling = [
            RateLimitSync(totals=totals, limits=[("key", each)], clock=clock)
            for totals, each in zip(opened, limits, strict=True)
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
