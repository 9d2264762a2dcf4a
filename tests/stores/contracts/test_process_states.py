"""Heartbeats: received by all others, aged, expired, and back after an outage."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import pytest

from gateway.domain.errors import Unavailable
from gateway.stores.redis.process_states import PeerLoad, ProcessStates, Published
from tests.support.fakes.process_states import FakeProcessStates
from tests.support.valkey_cluster import Server

from .support import CALL_S, retried

#: So long that the time a test takes does not count.
EXPIRES_S = 3000.0


class States(Protocol):
    async def publish(self, process: str, *, back: float, state: bytes) -> list[PeerLoad]: ...

    async def published(self) -> list[Published]: ...


class Subject(Protocol):
    @property
    def states(self) -> States: ...

    def go(self, seconds: float) -> None:
        """So much time has passed for the store."""

    def away(self) -> AbstractContextManager[None]:
        """Lend a time in which the store does not answer."""
        ...


@dataclass
class Fake:
    states: FakeProcessStates

    def go(self, seconds: float) -> None:
        self.states.at_s += seconds

    @contextmanager
    def away(self) -> Iterator[None]:
        self.states.is_away = True
        yield
        self.states.is_away = False


@dataclass
class Real:
    states: ProcessStates
    server: Server

    def go(self, seconds: float) -> None:
        for process in self.server.client.zrange("tidegate:{load}:heard", 0, -1):
            self.server.client.zincrby("tidegate:{load}:heard", -seconds * 1000, process)

    def away(self) -> AbstractContextManager[None]:
        return self.server.frozen()


@pytest.fixture
async def subject(valkey_or_none: Server | None) -> AsyncIterator[Subject]:
    if valkey_or_none is None:
        yield Fake(FakeProcessStates(expires_s=EXPIRES_S))
        return
    states = ProcessStates(url=valkey_or_none.url, call_s=CALL_S, expires_s=EXPIRES_S)
    yield Real(states, valkey_or_none)
    await states.close()


async def publish(subject: Subject, process: str, back: float = 0.5) -> list[float]:
    """Publish; return the back loads of the others."""
    state = f"state of {process}".encode()
    return [each.back for each in await subject.states.publish(process, back=back, state=state)]


async def shown(subject: Subject) -> list[bytes]:
    return [each.state for each in await subject.states.published()]


async def test_nothing_is_published_at_first(subject: Subject) -> None:
    assert await shown(subject) == []


async def test_each_process_receives_all_others_and_not_itself(subject: Subject) -> None:
    assert await publish(subject, "a", 0.25) == []
    assert await publish(subject, "b", 0.75) == [0.25]
    assert sorted(await publish(subject, "c", 1.25)) == [0.25, 0.75]
    assert sorted(await publish(subject, "a", 0.5)) == [0.75, 1.25]
    assert sorted(await shown(subject)) == [b"state of a", b"state of b", b"state of c"]


async def test_the_newest_is_first(subject: Subject) -> None:
    for number, process in enumerate("abc"):
        await publish(subject, process, float(number))
        subject.go(1.0)
    assert await publish(subject, "d") == [2.0, 1.0, 0.0]
    subject.go(1.0)
    await publish(subject, "a")
    assert await shown(subject) == [b"state of " + each for each in (b"a", b"d", b"c", b"b")]


async def test_what_is_published_again_replaces_the_former(subject: Subject) -> None:
    await subject.states.publish("a", back=0.1, state=b"first")
    subject.go(2000.0)
    await subject.states.publish("a", back=0.9, state=b"\x00 second \xff")
    (published,) = await subject.states.published()
    assert published.state == b"\x00 second \xff"
    assert published.age_s < 1000.0
    assert await publish(subject, "b") == [0.9]


async def test_a_snapshot_ages_and_expires(subject: Subject) -> None:
    await publish(subject, "old", 0.9)
    subject.go(2000.0)
    (load,) = await subject.states.publish("b", back=0.1, state=b"b")
    assert 2000.0 <= load.age_s < EXPIRES_S
    ages_s = {each.state: each.age_s for each in await subject.states.published()}
    assert 2000.0 <= ages_s[b"state of old"] < EXPIRES_S
    subject.go(1001.0)
    assert await shown(subject) == [b"b"]
    assert await publish(subject, "b") == []
    await publish(subject, "old", 0.7)
    assert await publish(subject, "b") == [0.7]


async def test_a_store_that_is_away_is_unavailable_and_loses_nothing(subject: Subject) -> None:
    await publish(subject, "a", 0.3)
    with subject.away():
        with pytest.raises(Unavailable):
            await publish(subject, "b")
        with pytest.raises(Unavailable):
            await shown(subject)
    assert await retried(lambda: publish(subject, "b")) == [0.3]
