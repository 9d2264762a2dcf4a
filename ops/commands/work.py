"""`tidegate work`."""

import os
import sys

import click

from gateway.runtime import hangup
from gateway.runtime.settings_source import SettingsSource
from workers import supervisor

_EPILOG = """\
\b
Example:
  tidegate work
Run any number of them: they share the work, and nothing is done twice.
\b
Exits 0 after SIGTERM or SIGINT, 1 when a task died or the database is unavailable
at the start, 2 when a setting is wrong.
"""


@click.command("work", epilog=_EPILOG)
def command() -> None:
    """Run a worker: everything that happens after the response.

    Hands changes of orders on to the targets, drains the journal when the database is back, matches
    payments with orders that arrived after them, marks for a person what waits too long, creates
    the partitions of the coming months, and deletes what has expired.

    http://127.0.0.1:9464 has its /metrics, /healthz and /readyz (worker_metrics_host and
    worker_metrics_port).

    SIGHUP reloads the settings file: channels and targets change at once, what else differs is
    named in the log and needs a restart. When the terminal of a worker hangs up, it ends, unless it
    was started with nohup.
    """
    hangups = hangup.listen()
    source = SettingsSource(os.environ)
    sys.exit(supervisor.run(source.load(), load=source.load, hangups=hangups))
