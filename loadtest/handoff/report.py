"""The findings as tables for people and as JSON for programs."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from loadtest.bench.report import spread_text, table
from loadtest.bench.verdict import Judged, spread
from loadtest.handoff.intake import Intake
from loadtest.handoff.plan import Findings
from loadtest.handoff.watching import Speed

_NOISY_CORES = 0.2
_SPEED: tuple[tuple[str, Callable[[Speed], float]], ...] = (
    ("deliveries/s", lambda each: each.deliveries_per_s),
    ("CPU us: worker", lambda each: each.worker_cpu_us),
    ("postgres", lambda each: each.postgres_cpu_us),
    ("valkey", lambda each: each.valkey_cpu_us),
)
_INTAKE: tuple[tuple[str, Callable[[Intake], float]], ...] = (
    ("orders/s", lambda each: each.orders_per_s),
    ("p99 ms", lambda each: each.p99_ms),
    ("deliveries/s", lambda each: each.deliveries_per_s),
)


def as_json(findings: Findings, verdict: Sequence[Judged]) -> bytes:
    """Return everything measured and judged as one JSON document."""
    document: dict[str, Any] = msgspec.to_builtins(findings)
    document["verdict"] = msgspec.to_builtins(verdict)
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def as_text(findings: Findings, verdict: Sequence[Judged]) -> str:
    """Return the tables."""
    return "\n".join(
        [*_speed(findings), *_latency(findings), *_intake(findings), *_judged(verdict)]
    )


def _speed(findings: Findings) -> Iterator[str]:
    entries = {
        "(a) Celery on Redis, requests": findings.celery,
        "(b) Tidegate, one worker": findings.tidegate,
        "empty log of attempts": findings.empty_speed,
        "full log of attempts": findings.full_speed,
    }
    rows = [
        [label, *(spread_text(spread(list(map(of, rounds))), ",.0f") for _, of in _SPEED)]
        for label, rounds in entries.items()
        if rounds
    ]
    if rows:
        yield (
            f"{findings.events:,} staged events to a fast receiver, {findings.rounds} rounds, "
            f"{findings.cores} cores shared by worker, servers and receiver, fsync on."
        )
        yield "Median of the rounds (lowest - highest); CPU in microseconds per delivery."
        yield ""
        yield from table([["", *(title for title, _ in _SPEED)], *rows])
        yield ""
    speeds = [*findings.celery, *findings.tidegate, *findings.empty_speed, *findings.full_speed]
    noise = max((each.others_cores for each in speeds), default=0.0)
    if noise > _NOISY_CORES:
        yield (
            f"Warning: processes outside the benchmark kept up to {noise:.1f} of {findings.cores} "
            "cores busy. Ratios are not reliable then: repeat the run when the machine is quiet."
        )
        yield ""


def _latency(findings: Findings) -> Iterator[str]:
    if found := findings.latency:
        yield (
            f"From the reply to a payment to the warehouse, {found.orders_per_s} orders/s: "
            f"p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms, at most {found.max_ms:.1f} ms; "
            f"{found.received:,} of {found.paid:,} paid orders came."
        )
        yield ""


def _intake(findings: Findings) -> Iterator[str]:
    entries = {
        "alone": findings.intake_alone,
        "beside a worker": findings.intake_beside,
        "empty log of attempts": findings.empty_intake,
        "full log of attempts": findings.full_intake,
    }
    rows = [
        [label, *(spread_text(spread(list(map(of, found))), ",.1f") for _, of in _INTAKE)]
        for label, found in entries.items()
        if found
    ]
    if rows:
        rounds = f"{findings.rounds} x {findings.seconds} s"
        yield f"Intake: {findings.connections} connections, {rounds}."
        yield ""
        yield from table([["", *(title for title, _ in _INTAKE)], *rows])
        yield ""
    if findings.dropped_s is not None:
        yield f"The months that are too old were dropped {findings.dropped_s:.1f} s after a start."
        yield ""


def _judged(verdict: Sequence[Judged]) -> Iterator[str]:
    yield "Ratios are medians of the ratio within each round."
    yield ""
    yield from table(
        [line.what, spread_text(line.found, ".2f") if line.found else "", line.wanted, line.state]
        for line in verdict
    )
