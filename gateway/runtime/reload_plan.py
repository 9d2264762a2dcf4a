"""What a reload changes: the difference of two configurations, by names, and never a secret.

Pure. Accounts, channels, targets, rules, limits and secrets change while the process runs.
Everything else that differs needs a restart: it is named, and nothing of it changes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TypeVar

import msgspec
from msgspec import Struct

from gateway.runtime import settings_checks
from gateway.runtime.live import Limits
from gateway.runtime.settings import Account, Channel, Settings
from gateway.runtime.settings_rules import Rule
from gateway.runtime.settings_targets import Target

T = TypeVar("T")

#: Every setting that a reload can change. ``accounts``, ``targets`` and ``inventory_token`` change
#: also where the file names the same secret as before, which reads differently now.
LIVE = frozenset(
    {"accounts", "channels", "targets", "rules", "inventory_token", *Limits.__struct_fields__}
)


class ConfiguredAccount(Struct, frozen=True):
    """An account as it is configured, its secrets as digests."""

    account: Account
    secrets: tuple[bytes, ...]


class ConfiguredTarget(Struct, frozen=True):
    """A target as it is configured, its secrets as digests."""

    target: Target
    secrets: tuple[bytes, ...]


class Configuration(Struct, frozen=True):
    """What a process runs on: its settings, and the digests of the secrets that it has read.

    A process that needs no accounts has none here, whatever its settings list.
    """

    settings: Settings
    #: By ``provider/name``.
    accounts: Mapping[str, ConfiguredAccount] = {}
    inventory_token: bytes = b""
    #: By name; of a worker alone.
    targets: Mapping[str, ConfiguredTarget] = {}
    #: Of each rule that reads files, by its name: the digest of what they held.
    rule_files: Mapping[str, bytes] = {}


class Plan(Struct, frozen=True):
    """What a reload changes, in words: ``+ added``, ``~ changed (what)``, ``- removed``."""

    accounts: Sequence[str] = ()
    channels: Sequence[str] = ()
    limits: Sequence[str] = ()
    secrets: Sequence[str] = ()
    targets: Sequence[str] = ()
    #: Screening rules.
    rules: Sequence[str] = ()
    #: The settings that differ and stay as they are.
    needs_restart: Sequence[str] = ()

    def text(self) -> str:
        """Return what is changed, in one line."""
        parts = {
            "accounts": self.accounts,
            "channels": self.channels,
            "limits": self.limits,
            "secrets": self.secrets,
            "targets": self.targets,
            "rules": self.rules,
        }
        found = [f"{name} {', '.join(changes)}" for name, changes in parts.items() if changes]
        return "; ".join(found) or "nothing"


def digest(secret: str) -> bytes:
    """Return what stands for a secret where two are compared."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def label(account: Account) -> str:
    """Return the name of an account in logs and answers: ``provider/name``."""
    return f"{account.provider}/{account.name}"


def plan(before: Configuration, after: Configuration, *, limits: Collection[str]) -> Plan:
    """Return what changes from one configuration to another; ``limits``: those that are used."""
    old, new = before.settings, after.settings
    return Plan(
        accounts=_changes(before.accounts, after.accounts, _account_differences),
        channels=_changes(_by_name(old), _by_name(new), _channel_differences),
        limits=[
            f"{name} {_value(getattr(old, name))} -> {_value(getattr(new, name))}"
            for name in Settings.__struct_fields__
            if name in limits and getattr(old, name) != getattr(new, name)
        ],
        secrets=[] if before.inventory_token == after.inventory_token else ["~ inventory_token"],
        targets=_changes(before.targets, after.targets, _target_differences),
        rules=_rule_changes(before, after),
        needs_restart=[
            name
            for name in Settings.__struct_fields__
            if name not in LIVE and getattr(old, name) != getattr(new, name)
        ],
    )


def in_force(before: Settings, after: Settings) -> Settings:
    """Return the settings once a reload is done: of ``after`` only what can change live.

    Raises ``SettingsError`` where what changes contradicts what stays.
    """
    merged = msgspec.structs.replace(before, **{name: getattr(after, name) for name in LIVE})
    settings_checks.check(merged)
    return merged


def _changes(
    before: Mapping[str, T], after: Mapping[str, T], differences: Callable[[T, T], Iterable[str]]
) -> list[str]:
    found = [f"+ {name}" for name in after if name not in before]
    for name, now in after.items():
        if name in before and (what := list(differences(before[name], now))):
            found.append(f"~ {name} ({', '.join(what)})")
    return found + [f"- {name}" for name in before if name not in after]


def _account_differences(before: ConfiguredAccount, after: ConfiguredAccount) -> Iterator[str]:
    if before.secrets != after.secrets:
        yield "secrets"
    if before.account.options != after.account.options:
        yield "options"
    if before.account.channels != after.account.channels:
        yield "channels"
    if before.account.is_test != after.account.is_test:
        yield "is_test"


def _rule_changes(before: Configuration, after: Configuration) -> list[str]:
    """Return what changes of the rules, by the names of keys: values may be private."""

    def differences(old: Rule, new: Rule) -> Iterator[str]:
        yield from (key for key in Rule.__struct_fields__ if getattr(old, key) != getattr(new, key))
        if before.rule_files.get(old.name) != after.rule_files.get(new.name):
            yield "what its files hold"

    old = {rule.name: rule for rule in before.settings.rules}
    new = {rule.name: rule for rule in after.settings.rules}
    found = _changes(old, new, differences)
    kept = [name for name in new if name in old]
    if kept != [name for name in old if name in new]:
        found.append("~ their order")
    return found


def _target_differences(before: ConfiguredTarget, after: ConfiguredTarget) -> Iterator[str]:
    if before.secrets != after.secrets:
        yield "secrets"
    for name in Target.__struct_fields__:
        if name != "secrets" and getattr(before.target, name) != getattr(after.target, name):
            yield name


def _channel_differences(before: Channel, after: Channel) -> Iterator[str]:
    for name in Channel.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{name} {_value(old)} -> {_value(new)}"


def _by_name(of: Settings) -> dict[str, Channel]:
    return {channel.name: channel for channel in of.channels}


def _value(value: float | str) -> str:
    return (value or "none") if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    return f"{value:.12g}"
