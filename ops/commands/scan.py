"""`tidegate scan`: compares payments with orders over a business day, and shows what it found."""

import asyncio
import json
from datetime import UTC, date, datetime, time

import click
import msgspec

from gateway.domain import business_days
from gateway.domain.scanning import ScanReport
from gateway.runtime import settings_source, zones
from gateway.runtime.settings import Settings
from gateway.stores.postgres.daily_runs import DailyRun
from gateway.wiring import open_gateway
from ops import connections, tables
from ops.failures import Failure, Wrong
from workers import nightly_scan

_EPILOG = """\
\b
Examples:
  tidegate scan show
  tidegate scan run --day 2026-11-29
"""

_day_option = click.option(
    "--day", metavar="YYYY-MM-DD", help="The business day; without it, the last one that is over."
)


@click.group("scan", epilog=_EPILOG)
def command() -> None:
    """Compare payments with orders over a business day, and show what was found.

    A worker does it every night at `nightly_at`. What it finds is an exception, see `tidegate
    exceptions`.
    """


@command.command(
    "run",
    epilog="""\
\b
Examples:
  tidegate scan run
  tidegate scan run --day 2026-11-29 --json
\b
Exits 0 also where something was found, 1 when the database is unavailable or a worker scans the
same day, 2 for a day that is not over.
""",
)
@_day_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@tables.wide_option
def run(day: str | None, as_json: bool, wide: bool) -> None:
    """Scan a business day now, also one that was scanned before; a finding is noted once."""
    loaded = settings_source.load()
    chosen = _chosen(loaded, day)
    report = asyncio.run(_run(loaded, chosen))
    if report is None:
        raise Failure(f"{chosen} is being scanned by a worker: `tidegate scan show --day {chosen}`")
    _print(msgspec.to_builtins(report), as_json=as_json, wide=wide)


@command.command(
    "show",
    epilog="""\
\b
Examples:
  tidegate scan show
  tidegate scan show --day 2026-11-29 --json
\b
Exits 0 also where something was found, 1 when the database is unavailable or the day was not
scanned, 2 for what is no date.
""",
)
@click.option("--day", metavar="YYYY-MM-DD", help="The business day; without it, the last run.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@tables.wide_option
def show(day: str | None, as_json: bool, wide: bool) -> None:
    """Show what a scan found, or how far it is."""
    loaded = settings_source.load()
    wanted = None if day is None else _date(day)
    found = asyncio.run(_read(loaded, wanted))
    if found is None:
        raise Failure("no day was scanned" if day is None else f"{day} was not scanned")
    if found.result is None:
        progress = found.progress or {}
        part = progress.pop("part", "nothing yet")
        counts = ", ".join(f"{count} {name}" for name, count in progress.items())
        if as_json:
            click.echo(json.dumps(msgspec.to_builtins(found)))
        else:
            click.echo(
                f"the scan of {found.business_day} began at {found.started_at:%H:%M:%S} UTC and is "
                f"at {part}{f': {counts}' if counts else ''}"
            )
        return
    _print(found.result, as_json=as_json, wide=wide)


def _print(report: dict[str, object], *, as_json: bool, wide: bool) -> None:
    if as_json:
        click.echo(json.dumps(report, default=str))
        return
    made = msgspec.convert(report, ScanReport)
    totals = made.totals
    click.echo(
        f"{made.business_day}: {totals.payments} payments, {totals.orders} orders, {totals.held} "
        f"held, {totals.waiting} waiting since {made.from_at:%Y-%m-%d %H:%M} UTC"
    )
    if not made.found:
        click.echo("all of it agrees")
    for kind, count in sorted(made.found.items()):
        click.echo(f"{kind}: {count}, of which {made.new.get(kind, 0)} new")
    if made.ended:
        click.echo(f"settled since the scan before: {made.ended}")
    tables.table(
        ("FINDING", "CHANNEL", "ORDER", "WHAT"),
        [(each.kind, each.channel, each.order_no, each.detail) for each in made.examples],
        wide=wide,
        spare=("CHANNEL",),
    )


def _chosen(loaded: Settings, day: str | None) -> date:
    zone, now = zones.zone(loaded.business_zone), datetime.now(UTC)
    if day is None:
        return business_days.latest(now, time(), zone)
    chosen = _date(day)
    if business_days.bounds(chosen, zone)[0] > now:
        raise Wrong(f"--day {day} has not begun")
    return chosen


def _date(day: str) -> date:
    try:
        return date.fromisoformat(day)
    except ValueError as exc:
        raise Wrong(f"--day {day!r} is no date: write it YYYY-MM-DD") from exc


async def _run(loaded: Settings, day: date) -> ScanReport | None:
    async with open_gateway(loaded) as gateway:
        scan = nightly_scan.scan_of(gateway)
        return await scan.run(day, stopping=asyncio.Event(), again=True)


async def _read(loaded: Settings, day: date | None) -> DailyRun | None:
    async with connections.primary(loaded) as pool:
        runs = nightly_scan.runs_of(pool, holder=nightly_scan.NOBODY)
        found = await runs.runs(day)
    return found[0] if found else None
