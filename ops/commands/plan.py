"""`tidegate plan`: overrides for a sale, planned beforehand."""

import asyncio
import json
import re
import tomllib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from gateway.domain import overrides, plans
from gateway.domain.plans import Plan
from gateway.runtime import file_faults, settings_source, value_faults
from gateway.stores.postgres.overrides import OverrideStore
from ops import connections, tables
from ops.commands.api_keys import actor
from ops.failures import Failure, Wrong

T = TypeVar("T")

#: How a check names a step of a plan, and a field of it.
_STEP = re.compile(r"steps\[(\d+)\](?:\.(\w+))?")

_EPILOG = """\
\b
A plan is a TOML file:
  name = "double-eleven"
  [[steps]]
  target  = "tier4"                      # a feature, or tier2 to tier4
  mode    = "shed"                       # shed, admit, or early (tiers alone)
  from_at = 2026-11-27T19:50:00+08:00
  until   = 2026-11-27T22:00:00+08:00    # four hours later at most
  reason  = "the sale opens at eight"
\b
Examples:
  tidegate plan check sale.toml
  tidegate plan set sale.toml
  tidegate plan list
  tidegate plan drop double-eleven
\b
Steps begin and end by themselves, in every process, also while the database is unavailable.
An override set meanwhile with `tidegate shed` beats the plan.
\b
Each command exits 0 when it is done, 1 when the database is unavailable, 2 when the plan is wrong.
"""


@click.group("plan", epilog=_EPILOG)
def command() -> None:
    """Plan beforehand what is shed during a sale, and when."""


@command.command(
    "check",
    epilog="""\
\b
Example:
  tidegate plan check sale.toml
Exits 0 when it is valid, 2 when it is not.
""",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@tables.wide_option
def check(file: Path, as_json: bool, wide: bool) -> None:
    """Check a plan and show what it would do; nothing changes."""
    plan = _read(file)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(plan)))
        return
    _print(plan, wide=wide)


@command.command(
    "set",
    epilog="""\
\b
Example:
  tidegate plan set sale.toml
Exits 0 when every process will follow it, 1 when the database is unavailable, 2 when it is invalid.
""",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@tables.wide_option
def set_(file: Path, as_json: bool, wide: bool) -> None:
    """Set a plan, replacing the one of the same name, with an audit row."""
    plan = _read(file)
    try:
        was_there = _in_store(lambda store: store.set_plan(plan, actor=actor()))
    except overrides.InvalidOverride as exc:
        raise Wrong(f"{file}: {_worded(exc)}") from exc
    if as_json:
        click.echo(json.dumps({"plan": plan.name, "was_there": was_there}))
        return
    _print(plan, wide=wide)
    click.echo(
        f"{plan.name} is set{' and replaces the previous one' if was_there else ''}", err=True
    )


@command.command(
    "list",
    epilog="""\
\b
Example:
  tidegate plan list --json
Exits 0, or 1 when the database is unavailable.
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of steps.")
@tables.wide_option
def list_(as_json: bool, wide: bool) -> None:
    """List the steps of all plans, those of the last week included."""
    steps = _in_store(lambda store: store.planned())
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(steps)))
        return
    if not steps:
        click.echo("there are no plans: see `tidegate plan --help` for an example", err=True)
    titles = ("PLAN", "TARGET", "MODE", "FROM", "UNTIL", "WHO", "WHY")
    tables.table(
        titles,
        [
            (each.plan, each.target, each.action, _at(each.from_at), _at(each.until), each.actor,
             each.reason)
            for each in steps
        ],
        wide=wide,
        spare=("WHO",),
    )  # fmt: skip


@command.command(
    "drop",
    epilog="""\
\b
Example:
  tidegate plan drop double-eleven
Exits 0 when it is dropped, 1 when there is no plan of that name.
""",
)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def drop(name: str, as_json: bool) -> None:
    """Drop a plan, with an audit row; what it sheds is left to the load within 2 s."""
    if not _in_store(lambda store: store.drop_plan(name, actor=actor())):
        raise Failure(f"there is no plan {name}: see `tidegate plan list`")
    click.echo(json.dumps({"plan": name, "dropped": True}) if as_json else f"{name} is dropped")


def _read(file: Path) -> Plan:
    try:
        content = tomllib.loads(file.read_text("utf-8"))
        plan = msgspec.convert(content, Plan)
        plans.check(plan, datetime.now(UTC))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise Wrong(f"{file} is not valid TOML: {file_faults.reason(exc)}") from exc
    except msgspec.ValidationError as exc:
        raise Wrong(f"{file}: {value_faults.sentence(exc, Plan)}") from exc
    except overrides.InvalidOverride as exc:
        raise Wrong(f"{file}: {_worded(exc)}") from exc
    return plan


def _worded(exc: overrides.InvalidOverride) -> str:
    """Count the steps from 1, as a reader of the file does."""
    found = _STEP.match(exc.field)
    if found is None:
        return str(exc)
    return f"step {int(found[1]) + 1}{f': {found[2]}' if found[2] else ''} {exc.reason}"


def _print(plan: Plan, *, wide: bool) -> None:
    rows = [
        (_at(step.from_at), _at(step.until), step.target, step.action, step.reason)
        for step in sorted(plan.steps, key=lambda step: step.from_at)
    ]
    tables.table(("FROM", "UNTIL", "TARGET", "MODE", "WHY"), rows, wide=wide)


def _in_store(work: Callable[[OverrideStore], Awaitable[T]]) -> T:
    loaded = settings_source.load()

    async def work_in_store() -> T:
        async with connections.primary(loaded) as pool:
            return await work(OverrideStore(pool=pool))

    return asyncio.run(work_in_store())


def _at(at: datetime) -> str:
    # In the local time zone: a sale begins by the wall clock.
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
