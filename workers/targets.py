"""The targets of a worker: as they are configured, each with the sender that was made for it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from gateway.domain.handoff import Sender
from gateway.domain.handoff_decisions import RetryRule, Subscription
from gateway.runtime import reload_plan, settings
from gateway.runtime.reload_plan import ConfiguredTarget
from gateway.runtime.settings_targets import Target

#: Makes the sender of a target; opens nothing. Raises ``SettingsError``.
BuildSender = Callable[[Target], Sender]


class OpenTarget(Struct, frozen=True):
    """A target and its sender. ``secrets``: digests of all that the sender was made with."""

    target: Target
    secrets: tuple[bytes, ...]
    sender: Sender


class Targets:
    """The targets that are in force. ``changed`` is set whenever they are replaced."""

    def __init__(self, now: Mapping[str, OpenTarget]) -> None:
        self.now = now
        self.changed = asyncio.Event()

    def use(self, now: Mapping[str, OpenTarget]) -> None:
        """Put these into force."""
        self.now = now
        self.changed.set()


def build(
    targets: Sequence[Target], make: BuildSender, *, before: Mapping[str, OpenTarget]
) -> dict[str, OpenTarget]:
    """Return the targets by name, with the senders of ``before`` where nothing differs.

    Reads the secrets. Raises ``SettingsError``; then nothing was opened.
    """
    made = {}
    for target in targets:
        digests = tuple(reload_plan.digest(settings.secret(each)) for each in _references(target))
        old = before.get(target.name)
        if old is not None and (old.target, old.secrets) == (target, digests):
            made[target.name] = old
        else:
            made[target.name] = OpenTarget(target, digests, make(target))
    return made


def _references(target: Target) -> list[str]:
    named = [*target.secrets, target.url, *map(str, target.options.values())]
    return [each for each in named if each.startswith(("env:", "file:"))]


def configured(targets: Mapping[str, OpenTarget]) -> dict[str, ConfiguredTarget]:
    """Return what two configurations are compared by."""
    return {name: ConfiguredTarget(each.target, each.secrets) for name, each in targets.items()}


def subscription(target: Target) -> Subscription:
    """Return what a target wants to be told of."""
    return Subscription(
        topics=frozenset(target.topics),
        channels=frozenset(target.channels),
        regions=frozenset(tuple(region.split("/")) for region in target.regions),
        is_test=target.is_test,
    )


def retry_rule(target: Target) -> RetryRule:
    """Return how often and how soon a target is tried again."""
    return RetryRule(target.attempts_max, target.retry_first_s, target.retry_max_s)
