"""All processes as lines of text, and a terminal on which they are redrawn."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from msgspec import Struct

from gateway.domain.features import FEATURES, TIERS
from gateway.overload.cluster_view import ClusterSummary
from gateway.overload.heartbeats import PublishedProcess
from gateway.overload.snapshot import TierSnapshot
from ops.tables import lines, wrapped

#: Hide the cursor and cut long lines off; and undo both.
_BEGIN, _END = "\x1b[?25l\x1b[?7l\x1b[2J", "\x1b[?7h\x1b[?25h"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_TITLES = (
    *("PROCESS", "ROLE", "PORT", "LOAD", "SIGNAL"), *(f"T{tier}" for tier in TIERS),
    *("SLOTS", "WAITING", "ACCEPTED/S", "REJECTED/S", "AGE"),
)  # fmt: skip
_LEGEND = (
    "tiers: - all admitted; shed: this share is rejected; back: recovering, this share is still "
    "rejected; * an operator's override, see `tidegate shed`"
)
#: Left out on a narrow terminal, in this order.
_SPARE = ("AGE", "ROLE", "WAITING", "SLOTS", "PORT", "SIGNAL")
_STATES = {"shedding_some": "shed", "recovering": "back"}
#: Lines of the view besides the processes.
_OTHER_LINES = 6
#: Columns below which the lines around the table wrap, and how many more they are then.
_COLUMNS, _WRAPPED_LINES = 130, 5


class Row(Struct, frozen=True):
    """A process as it was ``age_s`` ago."""

    process: PublishedProcess
    age_s: float


def by_position(row: Row) -> tuple[str, int]:
    """Return the sort key of host and process id: a row keeps its position while it exists."""
    return row.process.host, row.process.pid


def view(
    summary: ClusterSummary,
    rows: Sequence[Row],
    *,
    unreadable: int,
    rows_max: int | None = None,
    width: int | None = None,
) -> list[str]:
    """Return a summary, and one line for each of the ``rows_max`` busiest processes.

    Nothing is wider than ``width`` columns, if it is given.
    """
    if not rows and not unreadable:
        return [
            "no process publishes its load: does `tidegate serve` run with this TIDEGATE_REDIS_URL?"
        ]
    busiest = sorted(rows, key=lambda row: row.process.load, reverse=True)[:rows_max]
    shown = sorted(busiest, key=by_position)
    cells = [_cells(row) for row in shown]
    table = lines(_TITLES, cells, width=width, spare=_SPARE)
    made = [*wrapped(_in_one_line(summary), width), "", *table]
    if len(shown) < len(rows):
        made.append(f"and {len(rows) - len(shown)} more, less busy")
    if unreadable:
        made.append(f"and {unreadable} of another version, which this one cannot read")
    return [*made, "", *wrapped(_LEGEND, width)]


@contextmanager
def screen() -> Iterator[None]:
    """Prepare the terminal for the block; cursor and wrapping are restored afterwards."""
    click.echo(_BEGIN, nl=False)
    try:
        yield
    finally:
        # A terminal that is closed needs nothing restored.
        with contextlib.suppress(OSError):
            click.echo(_END)


def draw(drawn: Sequence[str]) -> None:
    """Draw lines over what was drawn before."""
    lines_max = max(1, shutil.get_terminal_size().lines - 2)
    text = "".join(f"{line}{_REST_OF_LINE}\n" for line in drawn[:lines_max])
    click.echo(f"{_HOME}{text}{_REST_OF_SCREEN}", nl=False)


def rows_max() -> int:
    """Return how many processes fit on the terminal."""
    columns, rows = shutil.get_terminal_size()
    wraps = _WRAPPED_LINES if columns < _COLUMNS else 0
    return max(1, rows - _OTHER_LINES - wraps - 2)


def _in_one_line(summary: ClusterSummary) -> str:
    return (
        f"{summary.processes} process{'' if summary.processes == 1 else 'es'}   "
        f"highest load {summary.load_highest:.2f}   front p75 {summary.front_p75:.2f}   "
        f"worst back {summary.back_worst:.2f}   accepted {summary.accepted_per_s:.0f}/s   "
        f"rejected {summary.rejected_per_s:.0f}/s"
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
        f"{sum(process.rejected_per_s.values()):.0f}",
        f"{row.age_s:.1f} s",
    )


def _tier(found: TierSnapshot | None, tier: int, process: PublishedProcess) -> str:
    has_override = any(each.tier == tier and each.name in process.actions for each in FEATURES)
    return f"{_state(found)}{'*' if has_override else ''}"


def _state(found: TierSnapshot | None) -> str:
    if found is None:
        return "?"
    if found.state == "admitting":
        return "-"
    if found.state == "shedding_all":
        return "shed all"
    return f"{_plain(_STATES.get(found.state, found.state))} {found.share:.0%}"


def _plain(text: str) -> str:
    # It comes from a server that others write to: it must not move the cursor.
    return "".join(each if each.isprintable() else "?" for each in text[:64])
