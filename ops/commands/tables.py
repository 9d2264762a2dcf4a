"""Columns for people."""

from collections.abc import Sequence

import click


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows under their heads, in columns as wide as they need to be; nothing without rows."""
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
