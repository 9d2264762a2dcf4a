"""The settings of alerts, checked and turned into rules."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from gateway.domain.alerts import RULES, AlertRule, RuleChange, configured


class Setting(Protocol):
    """What the settings say of a rule; None: as it is by itself."""

    @property
    def name(self) -> str:
        """The rule."""

    @property
    def is_on(self) -> bool:
        """Whether it is an alert."""

    @property
    def threshold(self) -> float | None:
        """The figure at which it fires."""

    @property
    def for_s(self) -> float | None:
        """Seconds that it must have been there."""

    @property
    def channels(self) -> list[str] | None:
        """Where it goes."""

    @property
    def runbook(self) -> str | None:
        """The page that says what to do."""


def rules(settings: Iterable[Setting]) -> list[AlertRule]:
    """Return the rules that are on, as the settings have them."""
    changes = {
        each.name: RuleChange(
            is_on=each.is_on,
            threshold=each.threshold,
            for_s=each.for_s,
            channels=None if each.channels is None else tuple(each.channels),
            runbook=each.runbook,
        )
        for each in settings
    }
    return configured(changes)


def fault(settings: Sequence[Setting], channels: Sequence[str]) -> str:
    """Return what is wrong with the settings of the rules, in a sentence; "" where nothing is."""
    known = {rule.name for rule in RULES}
    seen: set[str] = set()
    for each in settings:
        if each.name not in known:
            return f"{each.name} is no alert; they are {', '.join(sorted(known))}"
        if each.name in seen:
            return f"{each.name} is listed twice"
        seen.add(each.name)
        if missing := set(each.channels or ()) - set(channels):
            return f"{each.name} names unknown channels {', '.join(sorted(missing))}"
    return ""
