"""The page of the commands: what `--help` of each prints."""

from collections.abc import Iterator

import click

from ops import cli
from ops.reference import markdown

_INTRODUCTION = """\
What `--help` prints, for each command.
In a checkout the command is `.venv/bin/tidegate`.
"""
#: Of a terminal with a hundred: click leaves two.
COLUMNS = 98


def page() -> str:
    """Return the page."""
    parts = [
        f"{'#' * min(3, len(path) + 1)} {' '.join(path)}\n\n{markdown.fence(help_)}"
        for path, help_ in helps(cli.main, ("tidegate",))
    ]
    return markdown.page("Commands", _INTRODUCTION, *parts)


def helps(
    command: click.Command, path: tuple[str, ...], parent: click.Context | None = None
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the help of a command and of all below it, with the words that lead to each."""
    settings = {**command.context_settings, "terminal_width": COLUMNS}
    context = click.Context(command, info_name=path[-1], parent=parent, **settings)
    with context:
        yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from helps(below, (*path, name), context)
