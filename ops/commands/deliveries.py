"""`tidegate deliveries`: what targets must still be told, dead letters, attempts, targets."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click
import msgspec

from gateway.domain import dead_letters
from gateway.domain.dead_letters import Filter, ListedDelivery, ReplayedDeliveries
from gateway.stores.postgres.deliveries import AttemptRow
from gateway.stores.postgres.delivery_desk import LIMIT_MAX, DeliveryDesk
from ops import tables
from ops.commands.api_keys import actor
from ops.commands.callbacks import printable
from ops.commands.delivery_desk import EXITS, check_target, epilog, json_option, with_desk
from ops.commands.delivery_targets import disable, enable, forget, targets
from ops.commands.exceptions import Duration
from ops.failures import Failure

_EPILOG = (
    """\
\b
Examples:
  tidegate deliveries list --target wms
  tidegate deliveries attempts W-1001
  tidegate deliveries replay --target wms --dry-run
  tidegate deliveries targets
\b
A delivery whose last attempt failed is a dead letter: it waits until a person replays it.
"""
    + EXITS
)
#: Dead letters that one transaction makes due.
_TOGETHER = 500


@click.group("deliveries", epilog=_EPILOG)
def command() -> None:
    """See what targets were told, replay dead letters, switch targets."""


def _filter_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which deliveries are meant."""
    for option in (
        click.option("--newer", type=Duration(), help="Only what happened within: 30m, 6h, 3d."),
        click.option("--older", type=Duration(), help="Only what happened so long ago, or before."),
        click.option("--event", "events", multiple=True, type=click.UUID, help="Only these."),
        click.option("--order", help="Only of this order, by number or id."),
        click.option("--reason", help="Only where the last attempt failed for a reason with this."),
        click.option("--topic", help="Only of this topic, as in order.paid."),
        click.option("--target", help="Only to this target."),
    ):
        function = option(function)
    return function


async def _filter(desk: DeliveryDesk, state: dead_letters.State, **of: Any) -> Filter:
    values = dict(of)
    older: timedelta | None = values.pop("older")
    newer: timedelta | None = values.pop("newer")
    order: str | None = values.pop("order")
    events: tuple[UUID, ...] = values.pop("events")
    orders = None if order is None else tuple(await _orders(desk, order))
    if values["target"] is not None:
        await check_target(desk, values["target"])
    now = datetime.now(UTC)
    return Filter(
        state=state,
        orders=orders,
        events=events or None,
        before=None if older is None else now - older,
        after=None if newer is None else now - newer,
        **values,
    )


@command.command("list", epilog=epilog("list --target wms", "list --state all --order W-1001"))
@_filter_options
@click.option(
    "--state",
    type=click.Choice(dead_letters.STATES),
    default="dead",
    show_default=True,
    help="Dead letters, what is still tried, or both.",
)
@click.option("--after", help="Those behind this place, as the page before said.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, LIMIT_MAX))
@json_option
@tables.wide_option
def list_(
    state: dead_letters.State,
    after: str | None,
    limit: int,
    as_json: bool,
    wide: bool,
    **of: Any,
) -> None:
    """List deliveries that are not over, the oldest first, with how many each target has."""
    try:
        place = None if after is None else dead_letters.read_place(after)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--after") from exc

    async def found(desk: DeliveryDesk) -> tuple[list[ListedDelivery], dict[str, int]]:
        wanted = await _filter(desk, state, **of)
        return await desk.page(wanted, after=place, limit=limit), await desk.counts(wanted)

    rows, counts = with_desk(found)
    following = dead_letters.place_of(rows[-1]) if len(rows) == limit else None
    if as_json:
        shown = {"deliveries": msgspec.to_builtins(rows), "counts": counts, "next": following}
        click.echo(json.dumps(shown))
        return
    if not rows:
        click.echo("no such deliveries", err=True)
        return
    tables.table(
        ("EVENT", "HAPPENED (UTC)", "TARGET", "ORDER", "TOPIC", "STATE", "FAILED", "REASON"),
        [
            (
                str(row.event_id),
                f"{row.occurred_at:%Y-%m-%d %H:%M}",
                row.target,
                row.order_no or str(row.order_id),
                row.topic,
                "dead" if row.dead_at is not None else f"due {row.due_at:%H:%M:%S}",
                str(row.attempts),
                row.reason,
            )
            for row in rows
        ],
        wide=wide,
        spare=("FAILED", "STATE"),
    )
    by_target = ", ".join(f"{target} {count}" for target, count in counts.items())
    click.echo(f"\n{sum(counts.values())} in all: {by_target}")
    if following:
        click.echo(f"the next ones: --after {following}")


@command.command("attempts", epilog=epilog("attempts W-1001"))
@click.argument("order", metavar="ORDER")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, LIMIT_MAX))
@json_option
@tables.wide_option
def attempts(order: str, limit: int, as_json: bool, wide: bool) -> None:
    """List the attempts to tell of an order, by its number or id, the latest first."""

    async def found(desk: DeliveryDesk) -> list[AttemptRow]:
        return await desk.attempts(await _orders(desk, order), limit=limit)

    rows = with_desk(found)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(rows)))
        return
    if not rows:
        click.echo("no attempt is logged", err=True)
        return
    tables.table(
        ("STARTED (UTC)", "TARGET", "TOPIC", "VERSION", "ATTEMPT", "MS", "OUTCOME", "REASON"),
        [
            (
                f"{row.started_at:%Y-%m-%d %H:%M:%S}",
                row.target,
                row.topic,
                str(row.version),
                str(row.attempt),
                str(row.took_ms),
                " ".join(filter(None, (row.outcome, str(row.status_code or "")))),
                row.reason or "",
            )
            for row in rows
        ],
        wide=wide,
        spare=("MS", "VERSION"),
    )


@command.command(
    "replay",
    epilog=epilog(
        "replay --target wms --dry-run",
        "replay --order W-1001",
        "replay --all --per-s 50",
        exits="""\
A dead letter that is replayed is due at once, with all its attempts before it and under the same
event id; to replay it again is harmless.
"""
        + EXITS,
    ),
)
@_filter_options
@click.option("--all", "everything", is_flag=True, help="All dead letters of all targets.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would happen; write nothing.")
@click.option(
    "--per-s",
    default=1000.0,
    show_default=True,
    type=click.FloatRange(0.1, 100_000),
    help="At most so many a second.",
)
@json_option
def replay(everything: bool, is_dry: bool, per_s: float, as_json: bool, **of: Any) -> None:
    """Have dead letters delivered after all: those of a filter, or all."""
    if not (everything or any(value not in (None, ()) for value in of.values())):
        raise click.UsageError("give a filter, or --all")

    async def replayed(desk: DeliveryDesk) -> ReplayedDeliveries:
        wanted = await _filter(desk, "dead", **of)
        expected = await desk.preview(wanted)
        if is_dry:
            return expected
        together = max(1, min(_TOGETHER, int(per_s)))
        total: dict[str, int] = {}
        while (done := await desk.replay(wanted, actor=actor(), limit=together)).targets:
            for target, count in done.targets.items():
                total[target] = total.get(target, 0) + count
            if not as_json:
                click.echo(f"{sum(total.values())} of {expected.deliveries}", err=True)
            # What fails again meanwhile is a dead letter again, and not of this run.
            if sum(total.values()) >= expected.deliveries:
                break
            await asyncio.sleep(done.deliveries / per_s)
        return ReplayedDeliveries(total, False)

    done = with_desk(replayed)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(done)))
        return
    verb = "would be" if is_dry else "are"
    for target, count in done.targets.items():
        click.echo(printable(f"{target}: {count} {verb} due again"))
    if not done.targets:
        click.echo("no such dead letters", err=True)


async def _orders(desk: DeliveryDesk, named: str) -> list[UUID]:
    found = await desk.orders(named)
    if not found:
        raise Failure(f"no order {named}")
    return found


for each in (targets, disable, enable, forget):
    command.add_command(each)
