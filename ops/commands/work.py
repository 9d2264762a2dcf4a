"""`tidegate work`."""

import sys

import click

from gateway.runtime import settings
from workers import supervisor

_EPILOG = """\
\b
Example:
  tidegate work
Run as many as you like: they share the work and never do a thing twice.
\b
Exits 0 after SIGTERM or SIGINT, 1 when a task died or the database is away
at the start, 2 when a setting is wrong.
"""


@click.command("work", epilog=_EPILOG)
def command() -> None:
    """Run a worker: everything that happens after the answer.

    Matches payments and orders that missed each other, shows a person what waits too long, makes
    the coming months' partitions and drops the old ones.
    """
    sys.exit(supervisor.run(settings.load()))
