"""`tidegate up`."""

import os
import sys
from pathlib import Path

import click

from ops.up import run_up, surroundings

_PROCESSES_MAX = 64

_EPILOG = """\
\b
Examples:
  tidegate up
  tidegate up --ephemeral --port 0
  tidegate up --bare
\b
While it runs, STATE/env (.tidegate/env unless --state-dir names another STATE)
gives other shells the addresses and an API key:
  . .tidegate/env && tidegate doctor
  curl -H "Authorization: Bearer $TIDEGATE_API_KEY" "$TIDEGATE_URL/v1/orders"
\b
Servers that you name (TIDEGATE_DATABASE_URL, TIDEGATE_REDIS_URL,
TIDEGATE_JOURNAL_URL) replace its own; what a shell has from STATE/env does not
count. Ctrl-C drains and stops all that it started.
\b
More processes help where the machine has cores left: one gateway process keeps
about one core busy, and PostgreSQL and Valkey need as much again. On two cores
that they share, two processes take no more orders than one (5,000/s either
way), and the p99 is 100 ms instead of 50: leave it at 1 there. From four cores
on, or with the databases on machines of their own, give one process to each
core that is left.
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
    help="Gateway processes; more than one helps from four cores on (see below).",
)
@click.option(
    "--warehouse/--bare",
    "with_warehouse",
    default=None,
    help="Run the demonstration warehouse, or leave it out.  [default: run it, unless the database "
    "is yours or tidegate.toml has targets]",
)
def command(
    state_dir: Path,
    ephemeral: bool,
    host: str | None,
    port: int | None,
    processes: int,
    with_warehouse: bool | None,
) -> None:
    """Run everything on this machine, servers included.

    Starts PostgreSQL with a replica and two Valkeys (results and journal), brings the schema up to
    date, makes the keys at the first start, runs a gateway and a worker, and prints their
    addresses, an API key and a request to paste.

    A warehouse for demonstration runs beside them: paid orders are handed on to it, and it accepts,
    ships and delivers them within ten seconds. Test orders are left alone.

    SIGHUP (`kill -HUP`) has the gateway and the worker reload tidegate.toml; see `tidegate serve
    --help`. When the terminal hangs up, everything is drained and stopped, unless it was started
    with nohup.
    """
    state = None if ephemeral else state_dir
    around = surroundings.look(os.environ, state)
    for name in around.sourced:
        del os.environ[name]  # the processes that are started must not see it either
    sys.exit(
        run_up(
            state_dir=state,
            around=around,
            host=around.settings.host if host is None else host,
            port=around.settings.port if port is None else port,
            processes=processes,
            with_warehouse=with_warehouse,
        )
    )
