"""`tidegate load`."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
from msgspec import Struct

from gateway.domain.errors import Unavailable
from gateway.overload import cluster_view, heartbeats
from gateway.runtime.settings import Settings
from gateway.stores.redis.process_states import ProcessStates
from ops import effective, load_view, tables
from ops.failures import Failure, Wrong
from ops.load_view import Row

#: Longer than a gateway's own time-out: a slow server is not an unavailable one.
_CALL_S = 2.0
_INTERVAL_S = 1.0
_MEANWHILE = "meanwhile /metrics of each process has its own `tidegate_load`"

_EPILOG = """\
\b
Examples:
  tidegate load
  tidegate load --once
  tidegate load --json | jq '.processes[] | select(.load > 0.8)'
  tidegate load --json --interval 5 >> load.jsonl
With `tidegate up`, read its addresses first: . .tidegate/env
\b
Without options: a view that is redrawn every second, until Ctrl-C. Where the output is no
terminal it is printed once, unless --interval is given. With --json each report is one line.
Needs the TIDEGATE_REDIS_URL of the gateways: processes publish their load there.
\b
Exits 0, also after Ctrl-C, 1 when Redis cannot be read, 2 for a wrong option or no redis_url.
While it repeats, it retries after a failure.
"""


class Report(Struct, frozen=True, kw_only=True):
    """All processes at one moment. ``error``: why they could not be read, or empty."""

    at: datetime
    summary: cluster_view.ClusterSummary | None = None
    rows: list[Row] = []
    #: How many states are of another version, which this one cannot read.
    unreadable: int = 0
    error: str = ""

    def as_json(self) -> bytes:
        """Return the report as one JSON object on one line."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        rows = plain.pop("rows")
        plain["processes"] = [{**row["process"], "age_s": row["age_s"]} for row in rows]
        return msgspec.json.encode(plain)


@click.command("load", epilog=_EPILOG)
@click.option("--once", is_flag=True, help="Print once.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object each time.")
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    help=f"Seconds between two reports; {_INTERVAL_S:g} unless given.",
)
@tables.wide_option
def command(once: bool, as_json: bool, interval: float | None, wide: bool) -> None:
    """Show the load of every gateway process, and what each rejects.

    Load 0.8 is where lesser features begin to be shed, 1 is full.
    """
    loaded = effective.load_without_database()
    if once and interval is not None:
        raise Wrong("--interval repeats the report: leave out --once or --interval")
    if not loaded.redis_url:
        raise Wrong(
            "redis_url is not set, and processes publish their load through it alone: give "
            f"the TIDEGATE_REDIS_URL of the gateways; {_MEANWHILE}"
        )
    if once or (interval is None and not sys.stdout.isatty()):
        asyncio.run(_once(loaded, as_json, wide))
        return
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(_live(loaded, as_json, interval or _INTERVAL_S, wide))


async def _once(loaded: Settings, as_json: bool, wide: bool) -> None:
    async with _opened(loaded) as states:
        report = await _read(states)
    _print(report, as_json, wide)


async def _live(loaded: Settings, as_json: bool, interval_s: float, wide: bool) -> None:
    task = asyncio.current_task()
    assert task is not None, "this is one"
    # SIGTERM must restore the cursor too.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    is_drawn = not as_json and sys.stdout.isatty()
    async with _opened(loaded) as states:
        # A failure of the first read is a mistake in the settings; a later one may pass.
        report = last = await _read(states)
        with load_view.screen() if is_drawn else contextlib.nullcontext():
            while True:
                if is_drawn:
                    _draw(report, last, wide)
                else:
                    _print(report, as_json, wide)
                await asyncio.sleep(interval_s)
                try:
                    report = last = await _read(states)
                except Failure as exc:
                    report = Report(at=datetime.now(UTC), error=str(exc))


@asynccontextmanager
async def _opened(loaded: Settings) -> AsyncIterator[ProcessStates]:
    try:
        states = ProcessStates(url=loaded.redis_url, call_s=_CALL_S, expires_s=heartbeats.EXPIRES_S)
    except ValueError as exc:
        # The library's message may quote a part of the URL.
        raise Wrong("redis_url is not valid: write redis://:password@host:6379/0") from exc
    try:
        yield states
    finally:
        await states.close()


async def _read(states: ProcessStates) -> Report:
    """Read all processes. Raises ``Failure``."""
    try:
        published = await states.published()
    except Unavailable as exc:
        raise Failure(
            f"redis cannot be read ({type(exc.__cause__ or exc).__name__}): start it or correct "
            f"redis_url, see `tidegate doctor`; {_MEANWHILE}"
        ) from exc
    rows = [
        Row(process, round(each.age_s, 2))
        for each in published
        if (process := heartbeats.decoded(each.state)) is not None
    ]
    return Report(
        at=datetime.now(UTC),
        summary=cluster_view.summary([row.process for row in rows]),
        rows=sorted(rows, key=load_view.by_position),
        unreadable=len(published) - len(rows),
    )


def _print(report: Report, as_json: bool, wide: bool) -> None:
    printed = [report.as_json().decode()] if as_json else _lines(report, wide)
    for line in printed:
        click.echo(line)


def _draw(report: Report, last: Report, wide: bool) -> None:
    """Draw the last complete report, and above it the error of the present one."""
    head = f"tidegate load   {last.at.astimezone():%H:%M:%S}"
    load_view.draw([report.error or head, *_lines(last, wide, load_view.rows_max())])


def _lines(report: Report, wide: bool, rows_max: int | None = None) -> list[str]:
    if report.summary is None:
        return [report.error]
    return load_view.view(
        report.summary,
        report.rows,
        unreadable=report.unreadable,
        rows_max=rows_max,
        width=None if wide else tables.terminal_width(),
    )
