"""Opens the channels of alerts as the settings have them."""

import ssl
from collections.abc import Mapping, Sequence

from gateway.clients import alert_robots
from gateway.clients.address_guard import AddressGuard
from gateway.clients.alert_channels import Channel, RobotChannel, WebhookChannel
from gateway.clients.alert_email import EmailChannel, Smtp
from gateway.clients.http_client import HttpClient
from gateway.clients.webhook_signing import Signer
from gateway.runtime.clock import Clock
from gateway.runtime.settings import SettingsError, secret
from gateway.runtime.settings_alerts import AlertChannel as Settings
from workers.alerts import AlertChannel

_CALL_S = 5.0
_ANSWER_BYTES_MAX = 64 * 1024
#: Of channels that say nothing of a rate.
_PER_MINUTE = 60


def open_channels(channels: Sequence[Settings], *, clock: Clock) -> list[AlertChannel]:
    """Return the channels, for the caller to close. Raises ``SettingsError``."""
    return [open_channel(each, clock=clock) for each in channels]


def open_channel(
    settings: Settings,
    *,
    clock: Clock,
    tls: ssl.SSLContext | None = None,
    environ: Mapping[str, str] | None = None,
) -> AlertChannel:
    """Return one channel, for the caller to close. Raises ``SettingsError``, which names it."""
    robot = alert_robots.ROBOTS.get(settings.kind)
    return AlertChannel(
        name=settings.name,
        channel=_channel(settings, clock, tls, environ),
        per_minute=robot.per_minute if robot else _PER_MINUTE,
        is_for_pages=settings.severity == "page",
    )


def _channel(
    settings: Settings,
    clock: Clock,
    tls: ssl.SSLContext | None,
    environ: Mapping[str, str] | None,
) -> Channel:
    def read(key: str, reference: str) -> str:
        try:
            return secret(reference, environ)
        except SettingsError as exc:
            raise SettingsError(f"alert_channels: {settings.name}: {key}: {exc}") from exc

    if settings.kind == "email":
        smtp = Smtp(
            settings.smtp_host,
            settings.smtp_port,
            settings.smtp_tls,
            settings.smtp_user,
            read("smtp_password", settings.smtp_password) if settings.smtp_password else "",
            tls,
        )
        return EmailChannel(smtp=smtp, sender=settings.sender, to=settings.to)
    client = HttpClient(
        call_s=_CALL_S,
        answer_bytes_max=_ANSWER_BYTES_MAX,
        connections_max=2,
        guard=AddressGuard(allowed=settings.private_addresses),
        is_https_only=False,
        is_reusing=False,
        tls=tls,
    )
    url = read("url", settings.url)
    key = read("secret", settings.secret) if settings.secret else ""
    robot = alert_robots.ROBOTS.get(settings.kind)
    if robot is not None:
        return RobotChannel(robot=robot, url=url, secret=key, client=client, clock=clock)
    try:
        signer = Signer([key])
    except ValueError as exc:
        raise SettingsError(f"alert_channels: {settings.name}: the secret {exc}") from exc
    return WebhookChannel(url=url, signer=signer, client=client, clock=clock)
