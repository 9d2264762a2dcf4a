"""The results of the rounds: a line each, a table of all, and JSON."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from tests.torture.tally import Tally

_COLUMNS = (
    "fault", "acked", "202", "refused", "unknown", "lost", "twice", "well", "1st 202", "reads", "",
)  # fmt: skip


class Round(msgspec.Struct, kw_only=True):
    """The result of one fault."""

    fault: str
    is_control: bool
    outcome: Literal["held", "broken", "not run"]
    #: The checks that failed, or why it was not run; one line each.
    wrong: list[str] = []
    tally: Tally | None = None
    #: Answers by status; 0: no answer, -1: could not connect.
    statuses: dict[int, int] = {}
    #: Seconds from the repair until the recovery, and from the strike to the first 202.
    recovered_s: float | None = None
    journaled_s: float | None = None
    #: Seconds after the recovery until every id that came with a 202 could be read: reads that were
    #: shed during the fault are admitted again step by step.
    resolved_s: float | None = None
    #: Seconds that the slowest callback took: a provider times out after five.
    slowest_callback_s: float = 0.0
    took_s: float = 0.0

    @property
    def is_right(self) -> bool:
        """Whether the promises held; for a control, whether the violation was detected."""
        return self.outcome == ("broken" if self.is_control else "held")

    @property
    def verdict(self) -> str:
        """The outcome; for a control, whether it was detected."""
        if self.outcome == "not run":
            return "not run"
        if self.is_control:
            return "detected" if self.is_right else "NOT DETECTED"
        return "held" if self.is_right else "BROKEN"


def as_text(rounds: Sequence[Round]) -> str:
    """Return the table, followed by the failed checks."""
    rows = [_COLUMNS, *map(_row, rounds)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(_COLUMNS))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [row[n].rjust(widths[n]) for n in range(1, len(_COLUMNS) - 1)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    for played in rounds:
        lines += [f"{played.fault}: {wrong}" for wrong in played.wrong]
    return "\n".join(lines)


def as_json(rounds: Sequence[Round], *, seed: int) -> bytes:
    """Return all results as JSON."""
    made = {"seed": seed, "rounds": rounds}
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def exit_status(rounds: Sequence[Round]) -> int:
    """0: all is right, 1: some round is wrong, 2: some round could not be played."""
    if any(played.outcome != "not run" and not played.is_right for played in rounds):
        return 1
    return 2 if any(played.outcome == "not run" for played in rounds) else 0


def _row(played: Round) -> tuple[str, ...]:
    counted = played.tally
    figures = ["-"] * 6
    if counted is not None:
        numbers = (
            counted.acknowledged, counted.journaled, counted.refused, counted.unknown,
            counted.lost, counted.twice,
        )  # fmt: skip
        figures = [f"{number:,}" for number in numbers]
    times = [
        "-" if seconds is None else f"{seconds:.1f} s"
        for seconds in (played.recovered_s, played.journaled_s, played.resolved_s)
    ]
    return (played.fault, *figures, *times, played.verdict)
