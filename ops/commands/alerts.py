"""`tidegate alerts`: the rules, what the channels were told, and a message to try a channel."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import click
import msgspec

from gateway.domain import alert_settings
from gateway.domain.alerts import AlertRule, Message
from gateway.runtime import settings, settings_source
from gateway.runtime.clock import SystemClock
from gateway.runtime.settings_alerts import AlertChannel
from gateway.stores.postgres.alerts import Alerts, ToldAlert
from ops import connections, tables
from ops.commands.api_keys import actor
from ops.failures import Failure, Wrong
from workers import alert_channels
from workers.alert_book import CLAIM_S, REPEAT_S

T = TypeVar("T")

_SILENCE_H_MAX = 24 * 7

_EXITS = """\
Exits 0, 1 when the database is unavailable or a channel did not take a message, 2 for a wrong
option or setting.
"""
_EPILOG = (
    """\
\b
Examples:
  tidegate alerts list
  tidegate alerts test ops-chat
  tidegate alerts silence parked --hours 8 --reason "the clerk is on it"
\b
"""
    + _EXITS
)


def _epilog(example: str) -> str:
    return f"\b\nExample:\n  {example}\n\b\n{_EXITS}"


@click.group("alerts", epilog=_EPILOG)
def command() -> None:
    """Show alerts and what was told of them, try channels, silence an alert."""


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Shown(msgspec.Struct):
    """A rule, and what its channels were told."""

    rule: AlertRule
    told: list[ToldAlert]


@command.command("list", epilog=_epilog("tidegate alerts list"))
@_json_option
@tables.wide_option
def list_(as_json: bool, wide: bool) -> None:
    """List the rules with what each channel was told last."""
    loaded = settings_source.load()
    names = [each.name for each in loaded.alert_channels]
    if fault := alert_settings.fault(loaded.alerts, names):
        raise Wrong(f"alerts: {fault}")
    rules = alert_settings.rules(loaded.alerts)
    told = asyncio.run(_with_store(loaded, lambda store: store.all()))
    shown = [_Shown(rule, [each for each in told if each.rule == rule.name]) for rule in rules]
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(shown)))
        return
    if not loaded.alert_channels:
        click.echo("no channel is configured: add [[alert_channels]] to the settings", err=True)
    now = datetime.now(UTC)
    tables.table(
        ("ALERT", "SEVERITY", "FIRES AT", "FOR", "STATE", "RUNBOOK"),
        [
            (
                each.rule.name,
                each.rule.severity,
                f"{'<' if each.rule.is_below else '>='} {each.rule.threshold:g}",
                f"{each.rule.for_s:g} s",
                ", ".join(_state(one, now) for one in each.told if _says_something(one, now)),
                each.rule.runbook,
            )
            for each in shown
        ],
        wide=wide,
        spare=("FOR", "RUNBOOK"),
    )


@command.command("test", epilog=_epilog("tidegate alerts test ops-chat"))
@click.argument("channel")
@_json_option
def test(channel: str, as_json: bool) -> None:
    """Send a message to a channel, as an alert would be sent."""
    loaded = settings_source.load()
    found = next((each for each in loaded.alert_channels if each.name == channel), None)
    if found is None:
        known = ", ".join(each.name for each in loaded.alert_channels) or "none is configured"
        raise Wrong(f"no channel is named {channel}: {known}")
    reason = asyncio.run(_sent(found))
    if reason:
        raise Failure(f"{channel} did not take it: {reason}")
    click.echo(json.dumps({"channel": channel}) if as_json else f"{channel} took the message")


@command.command(
    "silence",
    epilog=_epilog('tidegate alerts silence parked --hours 8 --reason "the clerk is on it"'),
)
@click.argument("rule")
@click.option("--hours", default=4.0, show_default=True, type=click.FloatRange(0.1, _SILENCE_H_MAX))
@click.option("--reason", required=True, help="Why, for the audit log.")
@_json_option
def silence(rule: str, hours: float, reason: str, as_json: bool) -> None:
    """Tell nobody of an alert for a while. It is told afterwards, if it still fires."""
    until = datetime.now(UTC) + timedelta(hours=hours)
    _silence(rule, until, reason)
    text = f"{rule} is silent until {until:%Y-%m-%d %H:%M} UTC: tidegate alerts unsilence {rule}"
    click.echo(json.dumps({"rule": rule, "silenced_until": f"{until:%FT%TZ}"}) if as_json else text)


@command.command("unsilence", epilog=_epilog("tidegate alerts unsilence parked"))
@click.argument("rule")
@click.option("--reason", default="", help="Why, for the audit log.")
@_json_option
def unsilence(rule: str, reason: str, as_json: bool) -> None:
    """End the silence of an alert."""
    _silence(rule, None, reason)
    text = f"{rule} is told of again"
    click.echo(json.dumps({"rule": rule, "silenced_until": None}) if as_json else text)


def _silence(rule: str, until: datetime | None, reason: str) -> None:
    loaded = settings_source.load()
    known = [each.name for each in alert_settings.rules(loaded.alerts)]
    if rule not in known:
        raise Wrong(f"no alert is named {rule}: {', '.join(known)}")
    names = [each.name for each in loaded.alert_channels]
    if not names:
        raise Wrong("no channel is configured: add [[alert_channels]] to the settings")
    asyncio.run(
        _with_store(
            loaded,
            lambda store: store.silence(rule, names, until, actor=actor(), reason=reason),
        )
    )


async def _sent(channel: AlertChannel) -> str:
    opened = alert_channels.open_channel(channel, clock=SystemClock())
    message = Message("test", "ticket", "firing", "", 0.0, 0.0, datetime.now(UTC), "", is_test=True)
    try:
        return await opened.channel.send([message])
    finally:
        await opened.channel.close()


async def _with_store(loaded: settings.Settings, work: Callable[[Alerts], Awaitable[T]]) -> T:
    async with connections.primary(loaded) as pool:
        return await work(Alerts(pool=pool, claim_s=CLAIM_S, repeat_s=REPEAT_S))


def _says_something(told: ToldAlert, now: datetime) -> bool:
    """A silence leaves a row, also for a channel that is told nothing of this alert."""
    is_silent = told.silenced_until is not None and told.silenced_until > now
    return told.state == "firing" or told.told_at is not None or is_silent


def _state(told: ToldAlert, now: datetime) -> str:
    silent = " (silent)" if told.silenced_until and told.silenced_until > now else ""
    untold = "" if told.told_at else ", not told yet"
    return f"{told.channel}: {told.state} since {told.changed_at:%Y-%m-%d %H:%M}{untold}{silent}"
