"""The cluster view: read once a second for all observers, bounded, None without Redis."""

import asyncio

import msgspec
import pytest

from gateway.overload import cluster_view
from gateway.overload.cluster_view import LISTED_MAX, READ_S, ClusterView, NoClusterView
from gateway.overload.heartbeats import PublishedProcess
from gateway.stores.redis.process_states import Published
from tests.domain.support import NOW
from tests.ops.test_load import process
from tests.support.fakes.clock import ManualClock
from tests.support.fakes.process_states import FakeProcessStates


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def states() -> FakeProcessStates:
    return FakeProcessStates()


@pytest.fixture
def view(states: FakeProcessStates, clock: ManualClock) -> ClusterView:
    return ClusterView(states=states, clock=clock)


async def publish(states: FakeProcessStates) -> None:
    await states.publish("p", back=0.0, state=msgspec.json.encode(process()))


def published(*processes: PublishedProcess, age_s: float = 0.3) -> list[Published]:
    return [Published(msgspec.json.encode(each), age_s) for each in processes]


def seen(*processes: PublishedProcess) -> cluster_view.ClusterSnapshot:
    return cluster_view.summarised(published(*processes), at=NOW)


async def test_it_is_read_once_a_second_however_many_observers_ask(
    view: ClusterView, states: FakeProcessStates, clock: ManualClock
) -> None:
    assert states.reads == 0, "there is no observer"
    await publish(states)
    for n in range(1, 4):
        found = await asyncio.gather(*[view.read() for _ in range(50)])
        assert states.reads == n
        assert len({id(each) for each in found}) == 1
        whole = found[0]
        assert whole is not None
        assert whole.at == clock.now()
        clock.at_s += READ_S - 0.1
        assert await view.read() is whole
        clock.at_s += 0.1
    assert states.reads == 3


async def test_an_observer_slightly_early_gets_the_next_read(
    view: ClusterView, states: FakeProcessStates, clock: ManualClock
) -> None:
    """A stream that asks each second would otherwise get the same view twice now and then."""
    await view.read()
    clock.at_s += READ_S - 0.03
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await view.read()
    assert states.reads == 2
    assert loop.time() - began_s >= 0.028, "and no sooner than it is due"
    # The next is due a second after the one that was due.
    clock.at_s += READ_S - 0.03
    await view.read()
    assert states.reads == 2
    clock.at_s += 0.03
    await view.read()
    assert states.reads == 3


async def test_an_unavailable_redis_is_none_until_it_is_back(
    view: ClusterView, states: FakeProcessStates, clock: ManualClock
) -> None:
    assert await view.read() is not None
    states.is_away = True
    clock.at_s += READ_S
    assert [await view.read(), await view.read()] == [None, None]
    assert states.reads == 2, "an unavailable Redis is also asked once a second"
    states.is_away = False
    clock.at_s += READ_S
    assert await view.read() is not None


async def test_an_observer_that_leaves_does_not_cancel_the_read(
    view: ClusterView, states: FakeProcessStates
) -> None:
    states.may_answer.clear()
    first, second = (asyncio.create_task(view.read()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    states.may_answer.set()
    assert await second is not None
    assert states.reads == 1


async def test_when_all_observers_have_left_the_next_one_reads_again(
    view: ClusterView, states: FakeProcessStates, clock: ManualClock
) -> None:
    states.may_answer.clear()
    looking = asyncio.create_task(view.read())
    await asyncio.sleep(0)
    looking.cancel()
    await asyncio.wait([looking])
    states.may_answer.set()
    await asyncio.sleep(0)
    clock.at_s += 3600.0
    await publish(states)
    whole = await view.read()
    assert whole is not None
    assert whole.summary.processes == 1


async def test_without_redis_there_is_no_view() -> None:
    assert await NoClusterView().read() is None


def test_all_are_in_the_summary_and_each_in_its_place() -> None:
    found = seen(
        process(pid=9, load=0.9, waiting=4, accepted_per_s=10.0, rejected_per_s={"4": 2.0}),
        process(host="node-0", pid=8, role="query", signal="dbpool", back=0.5),
    )
    assert [each.pid for each in found.processes] == [8, 9]
    assert (found.summary.processes, found.summary.load_highest) == (2, 0.9)
    assert (found.summary.back_worst, found.summary.waiting) == (0.5, 15)
    first, second = found.processes
    assert (first.role, first.signal, first.age_s) == ("query", "dbpool", 0.3)
    assert (second.load, second.accepted_per_s, second.rejected_per_s) == (0.9, 10.0, 2.0)
    assert (found.more, found.unreadable) == (0, 0)


def test_of_many_the_busiest_are_listed_and_all_are_counted() -> None:
    many = [process(pid=n, load=n / 512) for n in range(512)]
    found = seen(*many)
    assert [each.pid for each in found.processes] == list(range(512 - LISTED_MAX, 512))
    assert (found.more, found.summary.processes) == (512 - LISTED_MAX, 512)
    assert len(msgspec.json.encode(found)) < 20_000


def test_published_texts_are_cut() -> None:
    long = "\N{BANKNOTE WITH YEN SIGN}\n" * 50_000
    strange = {f"t{n}": 1.0 for n in range(1000)}
    odd = process(host=long, role=long, signal=long, rejected_per_s=strange, actions={long: long})
    encoded = msgspec.json.encode(seen(odd))
    assert len(encoded) < 2000
    assert b"\n" not in encoded


def test_unreadable_processes_are_counted_and_in_no_figure() -> None:
    states = [*published(process()), Published(b"{}", 0.1), Published(b"\xff", 0.1)]
    found = cluster_view.summarised(states, at=NOW)
    assert (len(found.processes), found.summary.processes, found.unreadable) == (1, 1, 2)


async def test_an_error_leaves_no_old_view_behind(
    view: ClusterView,
    states: FakeProcessStates,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def failing() -> list[Published]:
        raise ZeroDivisionError

    await publish(states)
    assert await view.read() is not None
    clock.at_s += READ_S
    monkeypatch.setattr(states, "published", failing)
    with pytest.raises(ZeroDivisionError):
        await view.read()
    assert await view.read() is None
