"""`tidegate missed`: orders that a target was told are paid, and has not accepted in time."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import click
import msgspec

from gateway.domain import missed_csv
from gateway.domain.missed import AcceptingTarget, MissedOrder, Place
from gateway.runtime import settings_source
from gateway.runtime.settings import Settings
from gateway.stores.postgres import missed_orders
from gateway.stores.postgres.missed_orders import PUSH_MAX, MissedOrders, Wanted
from ops import connections, tables
from ops.commands.api_keys import actor
from ops.failures import Failure, Wrong

_LIMIT_MAX = 1000
_PAGE = 500

_EPILOG = """\
\b
Examples:
  tidegate missed list
  tidegate missed push --all --dry-run
  tidegate missed export --output missed.csv
"""

F = TypeVar("F", bound=Callable[..., None])


@click.group("missed", epilog=_EPILOG)
def command() -> None:
    """List, push and export orders that no warehouse has accepted in time.

    A missed order is paid, no hold stops its hand-off, it was not shipped, and a target whose
    `accepts` is `answer` or `callback` has not accepted it within its `missed_after_s`.
    """


def _filters(function: F) -> F:
    function = click.option("--channel", help="Only of this channel.")(function)
    return click.option("--target", help="Only those that this target should accept.")(function)


@command.command(
    "list",
    epilog="""\
\b
Examples:
  tidegate missed list
  tidegate missed list --target warehouse --json
\b
The runbook ops/runbooks/missed-orders.md says what to do about each.
Exits 0, 1 when the database is unavailable, 2 for a target that accepts no orders.
""",
)
@_filters
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, _LIMIT_MAX),
    help="How many, those that wait longest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@tables.wide_option
def list_(target: str | None, channel: str | None, limit: int, as_json: bool, wide: bool) -> None:
    """List missed orders, those that wait longest first, with the last attempt and its reason."""
    loaded = settings_source.load()
    targets = _accepting(loaded, target)
    wanted = Wanted(channels=_one(channel), limit=limit)
    now = datetime.now(UTC)
    found = asyncio.run(_page(loaded, targets, wanted, now))
    if as_json:
        rows = [msgspec.to_builtins(each) | {"age_s": each.waited_s(now)} for each in found]
        click.echo(json.dumps(rows, default=str))
        return
    if not found:
        click.echo("no missed orders", err=True)
        return
    tables.table(
        ("ORDER", "CHANNEL", "TARGET", "AGE", "STANDING", "LAST ATTEMPT (UTC)", "REASON"),
        [
            (
                each.order_no,
                each.channel,
                f"{each.target} (disabled)" if each.is_disabled else each.target,
                _age(each.waited_s(now)),
                each.standing,
                f"{each.last_attempt_at:%Y-%m-%d %H:%M:%S}" if each.last_attempt_at else "",
                _reason(each),
            )
            for each in found
        ],
        wide=wide,
        spare=("CHANNEL", "LAST ATTEMPT (UTC)"),
    )
    if len(found) == limit:
        click.echo(f"there may be more than these {limit}: --limit, or `export`", err=True)


@command.command(
    "push",
    epilog="""\
\b
Examples:
  tidegate missed push W-1001 W-1002
  tidegate missed push --all --target warehouse --dry-run
  tidegate missed push --all
\b
A target that has accepted already, and whose answer was lost, recognises the event by its id.
Exits 0 also where nothing is missed, 1 when the database is unavailable, an order that is named is
not missed, or its target is disabled, 2 for a wrong option.
""",
)
@click.argument("orders", nargs=-1, metavar="[ORDER]...")
@click.option("--all", "is_all", is_flag=True, help="Every missed order that the filters leave.")
@_filters
@click.option("--dry-run", is_flag=True, help="Say what would be pushed, and push nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def push(
    orders: tuple[str, ...],
    is_all: bool,
    target: str | None,
    channel: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Deliver `order.paid` of missed orders once more, under the same event id.

    ORDER is an order number or an id. What a worker attempts at this moment is left to it. The
    audit log records each order that is pushed.
    """
    if is_all == bool(orders):
        raise Wrong("name the orders, or give --all")
    loaded = settings_source.load()
    targets = _accepting(loaded, target)
    chosen, pushed = asyncio.run(_push(loaded, targets, orders, channel, dry_run=dry_run))
    unknown = sorted(set(orders) - {text for each in chosen for text in _names(each)})
    disabled = [each for each in chosen if each.is_disabled]
    if as_json:
        shown = [
            {
                "order_id": str(each.order_id),
                "order_no": each.order_no,
                "target": each.target,
                "event_id": str(each.event_id),
                "is_pushed": (each.order_id, each.target) in pushed,
                "is_disabled": each.is_disabled,
            }
            for each in chosen
        ]
        click.echo(json.dumps({"dry_run": dry_run, "orders": shown, "unknown": unknown}))
    else:
        for each in chosen:
            if dry_run:
                word = "would not be pushed: disabled" if each.is_disabled else "would be pushed"
            elif (each.order_id, each.target) in pushed:
                word = "pushed"
            elif each.is_disabled:
                word = "not pushed: the target is disabled"
            else:
                word = "left alone: it is being attempted, or was accepted meanwhile"
            click.echo(f"{each.channel}/{each.order_no} to {each.target}: {word}")
        if not chosen and not unknown:
            click.echo("no missed orders", err=True)
    faults = []
    if disabled:
        names = ", ".join(sorted({each.target for each in disabled}))
        faults.append(f"enable {names} first, and push again")
    if unknown:
        faults.append(
            f"{', '.join(unknown)}: not missed by {' or '.join(each.name for each in targets)}; "
            "`tidegate missed list` shows what is"
        )
    if faults:
        raise Failure("\n".join(faults))


@command.command(
    "export",
    epilog="""\
\b
Examples:
  tidegate missed export > missed.csv
  tidegate missed export --target warehouse --output missed.csv
\b
Exits 0, 1 when the database is unavailable or the file cannot be written, 2 for a wrong option.
""",
)
@_filters
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; without it, the standard output.",
)
def export(target: str | None, channel: str | None, output: Path | None) -> None:
    """Write all missed orders as CSV (UTF-8, RFC 4180), those that wait longest first."""
    loaded = settings_source.load()
    targets = _accepting(loaded, target)
    if output is None:
        asyncio.run(_export(loaded, targets, channel, sys.stdout.write))
        return
    with output.open("w", encoding="utf-8", newline="") as file:
        asyncio.run(_export(loaded, targets, channel, file.write))


def _accepting(loaded: Settings, target: str | None) -> list[AcceptingTarget]:
    """Return the targets that are meant. Raises ``Wrong`` where there is none."""
    known = missed_orders.accepting(loaded.targets)
    if not known:
        raise Wrong(
            "no target accepts orders: set `accepts` of a target to answer or callback in "
            "tidegate.toml"
        )
    if target is None:
        return known
    if chosen := [each for each in known if each.name == target]:
        return chosen
    names = ", ".join(each.name for each in known)
    raise Wrong(f"--target {target} accepts no orders; there are {names}")


@asynccontextmanager
async def _store(loaded: Settings) -> AsyncIterator[MissedOrders]:
    async with connections.primary(loaded) as pool:
        yield MissedOrders(pool=pool)


async def _page(
    loaded: Settings, targets: Sequence[AcceptingTarget], wanted: Wanted, now: datetime
) -> list[MissedOrder]:
    async with _store(loaded) as store:
        return await store.page(targets, wanted, now)


async def _pages(
    store: MissedOrders, targets: Sequence[AcceptingTarget], channel: str | None
) -> AsyncIterator[list[MissedOrder]]:
    now = datetime.now(UTC)
    after: Place | None = None
    while True:
        wanted = Wanted(channels=_one(channel), after=after, limit=_PAGE)
        page = await store.page(targets, wanted, now)
        if page:
            yield page
        if len(page) < _PAGE:
            return
        after = Place.of(page[-1])


async def _push(
    loaded: Settings,
    targets: Sequence[AcceptingTarget],
    orders: Sequence[str],
    channel: str | None,
    *,
    dry_run: bool,
) -> tuple[list[MissedOrder], set[tuple[UUID, str]]]:
    named = set(orders)
    chosen: list[MissedOrder] = []
    pushed: set[tuple[UUID, str]] = set()
    async with _store(loaded) as store:
        async for page in _pages(store, targets, channel):
            chosen += [each for each in page if not named or named & _names(each)]
        if not dry_run:
            for first in range(0, len(chosen), PUSH_MAX):
                part = chosen[first : first + PUSH_MAX]
                pushed.update(await store.push(part, actor=actor()))
    return chosen, pushed


async def _export(
    loaded: Settings,
    targets: Sequence[AcceptingTarget],
    channel: str | None,
    write: Callable[[str], object],
) -> None:
    async with _store(loaded) as store:
        write(missed_csv.head())
        async for page in _pages(store, targets, channel):
            write(missed_csv.rows(page, datetime.now(UTC)))


def _names(each: MissedOrder) -> set[str]:
    return {each.order_no, str(each.order_id)}


def _one(channel: str | None) -> list[str] | None:
    return None if channel is None else [channel]


def _reason(each: MissedOrder) -> str:
    if each.standing == "delivered":
        return "it answered, and did not say that it accepts"
    code = f"{each.last_status_code}: " if each.last_status_code else ""
    return f"{code}{each.last_reason}" if each.last_reason else ""


def _age(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
