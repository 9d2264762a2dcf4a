"""The findings as tables for people and as JSON for programs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from loadtest.bench.closed_loop import Closed
from loadtest.bench.contenders import LETTERS, TITLES, Name
from loadtest.bench.plan import Findings
from loadtest.bench.verdict import Judged, Spread, spread

_NOISY_CORES = 0.2

_FIGURES: tuple[tuple[str, Callable[[Closed], float], str], ...] = (
    ("requests/s", lambda figures: figures.requests_per_s, ",.0f"),
    ("p50 ms", lambda figures: figures.p50_ms, ".1f"),
    ("p99 ms", lambda figures: figures.p99_ms, ".1f"),
    ("CPU us: service", lambda figures: figures.service_cpu_us, ".0f"),
    ("postgres", lambda figures: figures.postgres_cpu_us, ".0f"),
    ("valkey", lambda figures: figures.valkey_cpu_us, ".0f"),
)


def as_json(findings: Findings, verdict: Sequence[Judged]) -> bytes:
    """Return everything measured and judged as one JSON document."""
    document: dict[str, Any] = msgspec.to_builtins(findings)
    document["verdict"] = msgspec.to_builtins(verdict)
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def as_text(findings: Findings, verdict: Sequence[Judged]) -> str:
    """Return the tables."""
    lines = [*_closed(findings), *_opened(findings), *_promises(findings), *_judged(verdict)]
    return "\n".join(lines)


def _closed(findings: Findings) -> Iterator[str]:
    replica = "with one streaming replica" if findings.replica else "without a replica, (b) and (c)"
    yield (
        f"Closed loop: {findings.connections} connections, distinct orders, "
        f"{findings.rounds} x {findings.seconds:g} s, {findings.cores} cores shared by service, "
        f"servers and generator, fsync on, {replica}."
    )
    yield "Median of the rounds (lowest - highest); CPU in microseconds per accepted order."
    yield ""
    header = ["", *(title for title, _, _ in _FIGURES), "not 2xx"]
    yield from table([header, *(_closed_row(*entry) for entry in findings.closed.items())])
    yield ""
    noise = max(figures.others_cores for rounds in findings.closed.values() for figures in rounds)
    if noise > _NOISY_CORES:
        yield (
            f"Warning: processes outside the benchmark kept up to {noise:.1f} of {findings.cores} "
            "cores busy. Ratios are not reliable then: repeat the run when the machine is quiet."
        )
        yield ""


def _closed_row(name: Name, rounds: list[Closed]) -> list[str]:
    cells = [_label(name)]
    for _, figure, form in _FIGURES:
        cells.append(spread_text(spread([figure(figures) for figures in rounds]), form))
    return [*cells, f"{sum(figures.not_2xx + figures.socket_errors for figures in rounds):,}"]


def _opened(findings: Findings) -> Iterator[str]:
    if not findings.opened:
        return
    yield "Open loop: evenly spaced arrivals, latency in ms from the scheduled moment."
    yield ""
    rows = [["", "orders/s", "p50", "p99", "max", "accepted", "not 2xx", "unanswered",
             "not placed", "sent late, p99"]]  # fmt: skip
    for name, runs in findings.opened.items():
        for run in runs:
            times = [run.p50_ms, run.p99_ms, run.max_ms]
            counts = [run.accepted, run.not_2xx, run.unanswered, run.not_placed]
            rows.append(
                [_label(name), f"{run.rate:,.0f}", *(f"{ms:.1f}" for ms in times),
                 *(f"{count:,}" for count in counts), f"{run.sent_late_p99_ms:.1f}"]
            )  # fmt: skip
    yield from table(rows)
    yield ""


def _promises(findings: Findings) -> Iterator[str]:
    for name, promises in findings.kept.items():
        yield (
            f"{_label(name)}: {promises.acknowledged:,} orders acknowledged, "
            f"{promises.stored:,} stored "
            f"({promises.in_doubt:,} more may be: the generator closed their connections)."
        )
        yield from (f"  BROKEN {line}" for line in promises.broken)
    if findings.kept:
        yield ""


def _judged(verdict: Sequence[Judged]) -> Iterator[str]:
    yield "Ratios are medians of the ratio within each round."
    yield ""
    yield from table(
        [line.what, spread_text(line.found, ".2f") if line.found else "", line.wanted, line.state]
        for line in verdict
    )


def _label(name: Name) -> str:
    return f"({LETTERS[name]}) {TITLES[name]}"


def spread_text(found: Spread, form: str) -> str:
    """Return the median, with the lowest and the highest value where they differ from it."""
    if found.low == found.high:
        return format(found.median, form)
    return f"{found.median:{form}} ({found.low:{form}} - {found.high:{form}})"


def table(rows: Iterable[list[str]]) -> Iterator[str]:
    """Yield the rows as aligned lines; the first column is text, the others are figures."""
    cells = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *others = zip(row, widths, strict=True)
        yield "  ".join(
            [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        ).rstrip()
