"""`tidegate parked`: messages that could not be booked, from seen to mended."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import click
import msgspec

from gateway.domain import parked
from gateway.domain.parked import Filter, Parked, ReasonCount
from gateway.intake import replay_runs
from gateway.intake.replays import Replayed
from gateway.stores.postgres.parked import LIMIT_MAX
from gateway.web.wiring import ParkedDesk
from ops import parked_desk, tables
from ops.commands.api_keys import actor
from ops.commands.callbacks import printable
from ops.commands.exceptions import Duration
from ops.failures import Failure

T = TypeVar("T")

_EXITS = """\
Exits 0, 1 when the database is unavailable or there is no such row, 2 for a wrong option or when
the key ring is not this database's.
"""
_EPILOG = (
    """\
\b
Examples:
  tidegate parked list --reason unmapped --account stripe
  tidegate parked show 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10
  tidegate parked replay --reason unmapped --dry-run
  tidegate parked resolve 019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10 "refunded at the provider"
\b
The runbook held-and-parked.md explains each reason, and `show` what to do next.
"""
    + _EXITS
)
_ID = "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10"


def _epilog(*examples: str, exits: str = _EXITS) -> str:
    lines = "".join(f"  tidegate parked {each}\n" for each in examples)
    return f"\b\nExample:\n{lines}\b\n{exits}"


@click.group("parked", epilog=_EPILOG)
def command() -> None:
    """See, replay, assign and resolve what could not be booked."""


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_id_argument = click.argument("id_", metavar="ID", type=click.UUID)
_ids_argument = click.argument("ids", metavar="ID...", type=click.UUID, nargs=-1, required=True)


def _filter_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which rows are meant."""
    for option in (
        click.option("--newer", type=Duration(), help="Only what arrived within: 30m, 6h, 3d."),
        click.option("--older", type=Duration(), help="Only what arrived so long ago, or before."),
        click.option("--assignee", help='Only of this person; "" lists what nobody has.'),
        click.option(
            "--order", help="Only of this order, by number or id, or of this transaction number."
        ),
        click.option("--account", help="Only of this provider, or of this provider:account."),
        click.option(
            "--reason", type=click.Choice(list(parked.REASONS)), help="Only for this reason."
        ),
    ):
        function = option(function)
    return function


def _filter(state: parked.State, ids: Sequence[UUID] = (), **of: Any) -> Filter:
    now = datetime.now(UTC)
    older: timedelta | None = of.pop("older")
    newer: timedelta | None = of.pop("newer")
    return Filter(
        state=state,
        ids=tuple(ids),
        before=None if older is None else now - older,
        after=None if newer is None else now - newer,
        **of,
    )


@command.command("list", epilog=_epilog("list --older 3d", "list --order W-1001 --state all"))
@_filter_options
@click.option(
    "--state", type=click.Choice(parked.STATES), default="open", show_default=True, help="Which."
)
@click.option("--after", type=click.UUID, help="Those after this one: the last of the page before.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, LIMIT_MAX))
@_json_option
@tables.wide_option
def list_(
    state: parked.State, after: UUID | None, limit: int, as_json: bool, wide: bool, **of: Any
) -> None:
    """List what is parked, the oldest first, with how many there are for each reason."""
    wanted = _filter(state, **of)

    async def found(desk: ParkedDesk) -> tuple[list[Parked], list[ReasonCount]]:
        rows = await desk.rows.page(wanted, after=after, limit=limit)
        return rows, await desk.rows.counts(wanted)

    rows, counts = _with_desk(found, needs_accounts=False)
    if as_json:
        shown = {"rows": msgspec.to_builtins(rows), "counts": msgspec.to_builtins(counts)}
        click.echo(json.dumps(shown))
        return
    if not rows:
        click.echo("no such parked rows", err=True)
        return
    tables.table(
        ("ID", "RECEIVED (UTC)", "REASON", "ACCOUNT", "ORDER", "TRANSACTION", "WHO", "DETAIL"),
        [
            (
                str(row.id),
                f"{row.received_at:%Y-%m-%d %H:%M}",
                row.reason,
                row.source,
                row.order_no,
                row.transaction_no,
                _who(row),
                row.detail,
            )
            for row in rows
        ],
        wide=wide,
        spare=("TRANSACTION", "WHO"),
    )
    total = sum(each.rows for each in counts)
    by_reason = ", ".join(f"{each.reason} {each.rows}" for each in counts)
    click.echo(f"\n{total} in all: {by_reason}")
    if len(rows) == limit:
        click.echo(f"the next ones: --after {rows[-1].id}")


@command.command("show", epilog=_epilog(f"show {_ID}"))
@_id_argument
@click.option(
    "--full",
    is_flag=True,
    help="Print the whole message, private fields too. The audit log records the access.",
)
@_json_option
def show(id_: UUID, full: bool, as_json: bool) -> None:
    """Show a row, what to do next, and its message: masked, and as it is read now."""

    async def found(desk: ParkedDesk) -> dict[str, Any]:
        kept = await desk.rows.read(id_)
        if kept is None:
            raise _no_row(id_)
        parts, fault = replay_runs.read_as(kept, desk.decoder)
        text = parked.text_of(kept.row.reason)
        message: object = desk.runs.masked(kept, parts)
        if full:
            message = await desk.runs.opened(kept, actor=actor())
            if message is None:
                raise Failure(kept.fault)
        return {
            **msgspec.to_builtins(kept.row),
            "meaning": text.meaning,
            "action": text.action,
            "is_replayable": text.is_replayable,
            "read_as": msgspec.to_builtins(parts),
            "fault": fault,
            "message": message,
        }

    shown = _with_desk(found)
    if as_json:
        click.echo(json.dumps(shown))
        return
    for name in (
        "id", "reason", "detail", "source", "order_no", "transaction_no", "order_id",
        "received_at", "assignee", "replays", "resolved_at", "resolved_by", "resolution",
    ):  # fmt: skip
        if shown[name] not in (None, ""):
            click.echo(printable(f"{name:<15} {shown[name]}"))
    click.echo(f"\nwhat it is:   {shown['meaning']}")
    click.echo(f"what to do:   {shown['action']}")
    if shown["is_replayable"]:
        click.echo(f"try a replay: tidegate parked replay {id_} --dry-run")
    click.echo()
    for part in shown["read_as"]:
        words = " ".join(f"{name} {value}" for name, value in part.items() if value)
        click.echo(printable(f"read now as: {words}"))
    if shown["fault"]:
        click.echo(printable(f"not read now: {shown['fault']}"))
    message = shown["message"]
    if message is not None:
        text = message if full else json.dumps(message, indent=2, ensure_ascii=False)
        click.echo("\nthe message:" if full else "\nthe message, masked:")
        click.echo("\n".join(printable(line) for line in str(text).splitlines()))


@command.command(
    "replay",
    epilog=_epilog(
        f"replay {_ID}",
        "replay --reason unmapped --account stripe --dry-run",
        "replay --all --per-s 50",
        exits="""\
A replay decodes the kept message anew, by the account as it is configured now, and judges it again;
to repeat one, or to run it again after it was stopped, is harmless.
Exits 0 when each row was replayed, 1 when some stay parked or the database is unavailable, 2 for a
wrong option.
""",
    ),
)
@click.argument("ids", metavar="[ID]...", type=click.UUID, nargs=-1)
@_filter_options
@click.option("--all", "everything", is_flag=True, help="All that are open.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would happen; write nothing.")
@click.option(
    "--per-s",
    default=200.0,
    show_default=True,
    type=click.FloatRange(0.1, 10_000),
    help="At most so many rows a second.",
)
@_json_option
def replay(
    ids: tuple[UUID, ...],
    everything: bool,
    is_dry: bool,
    per_s: float,
    as_json: bool,
    **of: Any,
) -> None:
    """Decode parked messages anew, and judge them again: these, those of a filter, or all."""
    if not (ids or everything or any(value is not None for value in of.values())):
        raise click.UsageError("name rows, give a filter, or --all")
    wanted = _filter("open", ids, **of)

    async def replayed(desk: ParkedDesk) -> tuple[int, int]:
        if ids and (missing := await _missing(desk, ids)):
            raise _no_row(missing)
        total = sum(each.rows for each in await desk.rows.counts(wanted))
        done = left = 0
        async for rows in desk.runs.all(wanted, actor=actor(), is_dry=is_dry, per_s=per_s):
            done += len(rows)
            left += sum(not each.is_resolved for each in rows)
            for row in rows:
                click.echo(_line(row, as_json))
            if not as_json:
                click.echo(f"{done} of {total}", err=True)
        return done, left

    done, left = _with_desk(replayed)
    if not as_json:
        verb = "would be closed" if is_dry else "closed"
        click.echo(f"{done - left} {verb}, {left} stay open", err=True)
    if left and not is_dry:
        raise click.exceptions.Exit(1)


@command.command("resolve", epilog=_epilog(f'resolve {_ID} "refunded at the provider"'))
@_ids_argument
@click.argument("reason")
@_json_option
def resolve(ids: tuple[UUID, ...], reason: str, as_json: bool) -> None:
    """Close rows: what they tell was dealt with, or needs nothing. REASON is kept with each."""
    text = _text(reason, "REASON")
    _change(
        ids,
        lambda desk: desk.rows.resolve(ids, actor=actor(), reason=text),
        "closed",
        "was closed before",
        as_json,
    )


@command.command("reopen", epilog=_epilog(f'reopen {_ID} "the wrong one"'))
@_ids_argument
@click.argument("reason")
@_json_option
def reopen(ids: tuple[UUID, ...], reason: str, as_json: bool) -> None:
    """Open rows again that a person closed. What was applied meanwhile stays closed."""
    text = _text(reason, "REASON")
    _change(
        ids,
        lambda desk: desk.rows.reopen(ids, actor=actor(), reason=text),
        "open again",
        "is open, or what it told is applied",
        as_json,
    )


@command.command("assign", epilog=_epilog(f"assign {_ID} finance"))
@_ids_argument
@click.argument("assignee")
@_json_option
def assign(ids: tuple[UUID, ...], assignee: str, as_json: bool) -> None:
    """Give rows to a person or a team; "" leaves them to nobody."""
    text = _text(assignee, "ASSIGNEE") if assignee else ""
    _change(
        ids,
        lambda desk: desk.rows.assign(ids, actor=actor(), assignee=text),
        f"given to {text or 'nobody'}",
        "was so before",
        as_json,
    )


def _change(
    ids: Sequence[UUID],
    change: Callable[[ParkedDesk], Awaitable[list[UUID]]],
    done: str,
    before: str,
    as_json: bool,
) -> None:
    async def changed(desk: ParkedDesk) -> list[UUID]:
        if missing := await _missing(desk, ids):
            raise _no_row(missing)
        return await change(desk)

    found = _with_desk(changed, needs_accounts=False)
    if as_json:
        click.echo(json.dumps({"changed": [str(id_) for id_ in found]}))
        return
    for id_ in ids:
        click.echo(f"{id_} {done if id_ in found else before}")


async def _missing(desk: ParkedDesk, ids: Sequence[UUID]) -> UUID | None:
    """Return the first id that no row has."""
    wanted = Filter(state="all", ids=tuple(ids))
    known = {row.id for row in await desk.rows.page(wanted, after=None, limit=len(ids))}
    return next((id_ for id_ in ids if id_ not in known), None)


def _line(row: Replayed, as_json: bool) -> str:
    if as_json:
        return json.dumps(msgspec.to_builtins(row))
    what = f"{row.id} {row.order_no or '-'} {row.reason}: {row.outcome}"
    return printable(f"{what}{f', {row.detail}' if row.detail else ''}")


def _who(row: Parked) -> str:
    if row.resolved_at is not None:
        return f"closed by {row.resolved_by or 'the ledger'}"
    return row.assignee or ""


def _text(text: str, name: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 500:
        raise click.BadParameter("has 1 to 500 printable characters", param_hint=name)
    return text


def _no_row(id_: UUID) -> Failure:
    return Failure(f"no parked row {id_}: see `tidegate parked list`")


def _with_desk(work: Callable[[ParkedDesk], Awaitable[T]], *, needs_accounts: bool = True) -> T:
    return asyncio.run(parked_desk.use(work, needs_accounts=needs_accounts))
