"""Plans: overrides for a sale, planned step by step beforehand, under a name."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct, field

from gateway.domain import overrides
from gateway.domain.overrides import Action, InvalidOverride, OverrideRequest

STEPS_MAX = 50
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
_NAME = re.compile(NAME_PATTERN)
#: How far ahead a sale is planned; what lies further is a typing error.
_AHEAD_MAX = timedelta(days=366)


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step: ``mode`` on ``target`` from ``from_at`` until ``until``, four hours at most."""

    target: str
    action: Action = field(name="mode")
    from_at: datetime
    until: datetime
    reason: str


class Plan(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Steps under a name."""

    name: str
    steps: Sequence[Step]


def check(plan: Plan, now: datetime) -> None:
    """Raise ``InvalidOverride``, naming the field, for a plan that cannot be carried out."""
    if not _NAME.fullmatch(plan.name):
        raise InvalidOverride("name", "must be of a-z, 0-9, - and _, 64 characters at most")
    if not 1 <= len(plan.steps) <= STEPS_MAX:
        raise InvalidOverride("steps", f"must be 1 to {STEPS_MAX}")
    for number, step in enumerate(plan.steps):
        try:
            _check_step(step, now)
            _check_overlap(step, plan.steps[:number])
        except InvalidOverride as exc:
            raise InvalidOverride(f"steps[{number}].{exc.field}", exc.reason) from None


def _check_step(step: Step, now: datetime) -> None:
    for name, at in (("from_at", step.from_at), ("until", step.until)):
        if at.tzinfo is None:
            raise InvalidOverride(name, "must have its zone, as in 2026-11-27T20:00:00+08:00")
    if step.until <= step.from_at:
        raise InvalidOverride("until", "must be after from_at")
    if (step.until - step.from_at).total_seconds() > overrides.DURATION_S_MAX:
        hours = overrides.DURATION_S_MAX / 3600
        raise InvalidOverride(
            "until", f"must be {hours:g} hours after from_at at most; add another step"
        )
    if step.until <= now:
        raise InvalidOverride("until", "is in the past")
    if step.from_at > now + _AHEAD_MAX:
        raise InvalidOverride("from_at", "is more than a year ahead")
    lasts_s = max(1.0, (step.until - step.from_at).total_seconds())
    overrides.check(OverrideRequest(step.target, step.action, lasts_s, step.reason, "-"))
    if overrides.needs_approval(step.target, step.action):
        raise InvalidOverride("target", "is core: a plan cannot shed orders or payments")


def _check_overlap(step: Step, others: Sequence[Step]) -> None:
    for other in others:
        is_apart = step.until <= other.from_at or step.from_at >= other.until
        if step.target == other.target and not is_apart:
            raise InvalidOverride("from_at", f"overlaps another step of {step.target}")
