"""`tidegate serve`."""

import os
import sys
from typing import get_args

import click

from gateway.runtime import hangup, logs, settings
from gateway.runtime.settings_source import SettingsSource
from ops.quick_imports import quick_imports

_PROCESSES_MAX = 64

_EPILOG = """\
\b
Examples:
  tidegate serve
  tidegate serve --host 0.0.0.0 --port 8080 --processes 4
  tidegate serve --role core --port 8081 & tidegate serve --role query --port 8091
\b
More processes help where the machine has cores left: one gateway process keeps
about one core busy, and PostgreSQL and Valkey need as much again. On two cores
that they share, two processes take no more orders than one (5,000/s either
way), and the p99 is 100 ms instead of 50: leave it at 1 there. From four cores
on, or with the databases on machines of their own, give one process to each
core that is left.
\b
Needs TIDEGATE_DATABASE_URL, a migrated database and a key ring
(`tidegate doctor` checks all three).
\b
Exits 0 after SIGTERM or SIGINT when everything accepted was finished,
1 when the drain timed out or a process kept dying, 2 when a setting is wrong.
"""


@click.command("serve", epilog=_EPILOG)
@click.option("--host", help="Address to listen on, in place of the setting `host`.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on, in place of the setting `port`; 0 chooses a free one.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, _PROCESSES_MAX),
    default=1,
    show_default=True,
    help="Gateway processes that share the port; one for each core that is left (see below).",
)
@click.option(
    "--role",
    type=click.Choice(get_args(settings.ProcessRole)),
    help="What to serve, in place of the setting `role`: core: orders and callbacks; query: "
    "everything else; all.",
)
@click.option("--reuse-port", is_flag=True, hidden=True, help="Share the port: for --processes.")
def command(
    *, host: str | None, port: int | None, processes: int, role: str | None, reuse_port: bool
) -> None:
    """Run the gateway: accept orders and payment callbacks over HTTP.

    The roles core and query isolate orders and callbacks from everything else, in processes with a
    port each behind a front (see ops/front). A request to the wrong one is answered 421.

    SIGTERM and SIGINT drain: no new connections, everything accepted is finished within drain_s
    seconds. With several processes, one that dies is restarted; one that dies five times within a
    minute, each time within seconds of its start, ends them all.

    SIGHUP reloads the settings file and the files of secrets in every process: accounts, secrets,
    channels and limits change at once or, where anything is wrong, not at all; the log says which.
    What else differs is named there and needs a restart; so does an environment variable. When the
    terminal of a gateway hangs up, it drains and ends, unless it was started with nohup.
    """
    hangups = hangup.listen()
    source = SettingsSource(_overridden(host=host, port=port, role=role))
    loaded = source.load()
    if processes > 1:
        from ops import supervisor as several

        # A child that is started later must not do without the file either.
        os.environ.update(source.environ)
        logs.configure(loaded.log_level)
        sys.exit(
            several.run(
                host=loaded.host,
                port=loaded.port,
                role=loaded.role,
                count=processes,
                drain_s=loaded.drain_s,
                hangups=hangups,
            )
        )
    # Imported here: a parent of several processes needs none of it.
    with quick_imports():
        from gateway.web import process

    sys.exit(process.run(loaded, load=source.load, hangups=hangups, reuse_port=reuse_port))


def _overridden(**options: str | int | None) -> dict[str, str]:
    given = {
        f"TIDEGATE_{name.upper()}": str(value)
        for name, value in options.items()
        if value is not None
    }
    return {**os.environ, **given}
