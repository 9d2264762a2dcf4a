"""`tidegate exceptions`: cases that need a person, from opened to resolved."""

import asyncio
import functools
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import click
import msgspec

from gateway.domain import exception_cases
from gateway.domain.exception_cases import CLASSES, Cause
from gateway.runtime import settings_source
from gateway.runtime.ids import UUIDv7
from gateway.stores.postgres import key_ring
from gateway.stores.postgres.exceptions import (
    CaseEntry,
    CaseFilter,
    Change,
    ExceptionCase,
    Exceptions,
    NotFound,
)
from ops import connections, tables
from ops.commands.api_keys import actor
from ops.failures import Failure

T = TypeVar("T")

_LIMIT_MAX = 500
_MESSAGE_CHARS_MAX = 2000
_DURATION = re.compile(r"([1-9][0-9]{0,3})([mhd])")
_UNITS_S = {"m": 60, "h": 3600, "d": 86400}

_EXITS = """\
Exits 0, 1 when the database is unavailable or there is no such case or order, 2 for a wrong option.
"""
_EPILOG = (
    """\
\b
Examples:
  tidegate exceptions list --kind dispute
  tidegate exceptions assign 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10 finance
  tidegate exceptions resolve 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10 "refunded by hand"
  tidegate exceptions report
\b
A worker opens a case for each hold, parked message, dead letter and order that stays paid in part,
and ends it when that is over.
"""
    + _EXITS
)


def _epilog(example: str) -> str:
    return f"\b\nExample:\n  {example}\n\b\n{_EXITS}"


@click.group("exceptions", epilog=_EPILOG)
def command() -> None:
    """List, own and resolve what needs a person."""


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_id_argument = click.argument("id_", metavar="ID", type=click.UUID)
_kind = click.Choice(CLASSES)


class Duration(click.ParamType[timedelta]):
    """A number with its unit, as seconds: ``30m``, ``6h``, ``3d``."""

    name = "30m|6h|3d"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the duration of a word."""
        if isinstance(value, timedelta):
            return value
        found = _DURATION.fullmatch(str(value))
        if found is None:
            self.fail("is a number with m, h or d, as in 30m, 6h or 3d", param, ctx)
        return timedelta(seconds=int(found[1]) * _UNITS_S[found[2]])


class _Message(click.ParamType[str]):
    """What a person writes into the journal of a case."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if not text or len(text) > _MESSAGE_CHARS_MAX or not text.replace("\n", " ").isprintable():
            self.fail(f"has 1 to {_MESSAGE_CHARS_MAX} printable characters", param, ctx)
        return text


@command.command("list", epilog=_epilog("tidegate exceptions list --kind dispute --overdue"))
@click.option("--kind", type=_kind, help="Only of this class.")
@click.option("--owner", help='Only of this owner; "" lists what nobody owns.')
@click.option("--order", "order_no", help="Only of this order number.")
@click.option("--overdue", is_flag=True, help="Only those whose deadline is over.")
@click.option("--resolved", is_flag=True, help="The resolved ones instead of the open ones.")
@click.option("--after", type=click.UUID, help="Those after this one: the last of the page before.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, _LIMIT_MAX))
@_json_option
@tables.wide_option
def list_(
    kind: str | None,
    owner: str | None,
    order_no: str | None,
    overdue: bool,
    resolved: bool,
    after: UUID | None,
    limit: int,
    as_json: bool,
    wide: bool,
) -> None:
    """List cases, the one that is due first at the top."""
    now = datetime.now(UTC)
    wanted = CaseFilter(
        is_open=not resolved,
        kind=kind,
        owner=owner,
        order_no=order_no,
        due_before=now if overdue else None,
        after=after,
        limit=limit,
    )
    cases = _with_store(lambda store: store.page(wanted))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(cases)))
        return
    if not cases:
        click.echo("no such exceptions", err=True)
        return
    tables.table(
        ("ID", "DUE (UTC)", "CLASS", "ORDER", "OWNER", "REASON", "DETAIL", "RELAPSES"),
        [
            (
                str(case.id),
                f"{case.due_at:%Y-%m-%d %H:%M}" + (" overdue" if case.due_at <= now else ""),
                case.kind,
                case.order_no,
                case.owner,
                case.reason,
                case.detail,
                str(case.relapses or ""),
            )
            for case in cases
        ],
        wide=wide,
        spare=("RELAPSES", "DETAIL"),
    )
    if len(cases) == limit:
        click.echo(f"\nthe next ones: --after {cases[-1].id}")


@command.command(
    "show", epilog=_epilog("tidegate exceptions show 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10")
)
@_id_argument
@_json_option
def show(id_: UUID, as_json: bool) -> None:
    """Show a case with all that was done about it."""
    case, entries = _with_store(lambda store: store.case(id_))
    if as_json:
        shown = {**msgspec.to_builtins(case), "entries": msgspec.to_builtins(entries)}
        click.echo(json.dumps(shown))
        return
    for name, value in _facts(case):
        click.echo(f"{name:<10} {value}")
    click.echo()
    for entry in entries:
        click.echo(_line(entry))


@command.command(
    "open", epilog=_epilog('tidegate exceptions open W-1001 invoice "wants a VAT invoice"')
)
@click.argument("order", metavar="ORDER")
@click.argument("kind", metavar="CLASS", type=_kind)
@click.argument("message", type=_Message())
@click.option("--channel", help="The channel, where several have an order of this number.")
@_json_option
def open_(order: str, kind: str, message: str, channel: str | None, as_json: bool) -> None:
    """Open a case of an order, by its number or id, with what is wrong.

    Where the order has a case of this class already that a person opened, that one is opened again.
    """

    async def opened(store: Exceptions) -> ExceptionCase:
        order_id, order_no, of_channel = await store.order(order, channel=channel)
        wanted = next(each for each in CLASSES if each == kind)
        policies = exception_cases.configured(settings_source.load().exceptions)
        case = exception_cases.open_case(
            Cause("person", f"{order_id}:{kind}", kind, "", order_id, order_no, of_channel),
            wanted,
            id_=UUIDv7()(),
            now=datetime.now(UTC),
            policies=policies,
        )
        await store.open([case], actor=actor(), message=message)
        return await store.of_cause("person", case.cause.key)

    _print(_with_store(opened), as_json)


@command.command(
    "assign",
    epilog=_epilog("tidegate exceptions assign 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10 finance"),
)
@_id_argument
@click.argument("owner")
@_json_option
def assign(id_: UUID, owner: str, as_json: bool) -> None:
    """Give a case to a person or a team; "" leaves it to nobody."""
    if len(owner) > 64 or not (owner.isprintable() or not owner):
        raise click.BadParameter("has at most 64 printable characters", param_hint="OWNER")
    _change(id_, Change("assigned", actor(), owner=owner), as_json)


@command.command(
    "due", epilog=_epilog("tidegate exceptions due 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10 6h")
)
@_id_argument
@click.argument("in_", metavar="30m|6h|3d", type=Duration())
@_json_option
def due(id_: UUID, in_: timedelta, as_json: bool) -> None:
    """Set the deadline of a case, counted from now."""
    _change(id_, Change("deadline", actor(), due_at=datetime.now(UTC) + in_), as_json)


@command.command(
    "comment",
    epilog=_epilog(
        'tidegate exceptions comment 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10 "called the buyer"'
    ),
)
@_id_argument
@click.argument("message", type=_Message())
@_json_option
def comment(id_: UUID, message: str, as_json: bool) -> None:
    """Write into the journal of a case. It is stored sealed."""
    _change(id_, Change("commented", actor(), message), as_json)


@command.command(
    "resolve",
    epilog=_epilog(
        'tidegate exceptions resolve 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10 "refunded by hand"'
    ),
)
@_id_argument
@click.argument("message", type=_Message())
@_json_option
def resolve(id_: UUID, message: str, as_json: bool) -> None:
    """Resolve a case, with how. What caused it is not touched, and does not open it again."""
    _change(id_, Change("resolved", actor(), message), as_json)


@command.command(
    "reopen",
    epilog=_epilog(
        'tidegate exceptions reopen 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10 "it came back"'
    ),
)
@_id_argument
@click.argument("message", type=_Message())
@_json_option
def reopen(id_: UUID, message: str, as_json: bool) -> None:
    """Open a resolved case again, with why. That counts as a relapse."""
    _change(id_, Change("reopened", actor(), message), as_json)


@command.command("report", epilog=_epilog("tidegate exceptions report --days 30"))
@click.option(
    "--days", default=7, show_default=True, type=click.IntRange(1, 366), help="Days to look back."
)
@_json_option
@tables.wide_option
def report(days: int, as_json: bool, wide: bool) -> None:
    """Count cases by class: open, overdue, their ages, what was resolved, relapses."""
    now = datetime.now(UTC)
    since = now - timedelta(days=days)
    found = exception_cases.report(
        _with_store(lambda store: store.times(since)), since=since, now=now
    )
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
        return
    if not found:
        click.echo(f"no exceptions are open, and none were resolved in {days} days", err=True)
        return
    tables.table(
        (
            "CLASS", "OPEN", "OVERDUE", "OLDEST", "MEDIAN AGE", "OPENED", "RESOLVED",
            "MEDIAN TIME", "RELAPSES",
        ),
        [
            (
                row.kind,
                str(row.open),
                str(row.overdue),
                _age(row.oldest_s),
                _age(row.median_age_s),
                str(row.opened),
                str(row.resolved),
                _age(row.median_resolved_s),
                str(row.relapses),
            )
            for row in found
        ],
        wide=wide,
    )  # fmt: skip


def _change(id_: UUID, change: Change, as_json: bool) -> None:
    now = datetime.now(UTC)
    _print(_with_store(lambda store: store.change(id_, change, now=now)), as_json)


def _print(case: ExceptionCase, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(case)))
        return
    state = "resolved" if case.resolved_at else f"due {case.due_at:%Y-%m-%d %H:%M} UTC"
    click.echo(f"{case.id}  {case.kind}  {state}  owner: {case.owner or 'nobody'}")


def _facts(case: ExceptionCase) -> list[tuple[str, str]]:
    facts = [
        ("id", str(case.id)),
        ("class", case.kind),
        ("order", f"{case.order_no} {case.channel}".strip() or "unknown"),
        ("order id", str(case.order_id or "")),
        ("reason", case.reason),
        ("detail", case.detail),
        ("owner", case.owner or "nobody"),
        ("opened", f"{case.opened_at:%Y-%m-%d %H:%M} UTC"),
        ("due", f"{case.due_at:%Y-%m-%d %H:%M} UTC"),
        ("escalated", f"{case.escalated_at:%Y-%m-%d %H:%M} UTC" if case.escalated_at else ""),
        ("resolved", f"{case.resolved_at:%Y-%m-%d %H:%M} UTC" if case.resolved_at else ""),
        ("relapses", str(case.relapses or "")),
    ]
    return [(name, value) for name, value in facts if value]


def _line(entry: CaseEntry) -> str:
    message = "(cannot be opened with this key ring)" if entry.message is None else entry.message
    text = "  ".join(filter(None, (entry.note, message)))
    return f"{entry.at:%Y-%m-%d %H:%M}  {entry.actor}  {entry.entry}  {text}".rstrip()


def _age(seconds: float) -> str:
    if not seconds:
        return ""
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def _with_store(work: Callable[[Exceptions], Awaitable[T]]) -> T:
    loaded = settings_source.load()

    async def done() -> T:
        ring = key_ring.load(loaded.keyring_file)
        check = functools.partial(key_ring.check_strictly, ring)
        async with connections.primary(loaded, on_connect=check) as pool:
            return await work(Exceptions(pool=pool, sealer=ring.sealer, new_id=UUIDv7()))

    try:
        return asyncio.run(done())
    except NotFound as exc:
        raise Failure(f"{exc}: see `tidegate exceptions list`") from None
