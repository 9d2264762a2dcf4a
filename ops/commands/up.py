"""`tidegate up`."""

import sys
from pathlib import Path

import click

from ops import effective
from ops.up import run_up

_PROCESSES_MAX = 64

_EPILOG = """\
\b
Examples:
  tidegate up
  tidegate up --ephemeral --port 0
\b
Servers that you name (TIDEGATE_DATABASE_URL, TIDEGATE_REDIS_URL,
TIDEGATE_JOURNAL_URL) replace its own. Ctrl-C drains and stops all that it started.
\b
Exits 0 after Ctrl-C or SIGTERM, 1 when something could not start or kept
dying, 2 when a setting is wrong.
"""


@click.command("up", epilog=_EPILOG)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".tidegate"),
    show_default=True,
    help="The directory of data, keys, passwords and logs, kept between runs.",
)
@click.option("--ephemeral", is_flag=True, help="Use a temporary directory, removed at the end.")
@click.option("--host", help="Address of the gateway, in place of the setting `host`.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port of the gateway, in place of the setting `port`; 0 chooses a free one.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, _PROCESSES_MAX),
    default=1,
    show_default=True,
    help="Gateway processes.",
)
def command(
    state_dir: Path, ephemeral: bool, host: str | None, port: int | None, processes: int
) -> None:
    """Run everything on this machine, servers included.

    Starts PostgreSQL with a replica and two Valkeys (results and journal), creates the schema and
    the keys, runs a gateway and a worker, and prints their addresses, an API key and a request to
    paste.
    """
    loaded = effective.load_without_database()
    sys.exit(
        run_up(
            state_dir=state_dir,
            ephemeral=ephemeral,
            host=loaded.host if host is None else host,
            port=loaded.port if port is None else port,
            processes=processes,
        )
    )
