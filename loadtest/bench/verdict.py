"""The verdict on the figures: ratios, floors and aims, and the promise behind a 2xx.

A missed floor fails the benchmark. A missed aim is reported, and the benchmark passes.
"""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Literal, NamedTuple

import msgspec

from loadtest.bench.closed_loop import Closed
from loadtest.bench.contenders import Name
from loadtest.bench.plan import Findings

State = Literal["pass", "below aim", "FAIL", "not measured"]


class Spread(NamedTuple):
    """A median with the lowest and the highest value."""

    median: float
    low: float
    high: float


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the verdict."""

    what: str
    found: Spread | None
    wanted: str
    state: State


def spread(values: Sequence[float]) -> Spread:
    """Return median, lowest and highest of at least one value."""
    return Spread(median(values), min(values), max(values))


def ratio(
    findings: Findings, over: Name, under: Name, figure: Callable[[Closed], float]
) -> Spread | None:
    """Compare two services round by round; None if either was not measured.

    Within a round both ran on the same machine in the same state, so its variation cancels out.
    """
    pairs = zip(findings.closed.get(over, ()), findings.closed.get(under, ()), strict=False)
    ratios = [figure(one) / figure(other) for one, other in pairs if figure(other) > 0]
    return spread(ratios) if ratios else None


def judge(findings: Findings) -> list[Judged]:
    """Compare the findings with every floor and aim."""
    to_plain = ratio(findings, "tidegate", "plain", _rate)
    to_bare = ratio(findings, "tidegate", "bare", _rate)
    cpu_to_bare = ratio(findings, "tidegate", "bare", lambda figures: figures.service_cpu_us)
    return [
        _at_least("requests/s, c / b", to_plain, floor=8, aim=15),
        _at_least("requests/s, c / a", to_bare, floor=0.25, aim=0.40),
        _at_most("CPU of the service per request, c / a", cpu_to_bare, aim=2.0),
        _at_most("p99 in ms of c at 20 orders/s", _p99(findings, 20), aim=5.0),
        _at_most("p99 in ms of c at 200 orders/s", _p99(findings, 200), aim=10.0),
        _promise(findings),
    ]


def failed(verdict: Sequence[Judged]) -> bool:
    """Whether a floor was missed."""
    return any(line.state == "FAIL" for line in verdict)


def _rate(figures: Closed) -> float:
    return figures.requests_per_s


def _p99(findings: Findings, rate: int) -> Spread | None:
    for latencies in findings.opened.get("tidegate", ()):
        if latencies.rate == rate and latencies.accepted:
            return spread([latencies.p99_ms])
    return None


def _at_least(what: str, found: Spread | None, *, floor: float, aim: float) -> Judged:
    state: State = "not measured"
    if found is not None:
        state = "FAIL" if found.median < floor else "below aim" if found.median < aim else "pass"
    wanted = f"floor {floor:g}, aim {aim:g}"
    return Judged(what=what, found=found, wanted=wanted, state=state)


def _at_most(what: str, found: Spread | None, *, aim: float) -> Judged:
    state: State = "not measured"
    if found is not None:
        state = "below aim" if found.median > aim else "pass"
    return Judged(what=what, found=found, wanted=f"aim at most {aim:g}", state=state)


def _promise(findings: Findings) -> Judged:
    state: State = "not measured"
    if promises := findings.kept.get("tidegate"):
        state = "FAIL" if promises.broken else "pass"
    return Judged(
        what="every order c acknowledged is stored, once", found=None, wanted="floor", state=state
    )
