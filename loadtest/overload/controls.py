"""What is known to be wrong, and must miss its floor; and what no process can undercut."""

from loadtest.bench import cpu
from loadtest.overload.flood import Outcome, Phase
from loadtest.overload.plan import TIMES, Bench, said


def late(bench: Bench, capacity: float) -> list[Outcome]:
    """Offer five times the capacity to a gateway that decides when a request was parsed."""
    found = []
    with bench.serving("act", control="late") as site:
        bench.probe(site)
        for _ in range(bench.options.rounds):
            found.append(bench.flood(site, 5 * capacity).found)
            bench.say(f"the control, decided late, 5 x: {said(found[-1], capacity)}")
            bench.calm(site, capacity)
    return found


def cpu_alone(bench: Bench, capacity: float) -> list[Phase]:
    """Offer 0.7 of the capacity to a gateway in which CPU decides alone."""
    bench.say("the control, CPU alone, at 0.7 of the capacity")
    with bench.serving("act", control="cpu") as site:
        bench.probe(site)
        bench.phases(site, [(0.3 * capacity, 0.0, 30.0)])
        return [bench.quiet(site) for _ in range(bench.options.rounds)]


def least_refusal_s(bench: Bench, capacity: float) -> float:
    """Return the CPU seconds in which bare sockets refuse an order of a flood."""
    with bench.caged("loadtest.baseline.refuser", (), {}) as site:
        before = cpu.usage(site.pid)
        phases = bench.phases(site, [(TIMES[-1] * capacity, 0.0, float(bench.options.seconds))])
        used_s = cpu.usage(site.pid).since(before).service_s
        return used_s / max(1, phases[0].outcomes["order"].refused)
