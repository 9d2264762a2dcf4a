"""The `tidegate` command. Each subcommand is a file in `ops/commands`, imported when it is called.

So `tidegate --help` and `tidegate version` do not wait for drivers that they do not use.
"""

import importlib
from typing import Any

import click

from ops.quick_imports import quick_imports

#: The subcommands in the order of `--help`, each with the first sentence of its own help.
COMMANDS = {
    "up": "Run everything on this machine, servers included.",
    "serve": "Run the gateway: accept orders and payment callbacks over HTTP.",
    "work": "Run a worker: everything that happens after the response.",
    "migrate": "Bring the database to the newest schema.",
    "doctor": "Check servers, settings, clock and keys, and say what to do.",
    "config": "Print the effective settings and where each comes from.",
    "keys": "Make, list and revoke API keys; make sealing keys and webhook secrets.",
    "load": "Show the load of every gateway process, and what each rejects.",
    "shed": "Shed or admit a feature by hand, for a while.",
    "plan": "Plan beforehand what is shed during a sale, and when.",
    "rules": "Check screening rules, and try them on orders.",
    "callbacks": "Inspect rejected callbacks.",
    "alerts": "Show alerts and what was told of them, try channels, silence an alert.",
    "orders": "Find orders, see them, and act on them.",
    "parked": "See, replay, assign and resolve what could not be booked.",
    "deliveries": "See what targets were told, replay dead letters, switch targets.",
    "exceptions": "List, own and resolve what needs a person.",
    "missed": "List, push and export orders that no warehouse has accepted in time.",
    "scan": "Compare payments with orders over a business day, and show what was found.",
    "simulate": "Simulate a payment provider or shop: sign messages and post them to a gateway.",
    "version": "Print the versions of Tidegate, its schema and Python.",
}

_EPILOG = """\
\b
On one machine, with nothing installed beforehand:
  tidegate up
With servers of your own:
  export TIDEGATE_DATABASE_URL=postgresql://user:password@host/db
  tidegate keys seal-init
  tidegate migrate
  tidegate doctor
  tidegate serve
  tidegate work

`tidegate COMMAND --help` says what a command does, with an example and its exit status.
Everywhere: 0 is success, 1 a failure while running, 2 a wrong option or setting.
"""


class LazyGroup(click.Group):
    """A group that knows its subcommands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a subcommand; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        with quick_imports():
            command: click.Command = importlib.import_module(f"ops.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand. What an operator can mend ends in a sentence, not a traceback."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as exc:
            # Imported only now: it knows the drivers' errors, and most runs never need it.
            from ops import failures

            explained = failures.explained(exc)
            if explained is None:
                raise
            raise explained from exc


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def main() -> None:
    """Tidegate takes orders and payment callbacks, and commits each before it says yes."""


if __name__ == "__main__":
    main(prog_name="tidegate")
