"""`tidegate deliveries targets | disable | enable | forget`: the targets themselves."""

import json

import click
import msgspec

from gateway.domain.dead_letters import TargetState
from gateway.stores.postgres.delivery_desk import DeliveryDesk
from ops import tables
from ops.commands.api_keys import actor
from ops.commands.delivery_desk import check_target, epilog, json_option, with_desk
from ops.failures import Failure


@click.command("targets", epilog=epilog("targets"))
@json_option
@tables.wide_option
def targets(as_json: bool, wide: bool) -> None:
    """List targets, whether they are disabled, and what waits for each."""
    rows = with_desk(lambda desk: desk.targets())
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(rows)))
        return
    if not rows:
        click.echo("no worker has seen a target in its settings", err=True)
        return
    tables.table(
        ("TARGET", "STATE", "WAITING", "OLDEST (UTC)", "DEAD", "SINCE (UTC)"),
        [
            (
                row.name,
                _state(row),
                str(row.pending),
                f"{row.pending_oldest_at:%Y-%m-%d %H:%M}" if row.pending_oldest_at else "",
                str(row.dead),
                f"{row.dead_oldest_at:%Y-%m-%d %H:%M}" if row.dead_oldest_at else "",
            )
            for row in rows
        ],
        wide=wide,
    )


@click.command("disable", epilog=epilog('disable wms "their maintenance until 6:00"'))
@click.argument("target")
@click.argument("reason")
@json_option
def disable(target: str, reason: str, as_json: bool) -> None:
    """Hand nothing on to a target until it is enabled again; what happens meanwhile waits."""
    _switch(target, reason, as_json, is_on=False)


@click.command("enable", epilog=epilog('enable wms "they are back"'))
@click.argument("target")
@click.argument("reason")
@json_option
def enable(target: str, reason: str, as_json: bool) -> None:
    """Hand on to a target again, all that waited included. Dead letters stay: replay them."""
    _switch(target, reason, as_json, is_on=True)


@click.command("forget", epilog=epilog('forget old-wms "replaced by wms"'))
@click.argument("target")
@click.argument("reason")
@json_option
def forget(target: str, reason: str, as_json: bool) -> None:
    """Drop a target that no worker has in its settings any more, and all that waits for it.

    What waits is not delivered to anybody, dead letters neither. The log of attempts stays.
    """
    _check(reason)

    async def forgotten(desk: DeliveryDesk) -> int:
        found = await desk.forget(target, actor=actor(), reason=reason)
        if found is None:
            raise Failure(
                f"no target {target} that can be forgotten: see `tidegate deliveries targets`; one "
                "that a worker has in its settings is taken out there first, a minute before"
            )
        return found

    count = with_desk(forgotten)
    if as_json:
        click.echo(json.dumps({"target": target, "deliveries": count}))
        return
    click.echo(f"{target} is forgotten, and {count} deliveries to it")


def _check(reason: str) -> None:
    if not reason.strip() or not reason.isprintable() or len(reason) > 500:
        raise click.BadParameter("has 1 to 500 printable characters", param_hint="REASON")


def _switch(target: str, reason: str, as_json: bool, *, is_on: bool) -> None:
    _check(reason)

    async def switched(desk: DeliveryDesk) -> bool:
        await check_target(desk, target)
        change = desk.enable if is_on else desk.disable
        return await change(target, actor=actor(), reason=reason)

    word = "enabled" if is_on else "disabled"
    is_new = with_desk(switched)
    if as_json:
        click.echo(json.dumps({"target": target, "is_enabled": is_on, "was_other": is_new}))
        return
    click.echo(f"{target} is {word}" if is_new else f"{target} was {word} before")


def _state(row: TargetState) -> str:
    if row.disabled_at is None:
        return "enabled"
    return f"disabled since {row.disabled_at:%Y-%m-%d %H:%M}: {row.disabled_reason or ''}"
