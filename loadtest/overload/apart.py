"""The bulkhead: orders and lists in processes of their own, each in a cage of its own."""

from concurrent.futures import ThreadPoolExecutor

from loadtest.overload.flood import Outcome
from loadtest.overload.plan import WARM_UP_S, Bench

_CORE_SHARE = 0.6


def beside(bench: Bench, capacity: float, times: int) -> Outcome:
    """Offer 0.6 of the capacity as orders, the rest as lists to a second process.

    Returns what became of the orders.
    """
    seconds = float(bench.options.seconds)
    orders, lists = _CORE_SHARE * capacity, (times - _CORE_SHARE) * capacity
    with (
        bench.serving("act", role="core") as core,
        bench.serving("act", role="query") as query,
        ThreadPoolExecutor(2) as both,
    ):
        bench.probe(core)
        flooding = both.submit(bench.phases, query, [(0.0, lists, WARM_UP_S + seconds)])
        found = bench.phases(core, [(orders, 0.0, WARM_UP_S), (orders, 0.0, seconds)])
        flooding.result()
    return found[1].outcomes["order"]
