"""Overrides: what an operator decides about a feature or a tier, for how long, and why.

``shed`` rejects it whatever the load; ``admit`` admits it whatever the load, within memory and the
concurrency limit; ``early`` has a tier shed at a lower load. Without an override the load decides.
An immediate override beats a planned one, and one of a feature beats one of its tier. Every
override ends by itself.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from msgspec import Struct, field

from gateway.domain.features import FEATURES, TIERS, Feature, Tier

Action = Literal["shed", "admit", "early"]
ACTIONS: tuple[Action, ...] = get_args(Action)

#: Seconds that an override lasts by default, and at most: one that is forgotten must not outlive
#: the shift of the operator who set it.
DEFAULT_S = 1800.0
DURATION_S_MAX = 4 * 3600.0
#: By how much lower a load a tier sheds under ``early``.
EARLY_MARGIN = 0.10
#: Seconds within which a second person must approve.
APPROVAL_S = 600.0
_REASON_CHARS_MAX = 200
_ACTOR_CHARS_MAX = 100
_DURATION = re.compile(r"(?:([0-9]{1,3})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6})s?)?$(?!\n)")


class InvalidOverride(ValueError):
    """The request cannot be carried out; the message names the field and what it must be."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


class OverrideRequest(Struct, frozen=True):
    """What an operator asks for: ``action`` on ``target`` for ``for_s`` seconds.

    ``target``: the name of a feature, or ``tier0`` to ``tier4``.
    """

    target: str
    action: Action
    for_s: float
    reason: str
    actor: str


class Override(Struct, frozen=True):
    """An override. ``left_s``: seconds until it ends, as of when it was read.

    Published and stored in JSON: its wire names stay.
    """

    target: str
    action: Action = field(name="word")
    reason: str
    actor: str
    left_s: float
    #: Who approved it, where a second person had to.
    approved_by: str | None = field(name="second", default=None)
    #: It waits for the approval of a second person and is not active.
    is_pending: bool = field(name="is_asked", default=False)
    #: The plan that it is a step of, and the seconds until it begins.
    plan: str | None = None
    starts_s: float = 0.0

    def is_active(self) -> bool:
        """Return whether it counts, as of when it was read."""
        return not self.is_pending and self.left_s > 0 and self.starts_s <= 0


def targets() -> list[str]:
    """Return everything that an override can be set on."""
    return [*(feature.name for feature in FEATURES), *(f"tier{tier}" for tier in TIERS)]


def features_of(target: str) -> list[Feature]:
    """Return the features of a target. Raises ``InvalidOverride`` for an unknown one."""
    found = [each for each in FEATURES if target in (each.name, f"tier{each.tier}")]
    if not found and target not in targets():
        raise InvalidOverride("target", f"must be one of {', '.join(targets())}")
    return found


def check(request: OverrideRequest) -> None:
    """Raise ``InvalidOverride`` for a request that cannot be carried out."""
    features_of(request.target)
    if request.action not in ACTIONS:
        raise InvalidOverride("mode", f"must be one of {', '.join(ACTIONS)}")
    if not 1 <= request.for_s <= DURATION_S_MAX:
        raise InvalidOverride("for_s", f"must be from 1 to {DURATION_S_MAX:.0f} seconds")
    check_early(request.target, request.action)
    for name, text, chars_max in (
        ("reason", request.reason, _REASON_CHARS_MAX),
        ("actor", request.actor, _ACTOR_CHARS_MAX),
    ):
        if not text.strip() or len(text) > chars_max or not text.isprintable():
            raise InvalidOverride(name, f"must have 1 to {chars_max} printable characters")


def check_early(target: str, action: Action) -> None:
    """Raise ``InvalidOverride`` where ``early`` names no whole tier that the load figure sheds."""
    if action == "early" and target not in (f"tier{tier}" for tier in TIERS if tier > 1):
        raise InvalidOverride("mode", "early applies to whole tiers from tier2 on")


def needs_approval(target: str, action: Action) -> bool:
    """Return whether a second person must approve: one person alone may not shed the core."""
    return action == "shed" and any(feature.is_core for feature in features_of(target))


def active_actions(overrides: Iterable[Override]) -> dict[str, Action]:
    """Return the action on each feature by its name; one without an active override is missing."""
    active = sorted(
        (each for each in overrides if each.is_active()),
        # The stronger one comes later.
        key=lambda each: (each.plan is None, not each.target.startswith("tier")),
    )
    return {
        feature.name: override.action
        for override in active
        for feature in FEATURES
        if override.target in (feature.name, f"tier{feature.tier}")
    }


def early_tiers(actions: Mapping[str, Action]) -> frozenset[Tier]:
    """Return the tiers with a feature whose action is ``early``: they shed at a lower load."""
    return frozenset(each.tier for each in FEATURES if actions.get(each.name) == "early")


def parse_duration_s(text: str) -> float:
    """Return the seconds of ``30m``, ``1h30m`` or ``90``. Raises ``InvalidOverride``."""
    match = _DURATION.match(text.strip().lower())
    if match is None or not any(match.groups()):
        raise InvalidOverride("for", "must be like 30m, 1h30m or 90s")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + rest)
