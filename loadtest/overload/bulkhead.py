"""The bulkhead: orders and lists in separate processes, each limited to a part of a core."""

from concurrent.futures import ThreadPoolExecutor

from loadtest.overload.caged_gateway import CORE_SHARE, WARM_UP_S, Bench, summary
from loadtest.overload.findings import Trial


def beside(bench: Bench, times: int) -> list[Trial]:
    """Offer 0.6 of the capacity as orders, the rest as lists to a second process, in each round."""
    return [_round(bench, times) for _ in range(bench.options.rounds)]


def _round(bench: Bench, times: int) -> Trial:
    seconds = WARM_UP_S + bench.options.seconds
    with (
        bench.serving("act", role="core") as core,
        bench.serving("act", role="query") as query,
        ThreadPoolExecutor(2) as both,
    ):
        capacity = bench.capacity(core)
        lists = (times - CORE_SHARE) * capacity
        flooding = both.submit(bench.phases, query, [(0.0, lists, seconds)])
        trial = bench.offer(core, capacity, orders=CORE_SHARE).trial
        flooding.result()
    bench.say(f"orders at {CORE_SHARE}, lists to {times} x in a process apart: {summary(trial)}")
    return trial
