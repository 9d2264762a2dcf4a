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
from gateway.overload import peers
from gateway.runtime.settings import Settings
from gateway.stores.redis.process_states import ProcessStates
from ops import effective, load_view
from ops.failures import Failure, Wrong
from ops.load_view import Row

#: Longer than a gateway waits: a slow server is to be told from one that is away.
_PATIENCE_S = 2.0
_INTERVAL_S = 1.0
_INSTEAD = "meanwhile /metrics of each process has its own `tidegate_load`"

_EPILOG = """\
\b
Examples:
  tidegate load
  tidegate load --once
  tidegate load --json | jq '.processes[] | select(.load > 0.8)'
  tidegate load --json --interval 5 >> load.jsonl
With `tidegate up`, read its addresses first: . .tidegate/env
\b
Without options: a view that is drawn again every second, until Ctrl-C. Where the output is no
terminal it is printed once, unless --interval is given. With --json each look is one line.
Needs TIDEGATE_REDIS_URL as the gateways have it: through it they know of each other.
\b
Exits 0, also after Ctrl-C, 1 when Redis can not be asked, 2 for a wrong option or no redis_url.
What has begun to look again and again goes on trying.
"""


class Report(Struct, frozen=True, kw_only=True):
    """One look at all processes. ``error``: why there was none."""

    at: datetime
    summary: peers.Summary | None = None
    rows: list[Row] = []
    #: States of another version, which this one can not read.
    unreadable: int = 0
    error: str = ""

    def as_json(self) -> bytes:
        """Return it as one object of one line."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        rows = plain.pop("rows")
        plain["processes"] = [{**row["process"], "age_s": row["age_s"]} for row in rows]
        return msgspec.json.encode(plain)


@click.command("load", epilog=_EPILOG)
@click.option("--once", is_flag=True, help="Look once.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a look.")
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    help=f"Seconds between two looks; {_INTERVAL_S:g} unless given.",
)
def command(once: bool, as_json: bool, interval: float | None) -> None:
    """Show the load of every gateway process, and what each refuses.

    Load 0.8 is where lesser features begin to go dark, 1 is full.
    """
    loaded = effective.load_without_database()
    if once and interval is not None:
        raise Wrong("--interval is for looking again and again: leave out --once or --interval")
    if not loaded.redis_url:
        raise Wrong(
            "redis_url is not set, and processes know of each other through it alone: give "
            f"TIDEGATE_REDIS_URL as the gateways have it; {_INSTEAD}"
        )
    if once or (interval is None and not sys.stdout.isatty()):
        asyncio.run(_once(loaded, as_json))
        return
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(_live(loaded, as_json, interval or _INTERVAL_S))


async def _once(loaded: Settings, as_json: bool) -> None:
    async with _opened(loaded) as states:
        report = await _look(states)
    _print(report, as_json)


async def _live(loaded: Settings, as_json: bool, interval_s: float) -> None:
    task = asyncio.current_task()
    assert task is not None, "this is one"
    # Whoever ends it by SIGTERM wants his cursor back too.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    is_drawn = not as_json and sys.stdout.isatty()
    async with _opened(loaded) as states:
        # What can not be asked at the start is set up wrong; later it may come back.
        report = seen = await _look(states)
        with load_view.screen() if is_drawn else contextlib.nullcontext():
            while True:
                if is_drawn:
                    _draw(report, seen)
                else:
                    _print(report, as_json)
                await asyncio.sleep(interval_s)
                try:
                    report = seen = await _look(states)
                except Failure as exc:
                    report = Report(at=datetime.now(UTC), error=str(exc))


@asynccontextmanager
async def _opened(loaded: Settings) -> AsyncIterator[ProcessStates]:
    try:
        states = ProcessStates(url=loaded.redis_url, call_s=_PATIENCE_S, kept_s=peers.KEPT_S)
    except ValueError as exc:
        # The library's message may quote a piece of the URL.
        raise Wrong("redis_url is not understood: write redis://:password@host:6379/0") from exc
    try:
        yield states
    finally:
        await states.close()


async def _look(states: ProcessStates) -> Report:
    """Look at all processes. Raises ``Failure``."""
    try:
        published = await states.published()
    except Unavailable as exc:
        raise Failure(
            f"redis can not be asked ({type(exc.__cause__ or exc).__name__}): start it or correct "
            f"redis_url, `tidegate doctor` looks closer; {_INSTEAD}"
        ) from exc
    rows = [
        Row(process, round(each.age_s, 2))
        for each in published
        if (process := peers.decoded(each.state)) is not None
    ]
    return Report(
        at=datetime.now(UTC),
        summary=peers.summary([row.process for row in rows]),
        rows=sorted(rows, key=load_view.by_place),
        unreadable=len(published) - len(rows),
    )


def _print(report: Report, as_json: bool) -> None:
    said = [report.as_json().decode()] if as_json else _lines(report)
    for line in said:
        click.echo(line)


def _draw(report: Report, seen: Report) -> None:
    """Draw the last that was seen, and over it what is wrong now."""
    head = f"tidegate load   {seen.at.astimezone():%H:%M:%S}"
    load_view.draw([report.error or head, *_lines(seen, load_view.rows_max())])


def _lines(report: Report, rows_max: int | None = None) -> list[str]:
    if report.summary is None:
        return [report.error]
    return load_view.told(
        report.summary, report.rows, unreadable=report.unreadable, rows_max=rows_max
    )
