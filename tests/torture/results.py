"""What came of the rounds: one line each, a table of all, and JSON."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from tests.torture.tally import Tally

_COLUMNS = (
    "fault", "acked", "202", "refused", "unknown", "lost", "twice", "well", "1st 202", "reads", "",
)  # fmt: skip


class Round(msgspec.Struct, kw_only=True):
    """What came of a fault."""

    fault: str
    is_control: bool
    outcome: Literal["held", "broken", "not run"]
    #: The checks that failed, or why it was not run; one line each.
    wrong: list[str] = []
    tally: Tally | None = None
    #: Answers by status; 0 is no answer, -1 nobody listened.
    statuses: dict[int, int] = {}
    #: Seconds from the mend until everything was well, and from the strike to the first 202.
    recovered_s: float | None = None
    journaled_s: float | None = None
    #: Seconds, after all was well, until every id that came with a 202 could be read: reads that
    #: were shed during the fault come back step by step.
    resolved_s: float | None = None
    #: Seconds that the slowest callback was waited for: a provider gives up after five.
    slowest_callback_s: float = 0.0
    took_s: float = 0.0

    @property
    def is_right(self) -> bool:
        """Whether the promise held; for a control, whether it was seen to be broken."""
        return self.outcome == ("broken" if self.is_control else "held")

    @property
    def verdict(self) -> str:
        """The outcome, said so that a control that was seen through reads as what it is."""
        if self.outcome == "not run":
            return "not run"
        if self.is_control:
            return "seen through" if self.is_right else "NOT SEEN"
        return "held" if self.is_right else "BROKEN"


def as_text(rounds: Sequence[Round]) -> str:
    """Return the table, and under it what was wrong where something was."""
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
    """Return everything that is known of the rounds."""
    made = {"seed": seed, "rounds": rounds}
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def exit_status(rounds: Sequence[Round]) -> int:
    """0: all is right, 1: something is not, 2: something could not be played."""
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
