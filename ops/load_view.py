"""All processes as lines for people, and a terminal that they are drawn on again and again."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from msgspec import Struct

from gateway.domain.features import FEATURES, TIERS
from gateway.overload.peers import Process, Summary, Tier
from ops.tables import lines

#: The cursor hidden and long lines cut off; and both as they were.
_BEGIN, _END = "\x1b[?25l\x1b[?7l\x1b[2J", "\x1b[?7h\x1b[?25h"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_HEADS = (
    *("PROCESS", "ROLE", "PORT", "LOAD", "SIGNAL"), *(f"T{tier}" for tier in TIERS),
    *("SLOTS", "WAITING", "ACCEPTED/S", "REFUSED/S", "AGE"),
)  # fmt: skip
_LEGEND = (
    "tiers: - all taken; shed, back: the share that is refused; open: all refused; "
    "* an operator's word, see `tidegate shed`"
)
_WORDS = {"shedding": "shed", "recovering": "back"}
#: Lines of the view that are no process.
_OTHER_LINES = 6


class Row(Struct, frozen=True):
    """A process as it was ``age_s`` ago."""

    process: Process
    age_s: float


def by_place(row: Row) -> tuple[str, int]:
    """Sort rows by host and process: each keeps its place while it lives."""
    return row.process.host, row.process.pid


def told(
    summary: Summary, rows: Sequence[Row], *, unreadable: int, rows_max: int | None = None
) -> list[str]:
    """Return the view: all in one line, then a line for each process, the busiest ``rows_max``."""
    if not rows and not unreadable:
        return [
            "no process tells its load: does `tidegate serve` run, with this TIDEGATE_REDIS_URL?"
        ]
    busiest = sorted(rows, key=lambda row: row.process.load, reverse=True)[:rows_max]
    shown = sorted(busiest, key=by_place)
    made = [_in_one_line(summary), "", *lines(_HEADS, [_cells(row) for row in shown])]
    if len(shown) < len(rows):
        made.append(f"and {len(rows) - len(shown)} more that are less busy")
    if unreadable:
        made.append(f"and {unreadable} of another version, which this one can not read")
    return [*made, "", _LEGEND]


@contextmanager
def screen() -> Iterator[None]:
    """Take the terminal for the block; cursor and wrapping are as before afterwards."""
    click.echo(_BEGIN, nl=False)
    try:
        yield
    finally:
        # Whose terminal has gone needs nothing put back.
        with contextlib.suppress(OSError):
            click.echo(_END)


def draw(drawn: Sequence[str]) -> None:
    """Draw lines over what was drawn before."""
    text = "".join(f"{line}{_REST_OF_LINE}\n" for line in drawn[: rows_max() + _OTHER_LINES])
    click.echo(f"{_HOME}{text}{_REST_OF_SCREEN}", nl=False)


def rows_max() -> int:
    """Return the processes that the terminal has room for."""
    return max(1, shutil.get_terminal_size().lines - _OTHER_LINES - 2)


def _in_one_line(summary: Summary) -> str:
    return (
        f"{summary.processes} process{'' if summary.processes == 1 else 'es'}   "
        f"highest load {summary.load_highest:.2f}   front p75 {summary.front_p75:.2f}   "
        f"worst back {summary.back_worst:.2f}   accepted {summary.accepted_per_s:.0f}/s   "
        f"refused {summary.refused_per_s:.0f}/s"
    )


def _cells(row: Row) -> tuple[str, ...]:
    process = row.process
    tiers = {tier.tier: tier for tier in process.tiers}
    return (
        f"{_plain(process.host)}/{process.pid}",
        _plain(process.role),
        str(process.port),
        f"{process.load:.2f}",
        _plain(process.signal),
        *(_tier(tiers.get(tier), tier, process) for tier in TIERS),
        f"{process.slots_in_use}/{process.slots_limit}",
        str(process.waiting),
        f"{process.accepted_per_s:.0f}",
        f"{sum(process.refused_per_s.values()):.0f}",
        f"{row.age_s:.1f} s",
    )


def _tier(told: Tier | None, tier: int, process: Process) -> str:
    is_said = any(each.tier == tier and each.name in process.said for each in FEATURES)
    return f"{_state(told)}{'*' if is_said else ''}"


def _state(told: Tier | None) -> str:
    if told is None:
        return "?"
    if told.state == "closed":
        return "-"
    if told.state == "open":
        return "open"
    return f"{_plain(_WORDS.get(told.state, told.state))} {told.share:.0%}"


def _plain(text: str) -> str:
    # It comes from a server that others may write to: nothing of it may move the cursor.
    return "".join(each if each.isprintable() else "?" for each in text[:64])
