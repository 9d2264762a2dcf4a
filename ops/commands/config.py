"""`tidegate config`."""

import json
import os
import textwrap
from typing import Any

import click
import msgspec

from gateway.runtime import settings
from ops import effective, tables
from ops.failures import Wrong

_EPILOG = """\
\b
Examples:
  tidegate config
  tidegate config drain_s commit_s
  tidegate config journal --short
  tidegate config --changed
  tidegate config --json | jq '.[] | select(.source != "default")'
  tidegate config --example > tidegate.toml
\b
Exits 0, or 2 when a setting or an option of an account is wrong, two settings contradict each
other, or no name matches.
"""

_TEXT_COLUMNS_MAX = 100
_INDENT = "    "

_EXAMPLE_URL = "postgresql://tidegate:password@127.0.0.1:5432/tidegate"
_EXAMPLE_HEAD = """\
# Tidegate's settings. Each can also be given as an environment variable, TIDEGATE_ and its name
# in capitals, which then wins over this file. Lines like `#name = value` show the defaults.
# `tidegate config` prints what is in force, `tidegate doctor` whether it works.
"""
_CHANNELS_COMMENT = """\
# Sales channels: a closed list; yours replaces the whole of this one. Beside its name a channel may
# have, each with its default here:"""
_EXAMPLE_TAIL = """\
# An account at a payment provider: its callbacks arrive at /v1/callbacks/{provider}/{name}.
# Secrets are named, never written here: env:NAME or file:PATH; two while one replaces the other.
#[[accounts]]
#provider = "stripe"
#name = "main"
#channels = ["web", "app"]
#secrets = ["env:STRIPE_WEBHOOK_SECRET"]
#options = { livemode = true }

# A target: a warehouse, an ERP or an event bus that changes of orders are handed on to.
#[[targets]]
#name = "warehouse"
#kind = "webhook"
#url = "https://wms.example.com/tidegate"
#secrets = ["env:WAREHOUSE_WEBHOOK_SECRET"]
#topics = ["order.paid", "order.cancelling"]
#has_private = true

# Who has the exceptions of a class, and until when.
#[[exceptions]]
#name = "dispute"
#owner = "finance"
#deadline_h = 12
#escalate_to = "head of finance"

# Where alerts go: dingtalk, wecom, feishu, slack, webhook or email. Try it: tidegate alerts test
#[[alert_channels]]
#name = "ops-chat"
#kind = "feishu"
#url = "env:OPS_CHAT_URL"
#secret = "env:OPS_CHAT_SECRET"

# What differs from an alert as it is by itself; tidegate alerts list has them all.
#[[alerts]]
#name = "parked"
#threshold = 10
#channels = ["ops-chat"]

# Screening rules that every order is tried against: `tidegate rules check` reads them.
#[[rules]]
#name = "blocked-phones"
#kind = "blocked"
#phones = ["+8613800138000", "+86170*"]

#[[rules]]
#name = "five-an-hour"
#kind = "limit"
#orders_max = 4
#window_s = 3600
"""


@click.command("config", epilog=_EPILOG)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--changed", is_flag=True, help="Only what is not at its default.")
@click.option("--short", is_flag=True, help="A table, without the reasons.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.option("--example", is_flag=True, help="Print a commented tidegate.toml with the defaults.")
@tables.wide_option
def command(
    names: tuple[str, ...], changed: bool, short: bool, as_json: bool, example: bool, wide: bool
) -> None:
    """Print the effective settings and where each comes from.

    Each with its unit, its default and the reason for it; with NAMEs only those, or the ones whose
    names contain them. The environment (TIDEGATE_*) wins over the file that TIDEGATE_CONFIG names
    (./tidegate.toml if it is there), the file wins over the default. URLs and secrets read
    "configured", never more.
    """
    if example:
        click.echo(example_file(), nl=False)
        return
    loaded = effective.load_without_database()
    shown = _chosen(effective.lines(loaded), names)
    if changed:
        shown = [line for line in shown if line.source != "default"]
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(shown), indent=2, ensure_ascii=False))
    elif short:
        rows = [(line.name, *_cells(line), line.unit, line.source) for line in shown]
        heads = ("NAME", "VALUE", "DEFAULT", "UNIT", "FROM")
        tables.table(heads, rows, wide=wide, spare=("DEFAULT", "FROM"))
    elif shown:
        width = None if wide else tables.terminal_width() or _TEXT_COLUMNS_MAX
        click.echo("\n".join(_explained(shown, width)))
    if changed and not shown and not as_json:
        click.echo("every setting is at its default", err=True)
    _check_accounts(loaded)


def _check_accounts(loaded: settings.Settings) -> None:
    """Raise ``Wrong`` with what is wrong with any account, as `doctor` says it."""
    if not loaded.accounts:
        return
    # All providers: half of the time that this command takes.
    from ops import account_faults

    found = [
        f"account {account.provider}/{account.name}: {fault}"
        for account in loaded.accounts
        if (fault := account_faults.of(account, os.environ))
    ]
    if found:
        raise Wrong("; ".join(found))


def _chosen(lines: list[effective.Line], names: tuple[str, ...]) -> list[effective.Line]:
    """Return the lines of these names, or else that contain one of them; all without names."""
    if not names:
        return lines
    wanted = set()
    for name in names:
        want = name.lower().removeprefix("tidegate_")
        found = {line.name for line in lines if want in line.name}
        if not found:
            raise Wrong(f"no setting has {name!r} in its name; `tidegate config --short` lists all")
        wanted |= {want} if want in found else found
    return [line for line in lines if line.name in wanted]


def _explained(lines: list[effective.Line], width: int | None) -> list[str]:
    """Return each setting with its reason, under the heading of its section."""
    made: list[str] = []
    section = ""
    for n, line in enumerate(lines):
        if line.section != section:
            section = line.section
            made += ["", *tables.wrapped(f"--- {section} ---", width), ""]
        made += tables.wrapped(_in_one_line(line), width)
        # Settings next to each other share a reason: it is printed once, after the last.
        is_shared = any(line.reason == other.reason for other in lines[n + 1 : n + 2])
        if line.reason and not is_shared:
            text_width = width and max(20, width - len(_INDENT))
            made += [f"{_INDENT}{text}" for text in tables.wrapped(line.reason, text_width)]
    return made[1:]


def _in_one_line(line: effective.Line) -> str:
    value, default = _cells(line)
    origin = {
        "default": "default",
        "environment": f"from TIDEGATE_{line.name.upper()}",
        "file": "from the file",
    }[line.source]
    if line.source == "default" and line.default is None:
        origin = "must be given"
    elif line.source != "default" and line.default is not None:
        origin += f", default {default or 'empty'}"
    return f"{line.name} = {value or 'empty'}{line.unit and f' {line.unit}'}   ({origin})"


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
    why = effective.reasons(settings.Channel)
    options: list[str] = []
    printed = ""
    for name, default in effective.defaults(settings.Channel).items():
        reason = why.get(name, "")
        text = f"{name} = {_toml(default)}" + (f": {reason}" if reason != printed else "")
        options += textwrap.wrap(text, 98, initial_indent="# ", subsequent_indent="# ")
        printed = reason
    names = [f"#  {{ name = {_toml(channel['name'])} }}," for channel in channels]
    return "\n".join([_CHANNELS_COMMENT, *options, "#channels = [", *names, "#]\n"])


def _toml(value: Any) -> str:
    # JSON's strings, numbers and booleans are TOML's.
    return json.dumps(value, ensure_ascii=False)
