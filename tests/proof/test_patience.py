"""While every flush hangs, no waiter waits for more than one deadline, however many wait."""

import asyncio
from collections.abc import Sequence

from gateway.runtime.batching import Batcher
from tests.support.patience import HANG_S

WAIT_S = 0.5


class Late(Exception):
    """Waited too long for a flush to begin."""


async def test_waiters_behind_hanging_flushes_time_out_soon() -> None:
    is_over = asyncio.Event()

    async def hang(batch: Sequence[int]) -> Sequence[TimeoutError]:
        await is_over.wait()
        return [TimeoutError() for _ in batch]

    batcher: Batcher[int, int] = Batcher(
        name="test",
        flush=hang,
        rows_max=10,
        bytes_max=1000,
        in_flight=2,
        waiting_max=1000,
        wait_s=WAIT_S,
        late=Late,
    )
    futures = [batcher.put(n, 1) for n in range(1000)]
    # What was not flushed is answered while the flushes still hang.
    async with asyncio.timeout(HANG_S):
        await asyncio.wait(futures[20:])
    assert not any(future.done() for future in futures[:20])
    is_over.set()
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(each) for each in results[:20]] == [TimeoutError] * 20
    assert {type(each) for each in results[20:]} == {Late}
    assert batcher.waiting == 0
    await batcher.drain()


async def test_a_waiter_in_time_is_flushed_after_a_late_one() -> None:
    goes_on = asyncio.Event()

    async def flush(batch: Sequence[int]) -> Sequence[int]:
        await goes_on.wait()
        return batch

    batcher: Batcher[int, int] = Batcher(
        name="test",
        flush=flush,
        rows_max=1,
        bytes_max=1000,
        in_flight=1,
        waiting_max=10,
        wait_s=WAIT_S,
        late=Late,
    )
    first, late = batcher.put(1, 1), batcher.put(2, 1)
    async with asyncio.timeout(HANG_S):
        await asyncio.wait({late})
    in_time = batcher.put(3, 1)
    goes_on.set()
    results = await asyncio.gather(first, late, in_time, return_exceptions=True)
    assert [results[0], type(results[1]), results[2]] == [1, Late, 3]
