"""The order of the run: floods, quiet, a retry storm, steps; fronts and roles; the controls."""

import os
import platform

from loadtest.overload import bulkhead, controls, front
from loadtest.overload.caged_gateway import (
    CORE_SHARE,
    LISTS_PER_S,
    REST_S,
    Bench,
    CagedGateway,
    summary,
)
from loadtest.overload.findings import TIMES, Findings, Steps, Trial
from loadtest.overload.outcomes import Phase

_LISTS_TIER = 3
_WINDOWS = 5
#: Seconds of a storm of retries: long enough to see whether it sustains itself.
_STORM_S = 60.0
_TRIES = 4


def run(bench: Bench) -> Findings:
    """Measure everything. Blocks for half an hour."""
    flood: dict[int, list[Trial]] = {times: [] for times in TIMES}
    mixed: dict[int, list[Trial]] = {times: [] for times in TIMES}
    costs: list[float] = []
    accepts_s: list[float] = []
    with bench.serving("act") as gateway:
        for number in range(bench.options.rounds):
            label = f"round {number + 1} of {bench.options.rounds}"
            accepts_s.append(bench.accept_cpu_s(gateway))
            for times in TIMES:
                flooded = bench.offer(gateway, bench.capacity(gateway), orders=times)
                flood[times].append(flooded.trial)
                bench.say(f"{label}, orders at {times} x: {summary(flooded.trial)}")
                if times == TIMES[-1] and flooded.trial.orders.refused:
                    costs.append(flooded.rejection_s(accepts_s[-1]) / accepts_s[-1])
                bench.rest(gateway, flooded.trial.capacity, orders=0.1, seconds=2.0)
            for times in TIMES:
                trial = beside_lists(bench, gateway, times)
                mixed[times].append(trial)
                bench.say(f"{label}, lists at {times} x: {summary(trial)}")
                bench.rest(gateway, trial.capacity, orders=0.1, seconds=2.0)
    with bench.serving("act") as gateway:
        quiet = _quiet(bench, gateway)
        after = _storm(bench, gateway)
        half, full = bench.sample_load(gateway, 0.5), bench.sample_load(gateway, 1.0)
        steps = [_step(bench, gateway) for _ in range(bench.options.rounds)]
    least_s = controls.least_rejection_s(bench)
    return Findings(
        held_to_cores=bench.options.cores,
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        flood=flood,
        mixed=mixed,
        refusal_cost=costs,
        accept_s=accepts_s,
        quiet=quiet,
        after_flood=after,
        high_at_half=sum(load >= 0.7 for load in half) / max(1, len(half)),
        low_at_full=sum(load < 0.8 for load in full) / max(1, len(full)),
        steps=steps,
        unshed=controls.unshed(bench),
        late=controls.late(bench),
        cpu_alone=controls.cpu_alone(bench),
        least_refusal_cost=[least_s / accept_s for accept_s in accepts_s],
        apart={times: bulkhead.beside(bench, times) for times in TIMES},
        fronted=front.floods(bench),
        probes=bench.probes,
    )


def beside_lists(bench: Bench, gateway: CagedGateway, times: int) -> Trial:
    """Offer 0.6 of the capacity as orders, and so many lists that it is ``times`` in all."""
    capacity = bench.capacity(gateway)
    lists = times - CORE_SHARE
    return bench.offer(gateway, capacity, orders=CORE_SHARE, lists=lists).trial


def _quiet(bench: Bench, gateway: CagedGateway) -> list[Phase]:
    seconds = bench.options.quiet_s
    bench.say(f"0.7 of the capacity for {_WINDOWS} x {seconds} s: nothing may be rejected")
    return [bench.quiet(gateway) for _ in range(_WINDOWS)]


def _storm(bench: Bench, gateway: CagedGateway) -> Trial:
    capacity = bench.capacity(gateway)
    bench.say(
        f"ten times the capacity for {_STORM_S:.0f} s, each rejected order sent {_TRIES - 1} more "
        "times; then 0.7 of it"
    )
    storm, quiet = (10 * capacity, 0.0, _STORM_S), (0.7 * capacity, 0.0, 10.0)
    *_, after = bench.phases(gateway, [storm, quiet, quiet], tries=_TRIES)
    trial = Trial(capacity, after.outcomes["order"])
    bench.say(f"  10 s later {trial.answered:.2%} of the orders are answered")
    bench.rest(gateway, capacity, orders=0.3, seconds=REST_S)
    return trial


def _step(bench: Bench, gateway: CagedGateway) -> Steps:
    capacity = bench.capacity(gateway)
    bench.rest(gateway, capacity, orders=0.3, seconds=REST_S)
    logged = bench.logged()
    seconds = (5.0, 10.0, 60.0)
    rates = (0.5 * capacity, 5.0 * capacity, 0.5 * capacity)
    _, step, after = bench.phases(
        gateway, [(rate, LISTS_PER_S, each) for rate, each in zip(rates, seconds, strict=True)]
    )
    flips = logged.count(rf'"tier {_LISTS_TIER} is (?:shedding|admitting) all requests"')
    answered = [n for n, count in enumerate(step.lists_accepted) if count]
    rejected = [n for n, count in enumerate(after.lists_refused) if count]
    is_shed = bool(step.lists_refused and sum(step.lists_refused[-50:]))
    is_back = not rejected or rejected[-1] < len(after.lists_refused) - 1
    shed_ms = 100.0 * (answered[-1] + 1 if answered else 0)
    back_s = 0.1 * (rejected[-1] + 1 if rejected else 0)
    steps = Steps(
        shed_after_ms=shed_ms if is_shed else None,
        back_after_s=back_s if is_back else None,
        flips_per_min=60 * flips / sum(seconds),
    )
    bench.say(f"step to 5 x and back: {steps}")
    return steps
