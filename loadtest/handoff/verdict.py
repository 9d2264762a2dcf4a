"""The floors, and whether the findings hold them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from loadtest.bench.verdict import Judged, Spread, State, spread
from loadtest.handoff.intake import Intake
from loadtest.handoff.plan import Findings
from loadtest.handoff.watching import Speed

#: (b) over (a) in deliveries for the same CPU time of the worker, and (b) alone.
_PER_CORE, _DELIVERIES_PER_S = 10.0, 2_000.0
_P50_MS, _P99_MS = 50.0, 250.0
#: Of the intake beside a worker to that alone, and of a full log of attempts to an empty one.
_BESIDE, _FULL = 0.90, 0.90
_DROPPED_S = 60.0
_T = TypeVar("_T")


def judge(findings: Findings) -> list[Judged]:
    """Compare what was measured with the floors."""
    if findings.stored_attempts:
        return [
            _at_least(
                "deliveries/s, full log / empty",
                _ratios(findings.full_speed, findings.empty_speed, _deliveries),
                _FULL,
            ),
            _at_least(
                "orders/s, full log / empty",
                _ratios(findings.full_intake, findings.empty_intake, _orders),
                _FULL,
            ),
            _at_most("seconds until old months are dropped", findings.dropped_s, _DROPPED_S),
        ]
    p50_ms = p99_ms = None
    if findings.latency is not None:
        p50_ms, p99_ms = findings.latency.p50_ms, findings.latency.p99_ms
    return [
        _at_least(
            "deliveries per core, b / a",
            _ratios(findings.celery, findings.tidegate, _cpu_us),
            _PER_CORE,
        ),
        _at_least(
            "deliveries/s of b, one worker",
            spread([_deliveries(each) for each in findings.tidegate])
            if findings.tidegate
            else None,
            _DELIVERIES_PER_S,
        ),
        _at_most("p50 in ms from reply to receipt", p50_ms, _P50_MS),
        _at_most("p99 in ms from reply to receipt", p99_ms, _P99_MS),
        _whole(findings),
        _at_least(
            "orders/s, beside a worker / alone",
            _ratios(findings.intake_beside, findings.intake_alone, _orders),
            _BESIDE,
        ),
    ]


def _deliveries(figures: Speed) -> float:
    return figures.deliveries_per_s


def _cpu_us(figures: Speed) -> float:
    return figures.worker_cpu_us


def _orders(figures: Intake) -> float:
    return figures.orders_per_s


def _ratios(
    over: Sequence[_T], under: Sequence[_T], figure: Callable[[_T], float]
) -> Spread | None:
    ratios = [figure(one) / figure(other) for one, other in zip(over, under, strict=False)]
    return spread(ratios) if ratios else None


def _whole(findings: Findings) -> Judged:
    state: State = "not measured"
    if latency := findings.latency:
        state = "pass" if latency.received == latency.paid > 0 else "FAIL"
    return Judged(what="every paid order came", found=None, wanted="floor", state=state)


def _at_least(what: str, found: Spread | None, floor: float) -> Judged:
    state: State = "not measured"
    if found is not None:
        state = "pass" if found.median >= floor else "FAIL"
    return Judged(what=what, found=found, wanted=f"floor {floor:g}", state=state)


def _at_most(what: str, found: float | None, floor: float) -> Judged:
    state: State = "not measured"
    if found is not None:
        state = "pass" if found <= floor else "FAIL"
    spread_of = None if found is None else spread([found])
    return Judged(what=what, found=spread_of, wanted=f"at most {floor:g}", state=state)
