"""The controls, known to be wrong, which must miss their floors; and the least cost of a 503."""

from loadtest.bench import cpu
from loadtest.overload.caged_gateway import Bench, summary
from loadtest.overload.findings import TIMES, Trial
from loadtest.overload.outcomes import Phase


def unshed(bench: Bench) -> list[Trial]:
    """Offer five times the capacity to a gateway that only watches."""
    return _floods(bench, "watch", "", "without shedding")


def late(bench: Bench) -> list[Trial]:
    """Offer five times the capacity to a gateway that decides only after a request is parsed."""
    return _floods(bench, "act", "late", "decided when parsed")


def _floods(bench: Bench, shedding: str, control: str, what: str) -> list[Trial]:
    found = []
    with bench.serving(shedding, control=control) as gateway:
        for _ in range(bench.options.rounds):
            capacity = bench.capacity(gateway)
            found.append(bench.offer(gateway, capacity, orders=5).trial)
            bench.say(f"the control, 5 x, {what}: {summary(found[-1])}")
            bench.rest(gateway, capacity, orders=0.1, seconds=2.0)
    return found


def cpu_alone(bench: Bench) -> list[Phase]:
    """Offer 0.7 of the capacity to a gateway whose load is its CPU use alone."""
    bench.say("the control, CPU alone, at 0.7 of the capacity")
    with bench.serving("act", control="cpu") as gateway:
        return [bench.quiet(gateway) for _ in range(bench.options.rounds)]


def least_rejection_s(bench: Bench) -> float:
    """Return the CPU seconds that bare sockets need to reject an order of a flood."""
    rate = TIMES[-1] * bench.probes[-1]
    with bench.caged("loadtest.baseline.refuser", (), {}) as gateway:
        before = cpu.usage(gateway.pid)
        phases = bench.phases(gateway, [(rate, 0.0, float(bench.options.seconds))])
        used_s = cpu.usage(gateway.pid).since(before).service_s
        return used_s / max(1, phases[0].outcomes["order"].refused)
