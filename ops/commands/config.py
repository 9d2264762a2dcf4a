"""`tidegate config`."""

import json
import textwrap
from typing import Any

import click
import msgspec

from ops import effective
from ops.tables import table

_EPILOG = """\
\b
Examples:
  tidegate config
  tidegate config --json | jq '.[] | select(.source != "default")'
  tidegate config --example > tidegate.toml
\b
Exits 0, or 2 when a setting is wrong or two contradict each other.
"""

_EXAMPLE_URL = "postgresql://tidegate:password@127.0.0.1:5432/tidegate"
_EXAMPLE_HEAD = """\
# Tidegate's settings. Each can also be given as an environment variable, TIDEGATE_ and its name
# in capitals, which then wins over this file. Lines like `#name = value` show the defaults.
# `tidegate config` prints what is in force, `tidegate doctor` whether it works.
"""
_CHANNELS_COMMENT = """\
# Sales channels: a closed list; yours replaces the whole of this one. `lookalike` says what to do
# with an order that resembles another of the last ten minutes: hold, replay or off."""
_EXAMPLE_TAIL = """\
# An account at a payment provider: its callbacks arrive at /v1/callbacks/{provider}/{name}.
# Secrets are named, never written here: env:NAME or file:PATH; two while one replaces the other.
#[[accounts]]
#provider = "stripe"
#name = "main"
#channels = ["web", "app"]
#secrets = ["env:STRIPE_WEBHOOK_SECRET"]
#options = { livemode = true }
"""


@click.command("config", epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, with reasons.")
@click.option("--example", is_flag=True, help="Print a commented tidegate.toml with the defaults.")
def command(as_json: bool, example: bool) -> None:
    """Print the effective settings and where each comes from.

    The environment (TIDEGATE_*) wins over the file that TIDEGATE_CONFIG names (./tidegate.toml if
    it is there), the file wins over the default. URLs and secrets read "configured", never more.
    """
    if example:
        click.echo(example_file(), nl=False)
        return
    shown = effective.lines(effective.load_without_database())
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(shown), indent=2, ensure_ascii=False))
        return
    rows = [(line.name, *_cells(line), line.source) for line in shown]
    table(("NAME", "VALUE", "DEFAULT", "FROM"), rows)


def example_file() -> str:
    """Return a settings file that loads as it is, with every default and its reason."""
    standard, why = effective.defaults(), effective.reasons()
    parts = [_EXAMPLE_HEAD, _setting("database_url", _EXAMPLE_URL, why, mark="")]
    printed = ""
    for name, default in standard.items():
        if isinstance(default, list):
            continue
        reason = why.get(name, "")
        parts.append(_setting(name, default, why if reason != printed else {}, mark="#"))
        printed = reason
    parts += [_channels(standard["channels"]), _EXAMPLE_TAIL]
    return "\n".join(parts)


def _cells(line: effective.Line) -> tuple[str, str]:
    say = _names if isinstance(line.value, list) else _plain
    return say(line.value), say(line.default) if line.source != "default" else ""


def _names(items: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{item['provider']}/{item['name']}" if "provider" in item else item["name"]
        for item in items
    )


def _plain(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _setting(name: str, value: Any, why: dict[str, str], *, mark: str) -> str:
    lines = textwrap.wrap(why.get(name, ""), 98, initial_indent="# ", subsequent_indent="# ")
    return "\n".join([*lines, f"{mark}{name} = {_toml(value)}\n"])


def _channels(channels: list[dict[str, Any]]) -> str:
    tables = (
        "#  { " + ", ".join(f"{key} = {_toml(value)}" for key, value in channel.items()) + " },"
        for channel in channels
    )
    return "\n".join([_CHANNELS_COMMENT, "#channels = [", *tables, "#]\n"])


def _toml(value: Any) -> str:
    # JSON's strings, numbers and booleans are TOML's.
    return json.dumps(value, ensure_ascii=False)
