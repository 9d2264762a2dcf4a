"""`tidegate migrate`."""

import asyncio

import click

from gateway.runtime import settings, settings_source
from gateway.runtime.clock import SystemClock
from ops.failures import Failure
from ops.migrations import runner, version

_EPILOG = """\
\b
Examples:
  tidegate migrate
  tidegate migrate --check    # changes nothing; for deployment scripts
Safe to repeat and to run from several machines at once: they take turns.
Each run is one transaction: it is applied whole or not at all.
\b
Exits 0 when the database has the newest schema, 1 when it has not
(--check) or could not be brought there, 2 when a setting is wrong.
"""


@click.command("migrate", epilog=_EPILOG)
@click.option("--check", is_flag=True, help="Change nothing; exit 1 unless the schema is newest.")
def command(check: bool) -> None:
    """Bring the database to the newest schema.

    Applies what is missing to the database that database_url names, and makes the partitions of
    the coming months. Gateways and workers may be running.
    """
    loaded = settings_source.load()
    if check:
        _check(loaded)
        return
    outcome = asyncio.run(runner.upgrade(loaded, now=SystemClock().now(), say=click.echo))
    for step in outcome.steps:
        click.echo(f"applied {step.revision}: {step.name}")
    if not outcome.steps:
        click.echo(f"already at {outcome.after}, nothing to apply")
    else:
        click.echo(f"the schema is at {outcome.after} (was {outcome.before or 'empty'})")


def _check(loaded: settings.Settings) -> None:
    found = asyncio.run(runner.revision(loaded))
    if complaint := version.complaint(found):
        raise Failure(complaint)
    click.echo(f"the schema is at {found}, as it should be")
