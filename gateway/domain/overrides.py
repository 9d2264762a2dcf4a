"""Modes: what an operator said about a feature or a tier, for how long, and why.

``shed`` refuses it whatever the load, ``admit`` takes it whatever the load as far as memory and
slots go, ``early`` has a tier go dark at a lower load; without a mode the load decides. What was
said for now beats what was planned, and a word on one feature one on its tier. Every mode ends by
itself.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from msgspec import Struct

from gateway.domain.features import FEATURES, TIERS, Feature, Tier

Action = Literal["shed", "admit", "early"]
ACTIONS: tuple[Action, ...] = get_args(Action)

#: Seconds that a mode lasts where nothing else is said, and at most: one that is forgotten must
#: not outlive the shift of who set it.
DEFAULT_S = 1800.0
LONGEST_S = 4 * 3600.0
#: By how much more the load counts for a tier that is to go early.
EARLIER = 0.10
#: Seconds within which a second person must agree.
AGREE_S = 600.0
_REASON_CHARS_MAX = 200
_ACTOR_CHARS_MAX = 100
_DURATION = re.compile(r"(?:([0-9]{1,3})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6})s?)?$(?!\n)")


class InvalidOverride(ValueError):
    """What was asked makes no sense; the message names the field and the way out."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


class OverrideRequest(Struct, frozen=True):
    """What an operator wants: ``word`` for ``target`` (a feature, or ``tier0`` …) for ``for_s``."""

    target: str
    word: Action
    for_s: float
    reason: str
    actor: str


class Override(Struct, frozen=True):
    """A mode as it stands. ``left_s``: seconds until it ends, when it was read."""

    target: str
    word: Action
    reason: str
    actor: str
    left_s: float
    #: Who agreed, where a second person had to.
    second: str | None = None
    #: It waits for a second person and counts for nothing yet.
    is_asked: bool = False
    #: The plan that it is a step of, and the seconds until it begins.
    plan: str | None = None
    starts_s: float = 0.0


def targets() -> list[str]:
    """Return everything that a mode can be set on."""
    return [*(feature.name for feature in FEATURES), *(f"tier{tier}" for tier in TIERS)]


def features_of(target: str) -> list[Feature]:
    """Return the features of a target. Raises ``InvalidOverride`` for an unknown one."""
    found = [each for each in FEATURES if target in (each.name, f"tier{each.tier}")]
    if not found and target not in targets():
        raise InvalidOverride("target", f"must be one of {', '.join(targets())}")
    return found


def check(order: OverrideRequest) -> None:
    """Raise ``InvalidOverride`` for an order that can not be carried out."""
    features_of(order.target)
    if order.word not in ACTIONS:
        raise InvalidOverride("mode", f"must be one of {', '.join(ACTIONS)}")
    if not 1 <= order.for_s <= LONGEST_S:
        raise InvalidOverride("for_s", f"must be from 1 to {LONGEST_S:.0f} seconds")
    check_early(order.target, order.word)
    for name, text, longest in (
        ("reason", order.reason, _REASON_CHARS_MAX),
        ("actor", order.actor, _ACTOR_CHARS_MAX),
    ):
        if not text.strip() or len(text) > longest or not text.isprintable():
            raise InvalidOverride(name, f"must have 1 to {longest} printable characters")


def check_early(target: str, word: Action) -> None:
    """Raise ``InvalidOverride`` where ``early`` names no whole tier that the load figure moves."""
    if word == "early" and target not in (f"tier{tier}" for tier in TIERS if tier > 1):
        raise InvalidOverride("mode", "early can be said of tier2 and the tiers above it alone")


def needs_second(target: str, word: Action) -> bool:
    """Say whether one person alone may not order this: nobody sheds orders and payments alone."""
    return word == "shed" and any(feature.is_core for feature in features_of(target))


def words(modes: Iterable[Override]) -> dict[str, Action]:
    """Return what is said of each feature by its name; one that nothing is said of is missing."""
    said: dict[str, Action] = {}
    for mode in _standing(modes):
        for feature in FEATURES:
            if mode.target in (feature.name, f"tier{feature.tier}"):
                said[feature.name] = mode.word
    return said


def _standing(modes: Iterable[Override]) -> list[Override]:
    """Return the modes that count now; the stronger word comes later."""
    now = [m for m in modes if not m.is_asked and m.left_s > 0 and m.starts_s <= 0]
    return sorted(now, key=lambda m: (m.plan is None, not m.target.startswith("tier")))


def early(words: Mapping[str, Action]) -> frozenset[Tier]:
    """Return the tiers that are to go early: of which nothing else is said by now."""
    return frozenset(each.tier for each in FEATURES if words.get(each.name) == "early")


def seconds(text: str) -> float:
    """Read ``30m``, ``1h30m`` or ``90``. Raises ``InvalidOverride``."""
    match = _DURATION.match(text.strip().lower())
    if match is None or not any(match.groups()):
        raise InvalidOverride("for", "is written like 30m, 1h30m or 90s")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + rest)
