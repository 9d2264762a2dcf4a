"""Changes of overrides made on one machine, and their merge with those of the ledger. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct, field

from gateway.domain.overrides import Action, Override


class OverrideChange(Struct, frozen=True):
    """One change, made ``at`` that time for ``for_s`` seconds. Stored as JSON: wire names stay.

    ``action`` None: the override of the target ends, and the load decides again.
    """

    target: str
    action: Action | None = field(name="word")
    for_s: float
    reason: str
    at: datetime
    #: The owner of the file it was read from; what the file itself names is ignored.
    actor: str = ""

    def override(self, now: datetime) -> Override | None:
        """Return the override that it makes, with the seconds left; None where it ends one."""
        if self.action is None:
            return None
        left_s = self.for_s - max(0.0, (now - self.at).total_seconds())
        return Override(self.target, self.action, self.reason, self.actor, min(left_s, self.for_s))


def merge(
    known: Sequence[Override], changes: Iterable[OverrideChange], now: datetime
) -> list[Override]:
    """Return the ledger's overrides with this machine's changes applied in order of time.

    A change replaces the immediate override of its target; steps of plans, and what is pending
    approval, stay beside it.
    """
    merged = {(each.target, each.is_pending, _step(each)): each for each in known}
    for change in sorted(changes, key=lambda change: change.at):
        override = change.override(now)
        merged.pop((change.target, False, None), None)
        if override is not None and override.left_s > 0:
            merged[change.target, False, None] = override
    return list(merged.values())


def _step(override: Override) -> tuple[str, float] | None:
    return None if override.plan is None else (override.plan, override.starts_s)
