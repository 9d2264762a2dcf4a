"""The verdict as a table for people and as JSON for programs."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from loadtest.verify import Check


class Findings(msgspec.Struct, kw_only=True):
    """Everything that the demo has measured and checked."""

    seed: int
    connections: int
    #: Messages sent, repeats included, and the seconds it took.
    attempts: int
    seconds: float
    #: Seconds until no event waited for its order and the replica had caught up.
    settled_s: float
    drawn: Mapping[str, int]
    statuses: Mapping[int, int]
    checks: Sequence[Check]

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


def as_json(findings: Findings) -> str:
    """Return everything as one JSON document."""
    document = msgspec.to_builtins(findings, str_keys=True)
    for plain, check in zip(document["checks"], findings.checks, strict=True):
        plain["ok"] = check.ok
    document["ok"] = findings.ok
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def as_text(findings: Findings) -> str:
    """Return what was sent, the table of checks, and the verdict."""
    drawn = ", ".join(f"{count:,} {what}" for what, count in findings.drawn.items())
    statuses = ", ".join(f"{count:,} x {status}" for status, count in findings.statuses.items())
    failed = sum(not check.ok for check in findings.checks)
    verdict = f"{failed} of {len(findings.checks)} checks FAILED" if failed else "all checks hold"
    return "\n".join(
        [
            f"Drawn with --seed {findings.seed}: {drawn}.",
            f"Sent {findings.attempts:,} messages over {findings.connections} connections in "
            f"{findings.seconds:.1f} s; answers: {statuses}.",
            f"Settled {findings.settled_s:.1f} s later.",
            "",
            *_table(findings.checks),
            "",
            verdict,
        ]
    )


def _table(checks: Sequence[Check]) -> Iterator[str]:
    rows = [("check", "expected", "found", "ok")]
    rows += [
        (check.name, _cell(check.expected), _cell(check.found), "yes" if check.ok else "NO")
        for check in checks
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for n, row in enumerate(rows):
        name, *cells = (
            cell.rjust(width) if 0 < at < 3 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([name, *cells]).rstrip()
        if n:
            yield from (f"    {wrong}" for wrong in checks[n - 1].wrong)


def _cell(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value
