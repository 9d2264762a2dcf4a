"""The findings as a table, and the verdict against the floors."""

from collections.abc import Iterator, Sequence
from statistics import median

import msgspec

from loadtest.overload.findings import TIMES, Findings, Trial
from loadtest.overload.outcomes import Kind, Phase

#: At how many times the capacity: goodput as a share of it, p99 in milliseconds.
_FLOOD_FLOORS = {2: (0.95, 100), 5: (0.75, 150), 10: (0.50, 250)}
#: Share of orders that succeed beside a flood of lists, in one and the same process.
_MIXED_FLOORS = {2: 0.98, 5: 0.95, 10: 0.80}

#: The same where lists have a process of their own: share, and p99 in milliseconds.
_APART_FLOOR, _APART_FLOOR_MS = 0.995, 100
#: Share of orders answered when a flood is over: its retries must not sustain themselves.
_AFTER_FLOOR = 0.99
#: Goodput at ten times the capacity where HAProxy rejects before the gateway.
_FRONTED_AIM = 0.80


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the verdict."""

    what: str
    found: str
    floor: str
    is_held: bool


def judge(findings: Findings) -> list[Judged]:
    """Compare the findings with every floor."""
    return [*_floods(findings), *_apart(findings), *_others(findings)]


def _floods(findings: Findings) -> Iterator[Judged]:
    for times in TIMES:
        goodput, p99_ms = _goodput(findings.flood[times]), _p99(findings.flood[times])
        floor, floor_ms = _FLOOD_FLOORS[times]
        yield Judged(
            what=f"orders at {times} x the capacity",
            found=f"{goodput:.0%} of it, p99 {p99_ms:.0f} ms",
            floor=f"{floor:.0%}, {floor_ms} ms",
            is_held=goodput >= floor and p99_ms <= floor_ms,
        )
    yield _control("without shedding", findings.unshed)
    yield _control("decided when parsed", findings.late)
    for times in TIMES:
        share = _answered(findings.mixed[times])
        yield Judged(
            what=f"orders at 0.6, lists up to {times} x, one process",
            found=f"{share:.1%} of orders answered",
            floor=f"{_MIXED_FLOORS[times]:.0%}",
            is_held=share >= _MIXED_FLOORS[times],
        )


def _control(what: str, found: Sequence[Trial]) -> Judged:
    """Judge a control: it must miss the floor of five times the capacity."""
    goodput, p99_ms = _goodput(found), _p99(found)
    floor, floor_ms = _FLOOD_FLOORS[5]
    return Judged(
        what=f"the control: 5 x, {what}",
        found=f"{goodput:.0%}, p99 {p99_ms:.0f} ms",
        floor=f"must fail: below {floor:.0%} or above {floor_ms} ms",
        is_held=goodput < floor or p99_ms > floor_ms,
    )


def _apart(findings: Findings) -> Iterator[Judged]:
    for times, found in findings.apart.items():
        share = _answered(found)
        yield Judged(
            what=f"orders at 0.6, lists up to {times} x, apart",
            found=f"{share:.2%} of orders answered, p99 {_p99(found):.0f} ms",
            floor=f"{_APART_FLOOR:.1%}, {_APART_FLOOR_MS} ms",
            is_held=share >= _APART_FLOOR and _p99(found) <= _APART_FLOOR_MS,
        )
    if found := findings.fronted.get(10, []):
        goodput = _goodput(found)
        yield Judged(
            what="orders at 10 x the capacity through HAProxy",
            found=f"{goodput:.0%} of it, p99 {_p99(found):.0f} ms",
            floor=f"{_FRONTED_AIM:.0%}",
            is_held=goodput >= _FRONTED_AIM,
        )


def _others(findings: Findings) -> Iterator[Judged]:
    cost = median(findings.refusal_cost or [float("nan")])
    least = median(findings.least_refusal_cost or [float("nan")])
    yield Judged(
        what="cost of a refusal, of an accepted order",
        found=f"{cost:.3f} (bare sockets: {least:.3f})",
        floor="0.06",
        is_held=cost <= 0.06,
    )
    refused = [_refused(phase, ("order", "list")) for phase in findings.quiet]
    lists = [_refused(phase, ("list",)) for phase in findings.quiet]
    yield Judged(
        what="refused at 0.7 of the capacity, median of the windows",
        found=(
            f"{median(refused):.2%} of all, {median(lists):.2%} of lists "
            f"(worst: {max(refused):.2%}, {max(lists):.2%})"
        ),
        floor="0.1 %",
        is_held=median(refused) <= 0.001 and median(lists) <= 0.001,
    )
    alone = median(_refused(phase, ("order", "list")) for phase in findings.cpu_alone)
    yield Judged(
        what="the control: refused at 0.7, CPU alone",
        found=f"{alone:.2%} of all",
        floor="must fail: above 0.1 %",
        is_held=alone > 0.001,
    )
    after = findings.after_flood.answered
    yield Judged(
        what="orders at 0.7, 10 s after a storm of retries at 10 x",
        found=f"{after:.2%} of orders answered",
        floor=f"{_AFTER_FLOOR:.0%}",
        is_held=after >= _AFTER_FLOOR,
    )
    yield Judged(
        what="load while half of the capacity is offered: 0.7 or more",
        found=f"{findings.high_at_half:.1%} of samples",
        floor="1 %",
        is_held=findings.high_at_half <= 0.01,
    )
    yield Judged(
        what="load while all of it is offered: below 0.8",
        found=f"{findings.low_at_full:.1%} of samples",
        floor="0 %",
        is_held=findings.low_at_full == 0,
    )
    yield _worst(
        "lists gone after a step to 5 x",
        [step.shed_after_ms for step in findings.steps], "ms", 500,
    )  # fmt: skip
    yield _worst(
        "lists back after the step back", [step.back_after_s for step in findings.steps], "s", 45
    )
    yield _worst(
        "lists shed or back, a minute", [step.flips_per_min for step in findings.steps], "times", 2
    )


def _refused(phase: Phase, kinds: Sequence[Kind]) -> float:
    found = [phase.outcomes[kind] for kind in kinds]
    return sum(each.refused for each in found) / max(1, sum(each.due for each in found))


def _worst(what: str, values: Sequence[float | None], unit: str, limit: float) -> Judged:
    known = [value for value in values if value is not None]
    is_complete = len(known) == len(values) and bool(known)
    return Judged(
        what=what,
        found=f"{max(known):.3g} {unit}" if is_complete else "never",
        floor=f"{limit:g} {unit}",
        is_held=is_complete and max(known) <= limit,
    )


def as_text(findings: Findings, judged: Sequence[Judged]) -> str:
    """Return the tables."""
    lines = [
        f"Capacity P: {median(findings.probes):,.0f} orders/s with {findings.held_to_cores:g} of a "
        f"core ({min(findings.probes):,.0f} - {max(findings.probes):,.0f}), "
        f"Python {findings.python}.",
        "Median of the rounds, against P right before each; goodput: answered 2xx within a second "
        "of when it was due.",
        _bound(findings),
        "",
    ]
    rows: list[tuple[str, ...]] = [
        ("", "goodput/P", "p50 ms", "p99 ms", "max ms", "refused", "unanswered", "not placed")
    ]
    for what, found in (
        ("orders at {} x", findings.flood),
        ("0.6 P of orders, lists to {} x", findings.mixed),
        ("0.6 P of orders, lists to {} x, apart", findings.apart),
        ("orders at {} x through HAProxy", findings.fronted),
        ("orders at {} x, not shed", {5: findings.unshed}),
        ("orders at {} x, decided when parsed", {5: findings.late}),
    ):
        rows += [_row(what.format(times), trials) for times, trials in found.items()]
    lines += _table(rows)
    lines.append("")
    verdict = [("", "found", "floor", "")]
    verdict += [(j.what, j.found, j.floor, "held" if j.is_held else "MISSED") for j in judged]
    lines += _table(verdict)
    return "\n".join(lines)


def _bound(findings: Findings) -> str:
    """Return a line: the goodput if a rejection cost only the kernel and a bare loop."""
    least = median(findings.least_refusal_cost or [float("nan")])
    left = (max(0.0, (1 - times * least) / (1 - least)) for times in TIMES)
    shares = " / ".join(f"{share:.0%}" for share in left)
    at = " / ".join(f"{times}" for times in TIMES)
    return f"If one process rejected at the cost of bare sockets, {shares} would remain at {at} x."


def _row(name: str, found: Sequence[Trial]) -> tuple[str, ...]:
    def middle(field: str) -> str:
        return f"{median(getattr(each.orders, field) for each in found):,.0f}"

    fields = ("p50_ms", "p99_ms", "max_ms", "refused", "unanswered", "not_placed")
    return (name, f"{_goodput(found):.0%}", *map(middle, fields))


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _goodput(found: Sequence[Trial]) -> float:
    return median(each.goodput for each in found)


def _answered(found: Sequence[Trial]) -> float:
    return median(each.answered for each in found)


def _p99(found: Sequence[Trial]) -> float:
    return median(each.orders.p99_ms for each in found)
