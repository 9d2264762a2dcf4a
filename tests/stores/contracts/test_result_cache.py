"""The result cache: a hit is what was stored last, a store that is away misses and never raises."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import pytest

from gateway.intake.committer import ResultCache
from gateway.stores.redis import result_cache
from gateway.stores.redis.result_cache import Connections
from tests.support.fakes.clock import ManualClock
from tests.support.fakes.result_cache import FakeResultCache
from tests.support.valkey_cluster import Server

from .support import CALL_S

TTL_S = 3600
PAUSE_S = 10.0
A, B, C = b"a" * 16, bytes(range(16)), b"\xff\r\n" + b"\x00" * 13


class Subject(Protocol):
    @property
    def cache(self) -> ResultCache: ...

    def away(self) -> AbstractContextManager[None]:
        """Lend a time in which the store does not answer; it is asked again at once afterwards."""
        ...


@dataclass
class Fake:
    cache: FakeResultCache

    @contextmanager
    def away(self) -> Iterator[None]:
        self.cache.is_away = True
        yield
        self.cache.is_away = False


@dataclass
class Real:
    cache: result_cache.ResultCache
    server: Server
    clock: ManualClock

    @contextmanager
    def away(self) -> Iterator[None]:
        with self.server.frozen():
            yield
        assert self.server.client.ping()
        self.clock.at_s += PAUSE_S


@pytest.fixture
async def subject(valkey_or_none: Server | None) -> AsyncIterator[Subject]:
    if valkey_or_none is None:
        yield Fake(FakeResultCache())
        return
    clock = ManualClock()
    cache = result_cache.ResultCache(
        connections=Connections(valkey_or_none.url, call_s=CALL_S),
        clock=clock,
        ttl_s=TTL_S,
        pause_s=PAUSE_S,
    )
    yield Real(cache, valkey_or_none, clock)
    await cache.close()


async def test_what_was_never_stored_is_missed(subject: Subject) -> None:
    assert list(await subject.cache.look_up([A, B])) == [None, None]


async def test_what_was_stored_is_found_byte_for_byte_in_the_order_asked(subject: Subject) -> None:
    await subject.cache.store({A: b"one", C: b"\x00\r\n\xff"})
    assert list(await subject.cache.look_up([C, B, A, C])) == [
        b"\x00\r\n\xff", None, b"one", b"\x00\r\n\xff",
    ]  # fmt: skip


async def test_what_was_stored_last_counts(subject: Subject) -> None:
    await subject.cache.store({A: b"one", B: b"two"})
    await subject.cache.store({A: b""})
    assert list(await subject.cache.look_up([A, B])) == [b"", b"two"]


async def test_a_store_that_is_away_misses_and_never_raises(subject: Subject) -> None:
    await subject.cache.store({A: b"one"})
    with subject.away():
        assert list(await subject.cache.look_up([A, B])) == [None, None]
        await subject.cache.store({B: b"two"})
    assert list(await subject.cache.look_up([A, B])) == [b"one", None]


@pytest.mark.servers
async def test_results_expire(module_valkey: Server) -> None:
    """The fake keeps them: no test that uses it lasts an hour."""
    module_valkey.client.flushall()
    connections = Connections(module_valkey.url, call_s=CALL_S)
    cache = result_cache.ResultCache(
        connections=connections, clock=ManualClock(), ttl_s=TTL_S, pause_s=PAUSE_S
    )
    await cache.store({A: b"one"})
    (key,) = module_valkey.client.keys()
    assert 0 < module_valkey.client.ttl(key) <= TTL_S
    await cache.close()


@pytest.mark.servers
async def test_a_server_that_failed_is_asked_again_after_the_pause(module_valkey: Server) -> None:
    module_valkey.client.flushall()
    clock = ManualClock()
    cache = result_cache.ResultCache(
        connections=Connections(module_valkey.url, call_s=CALL_S),
        clock=clock,
        ttl_s=TTL_S,
        pause_s=PAUSE_S,
    )
    await cache.store({A: b"one"})
    with module_valkey.frozen():
        assert list(await cache.look_up([A])) == [None]
    clock.at_s += PAUSE_S - 0.1
    assert list(await cache.look_up([A])) == [None]
    assert cache.failures == 1
    clock.at_s += 0.1
    assert list(await cache.look_up([A])) == [b"one"]
    await cache.close()
