"""The channels of alerts: whether a worker can open them. No message is sent."""

from collections.abc import Mapping

from gateway.runtime.clock import SystemClock
from gateway.runtime.settings import Settings, SettingsError
from gateway.runtime.settings_alerts import AlertChannel
from ops.doctor.findings import Finding, fail, ok
from workers.alert_channels import open_channel


async def channels(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Open every channel, as a worker will, and close it."""
    if not settings.alert_channels:
        return [ok("alerts", "no channel is configured: nobody is told")]
    return [await _channel(each, environ) for each in settings.alert_channels]


async def _channel(channel: AlertChannel, environ: Mapping[str, str]) -> Finding:
    check = f"alerts to {channel.name}"
    try:
        opened = open_channel(channel, clock=SystemClock(), environ=environ)
    except SettingsError as exc:
        advice = "correct it in tidegate.toml; until then no worker starts"
        return fail(check, str(exc).removeprefix(f"alert_channels: {channel.name}: "), advice)
    await opened.channel.close()
    tried = f"`tidegate alerts test {channel.name}` tries it"
    return ok(check, f"{channel.kind}: can be opened; {tried}")
