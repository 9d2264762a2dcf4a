"""While every flush hangs, no waiter waits for more than one deadline, however many wait."""

import asyncio
import time
from collections.abc import Sequence

from gateway.runtime.batching import Batcher

HANG_S = 0.1
WAIT_S = 0.05


class Late(Exception):
    """Waited too long for a flush to begin."""


async def test_waiters_behind_hanging_flushes_time_out_soon() -> None:
    async def hang(batch: Sequence[int]) -> Sequence[TimeoutError]:
        await asyncio.sleep(HANG_S)
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
    began_s = time.monotonic()
    results = await asyncio.gather(
        *(batcher.put(n, 1) for n in range(1000)), return_exceptions=True
    )
    # One after the other, the flushes would take fifty times as long.
    assert time.monotonic() - began_s < 5 * HANG_S
    assert [type(each) for each in results[:20]] == [TimeoutError] * 20
    assert {type(each) for each in results[20:]} == {Late}
    assert batcher.waiting == 0
    await batcher.drain()


async def test_a_waiter_in_time_is_flushed_after_a_late_one() -> None:
    is_hanging = True

    async def flush(batch: Sequence[int]) -> Sequence[int]:
        if is_hanging:
            await asyncio.sleep(HANG_S)
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
    await asyncio.sleep(HANG_S - WAIT_S / 2)
    is_hanging = False
    in_time = batcher.put(3, 1)
    results = await asyncio.gather(first, late, in_time, return_exceptions=True)
    assert [results[0], type(results[1]), results[2]] == [1, Late, 3]
