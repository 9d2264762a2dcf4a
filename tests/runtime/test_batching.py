"""Group commit: what comes while one batch is flushed goes with the next, and all are answered."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.runtime.batching import Batcher, Full
from tests.support.patience import HANG_S


class Late(Exception):
    """An item waited too long for its flush to begin; it was not flushed."""


class Gate:
    """A flush that waits until it is let through and says what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.opened = asyncio.Semaphore(0)
        self.fails_with: BaseException | None = None

    async def flush(self, batch: Sequence[int]) -> Sequence[int | BaseException]:
        self.batches.append(list(batch))
        await self.opened.acquire()
        if self.fails_with is not None:
            raise self.fails_with
        return [ValueError(item) if item < 0 else item * 10 for item in batch]

    def batcher(
        self,
        *,
        rows_max: int = 100,
        bytes_max: int = 1000,
        in_flight: int = 1,
        waiting_max: int = 1000,
        wait_s: float = 3600.0,
    ) -> Batcher[int, int]:
        return Batcher(
            name="test",
            flush=self.flush,
            rows_max=rows_max,
            bytes_max=bytes_max,
            in_flight=in_flight,
            waiting_max=waiting_max,
            wait_s=wait_s,
            late=Late,
        )

    async def let(self, count: int = 1) -> None:
        """Let so many batches through and everything that follows from it happen."""
        for _ in range(count):
            self.opened.release()
            await turns()


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_item_alone_goes_at_once() -> None:
    gate = Gate()
    future = gate.batcher().put(1, 1)
    await turns()
    assert gate.batches == [[1]]
    await gate.let()
    assert await future == 10


async def test_all_that_are_ready_in_one_turn_of_the_loop_share_a_batch() -> None:
    gate = Gate()
    batcher = gate.batcher()
    futures = [batcher.put(n, 1) for n in range(5)]
    await turns()
    assert gate.batches == [[0, 1, 2, 3, 4]]
    await gate.let()
    assert await asyncio.gather(*futures) == [0, 10, 20, 30, 40]


async def test_what_comes_during_a_flush_gathers_and_goes_with_the_next() -> None:
    gate = Gate()
    batcher = gate.batcher()
    batcher.put(1, 1)
    await turns()
    for n in (2, 3, 4):
        batcher.put(n, 1)
        await turns()
    assert gate.batches == [[1]]
    await gate.let()
    assert gate.batches == [[1], [2, 3, 4]]


async def test_no_more_batches_are_in_flight_than_there_are_slots() -> None:
    gate = Gate()
    batcher = gate.batcher(rows_max=1, in_flight=2)
    for n in range(5):
        batcher.put(n, 1)
    await turns()
    assert gate.batches == [[0], [1]]
    await gate.let()
    assert gate.batches == [[0], [1], [2]]


async def test_a_batch_is_bounded_by_rows() -> None:
    gate = Gate()
    batcher = gate.batcher(rows_max=2)
    for n in range(5):
        batcher.put(n, 1)
    await gate.let(3)
    assert gate.batches == [[0, 1], [2, 3], [4]]


async def test_a_batch_is_bounded_by_bytes_and_one_that_is_larger_goes_alone() -> None:
    gate = Gate()
    batcher = gate.batcher(bytes_max=10)
    for n, size in enumerate((5, 5, 1, 99, 1)):
        batcher.put(n, size)
    await gate.let(4)
    assert gate.batches == [[0, 1], [2], [3], [4]]


async def test_at_the_bound_the_next_is_not_taken() -> None:
    gate = Gate()
    batcher = gate.batcher(waiting_max=2)
    futures = [batcher.put(n, 1) for n in range(2)]
    with pytest.raises(Full):
        batcher.put(2, 1)
    assert batcher.waiting == 2
    await gate.let()
    assert await asyncio.gather(*futures) == [0, 10]
    assert batcher.waiting == 0
    batcher.put(3, 1)


async def test_items_in_a_flush_count_as_waiting() -> None:
    gate = Gate()
    batcher = gate.batcher(waiting_max=1)
    batcher.put(1, 1)
    await turns()
    assert gate.batches == [[1]]
    with pytest.raises(Full):
        batcher.put(2, 1)


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError(), SystemExit(1)])
async def test_a_flush_that_fails_is_raised_to_every_waiter(error: BaseException) -> None:
    gate = Gate()
    gate.fails_with = error
    batcher = gate.batcher()
    futures = [batcher.put(n, 1) for n in range(3)]
    await gate.let()
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(each) for each in outcomes] == [type(error)] * 3


async def test_after_a_broken_flush_the_next_batch_goes_as_ever() -> None:
    gate = Gate()
    gate.fails_with = ValueError("no")
    batcher = gate.batcher()
    first = batcher.put(1, 1)
    await gate.let()
    gate.fails_with = None
    second = batcher.put(2, 1)
    await gate.let()
    assert isinstance(first.exception(), ValueError)
    assert await second == 20


async def test_one_entry_may_fail_alone() -> None:
    gate = Gate()
    batcher = gate.batcher()
    futures = [batcher.put(n, 1) for n in (1, -2, 3)]
    await gate.let()
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert [outcomes[0], type(outcomes[1]), outcomes[2]] == [10, ValueError, 30]


async def test_a_cancelled_waiter_disturbs_no_other() -> None:
    gate = Gate()
    batcher = gate.batcher()
    futures = [batcher.put(n, 1) for n in range(3)]
    await turns()
    futures[1].cancel()
    await gate.let()
    assert (await futures[0], await futures[2]) == (0, 20)
    assert batcher.waiting == 0


async def test_a_drain_returns_when_all_that_was_taken_is_answered() -> None:
    gate = Gate()
    batcher = gate.batcher(rows_max=1)
    futures = [batcher.put(n, 1) for n in range(3)]
    draining = asyncio.create_task(batcher.drain())
    await gate.let(2)
    assert not draining.done()
    await gate.let()
    await draining
    assert [future.result() for future in futures] == [0, 10, 20]


async def test_a_drain_of_nothing_returns_at_once() -> None:
    await Gate().batcher().drain()


async def test_what_waited_too_long_for_its_flush_ends_late_and_is_not_flushed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind a flush that hangs, old items time out; later ones are still flushed."""
    loop = asyncio.get_running_loop()
    real_s, ahead = loop.time, [0.0]
    monkeypatch.setattr(loop, "time", lambda: real_s() + ahead[0])
    gate = Gate()
    batcher = Batcher(
        name="test",
        flush=gate.flush,
        rows_max=100,
        bytes_max=1000,
        in_flight=1,
        waiting_max=10,
        wait_s=10.0,
        late=lambda: TimeoutError("late"),
    )
    hanging = batcher.put(1, 1)
    await turns()
    old = batcher.put(2, 1)
    ahead[0] = 11.0
    young = batcher.put(3, 1)
    await gate.let(2)
    assert gate.batches == [[1], [3]]
    assert (await hanging, await young) == (10, 30)
    with pytest.raises(TimeoutError, match="late"):
        await old
    assert batcher.waiting == 0


async def test_beside_another_batch_the_next_goes_when_as_many_wait_as_are_in_flight() -> None:
    gate = Gate()
    batcher = gate.batcher(in_flight=2)
    for n in range(5):
        batcher.put(n, 1)
    await turns()
    for n in range(5, 9):
        batcher.put(n, 1)
        await turns()
    assert gate.batches == [[0, 1, 2, 3, 4]]
    batcher.put(9, 1)
    await turns()
    assert gate.batches == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


async def test_beside_a_large_batch_thirty_two_are_enough() -> None:
    gate = Gate()
    batcher = gate.batcher(in_flight=2)
    for n in range(100):
        batcher.put(n, 1)
    await turns()
    for n in range(31):
        batcher.put(n, 1)
    await turns()
    assert [len(batch) for batch in gate.batches] == [100]
    batcher.put(31, 1)
    await turns()
    assert [len(batch) for batch in gate.batches] == [100, 32]


async def test_when_the_last_flush_ends_what_has_gathered_goes_however_little() -> None:
    gate = Gate()
    batcher = gate.batcher(in_flight=2)
    for n in range(5):
        batcher.put(n, 1)
    await turns()
    batcher.put(5, 1)
    await turns()
    assert gate.batches == [[0, 1, 2, 3, 4]]
    await gate.let()
    assert gate.batches == [[0, 1, 2, 3, 4], [5]]


async def test_behind_a_stuck_flush_an_item_times_out_though_nothing_else_comes() -> None:
    gate = Gate()
    batcher = gate.batcher(in_flight=2, wait_s=0.05)
    loop = asyncio.get_running_loop()
    stuck = [batcher.put(n, 1) for n in range(3)]
    await turns()
    began_s = loop.time()
    first = batcher.put(3, 1)
    await asyncio.sleep(0.01)
    second = batcher.put(4, 1)
    for future, at_s in ((first, 0.05), (second, 0.06)):
        with pytest.raises(Late):
            await asyncio.wait_for(future, HANG_S)
        assert loop.time() - began_s >= at_s - 0.002
    with pytest.raises(Late):
        await asyncio.wait_for(batcher.put(5, 1), HANG_S)  # nothing was waiting before
    assert gate.batches == [[0, 1, 2]]
    assert batcher.waiting == 3
    await gate.let()
    assert await asyncio.gather(*stuck) == [0, 10, 20]


async def test_however_many_wait_there_is_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    real, timers = loop.call_at, list[float]()

    def call_at(when: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return real(when, callback, *args)

    monkeypatch.setattr(loop, "call_at", call_at)
    gate = Gate()
    batcher = gate.batcher()
    for n in range(50):
        batcher.put(n, 1)
        await turns()
    await gate.let(2)
    assert [len(batch) for batch in gate.batches] == [1, 49]
    assert len(timers) == 1


class StillLoop(asyncio.SelectorEventLoop):
    """A loop whose clock is moved by hand."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s


WAIT_S = 10


class Model:
    """What must be in flight, waiting and late, as a minimal model."""

    def __init__(self, slots: int, rows_max: int) -> None:
        self.slots = slots
        self.rows_max = rows_max
        self.queue: deque[tuple[int, int]] = deque()
        self.flights: list[list[int]] = []
        self.late: set[int] = set()

    def settle(self, now: int) -> None:
        while self.queue and now - self.queue[0][1] >= WAIT_S:
            self.late.add(self.queue.popleft()[0])
        while self.queue and len(self.flights) < self.slots:
            rows = sum(len(flight) for flight in self.flights)
            if self.flights and len(self.queue) < min(rows, 32, self.rows_max):
                break
            count = min(len(self.queue), self.rows_max)
            self.flights.append([self.queue.popleft()[0] for _ in range(count)])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 90)),
        st.tuples(st.just("end"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(1, WAIT_S)),
    ),
    max_size=40,
)


@given(slots=st.integers(1, 4), rows_max=st.sampled_from((7, 40, 200)), steps=STEPS)
def test_nothing_is_stranded_and_batches_start_when_they_should(
    slots: int, rows_max: int, steps: list[tuple[str, int]]
) -> None:
    loop = StillLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(follow_the_model(loop, Model(slots, rows_max), steps))


async def follow_the_model(loop: StillLoop, model: Model, steps: list[tuple[str, int]]) -> None:
    futures = list[asyncio.Future[int]]()
    flights: list[tuple[list[int], asyncio.Event]] = []

    async def flush(batch: Sequence[int]) -> Sequence[int]:
        flight = (list(batch), asyncio.Event())
        flights.append(flight)
        await flight[1].wait()
        flights.remove(flight)
        return batch

    batcher = Batcher[int, int](
        name="test",
        flush=flush,
        rows_max=model.rows_max,
        bytes_max=1000,
        in_flight=model.slots,
        waiting_max=10_000,
        wait_s=float(WAIT_S),
        late=Late,
    )
    todo = deque(steps)
    while todo or flights:
        what, count = todo.popleft() if todo else ("end", 0)
        if what == "put":
            for _ in range(count):
                model.queue.append((len(futures), int(loop.now_s)))
                futures.append(batcher.put(len(futures), 1))
        elif what == "wait":
            loop.now_s += count
        elif flights:
            flights[count % len(flights)][1].set()
            model.flights.pop(count % len(model.flights))
        await turns()
        model.settle(int(loop.now_s))
        assert [batch for batch, _ in flights] == model.flights
        assert flights or batcher.waiting == 0
        assert batcher.waiting == len(model.queue) + sum(len(rows) for rows in model.flights)
    for n, future in enumerate(futures):
        assert future.done()
        if n in model.late:
            assert isinstance(future.exception(), Late)
        else:
            assert future.result() == n
