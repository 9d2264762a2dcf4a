"""Columns for people."""

from collections.abc import Sequence

import click


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows under their heads, in columns as wide as they need to be; nothing without rows."""
    for line in lines(heads, rows):
        click.echo(line)


def lines(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of such a table."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    padded = (
        [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        for row in (heads, *rows)
    )
    return ["  ".join(cells).rstrip() for cells in padded]
