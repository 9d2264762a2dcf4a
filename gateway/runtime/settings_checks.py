"""Settings that contradict each other, or name what is not there."""

from gateway.runtime import addresses, settings_rules, settings_targets, zones
from gateway.runtime.settings import Settings, SettingsError


def check(settings: Settings) -> None:
    """Raise ``SettingsError`` where settings contradict each other."""
    names = [channel.name for channel in settings.channels]
    if not names or len(set(names)) != len(names):
        raise SettingsError("channels: there must be at least one, each named once")
    seen = set()
    for account in settings.accounts:
        label = f"accounts: {account.provider}/{account.name}"
        if (account.provider, account.name) in seen:
            raise SettingsError(f"{label} is listed twice; give each account its own name")
        seen.add((account.provider, account.name))
        if unknown := set(account.channels) - set(names):
            raise SettingsError(f"{label} names unknown channels {', '.join(sorted(unknown))}")
    for fault in settings_targets.faults(settings.targets, names):
        raise SettingsError(fault)
    for fault in settings_rules.faults(settings.rules, names):
        raise SettingsError(fault)
    _check_acceptances(settings)
    if settings.database_pool_max < 2 * settings.batches_in_flight + 3:
        raise SettingsError(
            f"database_pool_max is {settings.database_pool_max}, but two lanes of "
            f"{settings.batches_in_flight} batches, one to park events, one for remarks and one "
            f"read need {2 * settings.batches_in_flight + 3}"
        )
    if settings.commit_s >= settings.drain_s:
        raise SettingsError("commit_s must be below drain_s, or a drain cannot finish a batch")
    try:
        zones.zone(settings.business_zone)
    except ValueError as exc:
        raise SettingsError(f"business_zone: {exc}") from exc
    _check_urls(settings)
    _check_alert_channels(settings)
    if settings.journal_after_s + settings.journal_s > settings.commit_s:
        raise SettingsError(
            "journal_after_s and journal_s together must not be above commit_s, "
            "or a request has timed out before its batch is journaled"
        )
    if settings.replica_urls and settings.replica_wait_s >= settings.query_s:
        raise SettingsError("replica_wait_s must be below query_s")


def _check_alert_channels(settings: Settings) -> None:
    seen = set()
    for channel in settings.alert_channels:
        label = f"alert_channels: {channel.name}"
        if channel.name in seen:
            raise SettingsError(f"{label} is listed twice; give each channel its own name")
        seen.add(channel.name)
        if channel.kind != "email":
            if not channel.url:
                raise SettingsError(f"{label} needs a url, as env:NAME or file:PATH")
            if channel.kind == "webhook" and not channel.secret:
                raise SettingsError(f"{label} needs a secret, as env:NAME or file:PATH")
        elif not (channel.smtp_host and channel.sender and channel.to):
            raise SettingsError(f"{label} needs smtp_host, sender and to")


def _check_acceptances(settings: Settings) -> None:
    """Raise ``SettingsError`` where nobody can say that a target has accepted an order."""
    speak = {account.options.get("target") or account.name for account in settings.accounts}
    for target in settings.targets:
        if target.accepts == "callback" and target.name not in speak:
            raise SettingsError(
                f"targets: {target.name} accepts by callback, and no account speaks for it: give "
                f'an account the name {target.name}, or options = {{ target = "{target.name}" }}'
            )


def _check_urls(settings: Settings) -> None:
    urls = [settings.database_url, *filter(None, settings.replica_urls.split(","))]
    if not all(url.strip().startswith(("postgresql://", "postgres://")) for url in urls):
        raise SettingsError(
            "database_url and replica_urls are written postgresql://user:password@host:port/db, "
            "with / # ? @ : % in a password percent-encoded"
        )
    for name in ("redis_url", "journal_url"):
        url = getattr(settings, name)
        if url and not url.startswith(("redis://", "rediss://", "unix:")):
            raise SettingsError(f"{name} must be written redis://:password@host:6379/0")
    if settings.inventory_url and not addresses.is_plain_http(settings.inventory_url):
        raise SettingsError(
            "inventory_url must be written https://host/path without a password, or be empty"
        )
    if settings.public_url and not addresses.is_base_url(settings.public_url):
        raise SettingsError(
            "public_url must be written https://host or https://host/prefix, without a password, "
            "a query or a slash at its end, or be empty"
        )
