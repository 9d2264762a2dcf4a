"""Columns for people, within the width of the terminal.

Where a table is too wide, texts are wrapped at blanks and commas, then the columns that its caller
can spare are left out, and at last each row is printed as a block of lines. Nothing is cut off.
Output that goes into a file or a pipe keeps its full width.
"""

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Sequence

import click

_GAP = "  "
#: A blank before a number belongs to it (``2026-11-30 07:00``, ``shed 40%``): no line ends there.
_BREAK = re.compile(r"(?<=,)(?=\S)|\s+(?![\d+\s])")

Row = Sequence[str]

wide_option = click.option(
    "--wide", is_flag=True, help="Do not fit tables into the width of the terminal."
)


def table(
    heads: Row, rows: Sequence[Row], *, wide: bool = False, spare: Sequence[str] = ()
) -> None:
    """Print rows under their heads; nothing without rows.

    ``spare`` names the columns that may be left out, the least important first. ``wide`` prints
    everything in one line for each row.
    """
    for line in lines(heads, rows, width=None if wide else terminal_width(), spare=spare):
        click.echo(line)


def terminal_width() -> int | None:
    """Return the columns of the terminal; None where the output is none and COLUMNS is not set."""
    if os.environ.get("COLUMNS") or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return None


def lines(
    heads: Row, rows: Sequence[Row], *, width: int | None = None, spare: Sequence[str] = ()
) -> list[str]:
    """Return the lines of such a table, none wider than ``width`` columns if it is given.

    Only a word that is wider by itself is.
    """
    if not rows:
        return []
    cells = [[_printable(cell) for cell in row] for row in (heads, *rows)]
    left_out: list[str] = []
    for name in ("", *spare):
        if name in heads:
            left_out.append(name)
        shown = [n for n, head in enumerate(heads) if head not in left_out]
        columns = [[row[n] for row in cells] for n in shown]
        fitted = _fitted(columns, width)
        if fitted is not None:
            made = _laid_out([[row[n] for n in shown] for row in cells], fitted)
            if left_out:
                names = ", ".join(head for head in heads if head in left_out)
                made += ["", *wrapped(f"(not shown: {names}; --wide shows all)", width)]
            return made
    assert width is not None, "without a width everything fits"
    return _blocks(cells[0], cells[1:], width)


def wrapped(text: str, width: int | None) -> list[str]:
    """Return the lines of a text, broken at blanks and commas where one would be too wide."""
    if width is None or _width(text) <= width:
        return [text]
    made: list[str] = []
    line = ""
    at = 0
    for mark in [*_BREAK.finditer(text), None]:
        word = text[at : mark.start() if mark else len(text)]
        if line and _width(line) + _width(word) > width:
            made.append(line.rstrip())
            line = ""
        line += word + (mark[0] if mark else "")
        at = mark.end() if mark else at
    return [*made, line.rstrip()]


def _fitted(columns: Sequence[Sequence[str]], width: int | None) -> list[int] | None:
    """Return the width of each column; None if they cannot be made narrow enough together."""
    widths = [max(map(_width, column)) for column in columns]
    if width is None:
        return widths
    least = [
        max(_width(word) for cell in column for word in _BREAK.split(cell)) for column in columns
    ]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    while excess > 0:
        narrower = [n for n, each in enumerate(widths) if each > least[n]]
        if not narrower:
            return None
        widths[max(narrower, key=widths.__getitem__)] -= 1
        excess -= 1
    return widths


def _laid_out(rows: Sequence[Row], widths: Sequence[int]) -> list[str]:
    made = []
    for row in rows:
        cells = [wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for n in range(max(map(len, cells))):
            parts = (
                _padded(cell[n] if n < len(cell) else "", width)
                for cell, width in zip(cells, widths, strict=True)
            )
            made.append(_GAP.join(parts).rstrip())
    return made


def _blocks(heads: Row, rows: Sequence[Row], width: int) -> list[str]:
    """Return each row as a block, a line for each column that is not empty."""
    label_width = max(map(_width, heads))
    made: list[str] = []
    for row in rows:
        made += [""] if made else []
        for head, cell in zip(heads, row, strict=True):
            if not cell:
                continue
            first, *others = wrapped(cell, max(1, width - label_width - len(_GAP)))
            made.append(f"{_padded(head, label_width)}{_GAP}{first}")
            made += [f"{' ' * label_width}{_GAP}{other}" for other in others]
    return made


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Return the columns that a text takes on a terminal: Chinese characters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _printable(text: str) -> str:
    # A cell may come from a sender who is not trusted: it must not move the cursor.
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)
