"""What a person asks for: who, of which order, and why it is refused."""

import unicodedata
from typing import Literal, get_args
from uuid import UUID

from msgspec import Struct

from gateway.domain.orders import Hold, Status

#: What a person may do to an order: the last part of its route.
Action = Literal[
    "ship",
    "deliver",
    "close",
    "reopen",
    "cancel-parcel",
    "refund",
    "hold",
    "release",
    "make-up-payment",
    "amend",
    "address",
]
ACTIONS: tuple[Action, ...] = get_args(Action)

#: ``not_allowed``: the order is not such that it can be done, and time alone does not change that;
#: ``too_early``: something else must come first; ``unreadable``: its private part cannot be opened.
RefusalKind = Literal[
    "not_allowed", "too_early", "version_changed", "key_reused", "unreadable", "unknown"
]


class Asked(Struct, frozen=True):
    """Beside an event that a person asked for. The order's lock decides whether it may be applied.

    ``actor``: the name of the key, and its id; ``digest``: of what was asked, so that a key that
    is used again for something else is noticed; ``version``: the one that the order must have,
    None: any. ``is_trial``: nothing is changed, and the answer is what it would be.
    """

    action: Action
    order_id: UUID
    actor: str
    reason: str
    digest: str
    version: int | None = None
    approved_by: str | None = None
    is_trial: bool = False


class Refusal(Struct, frozen=True):
    """Why an action was not done. ``allowed``: what may be done to the order as it is."""

    kind: RefusalKind
    detail: str
    allowed: tuple[Action, ...] = ()


class ActionAnswer(Struct):
    """What an action was answered: a row of ``action_answers``, told to its repeats."""

    source: str
    source_key: str
    order_id: UUID
    digest: str
    status: Status
    version: int
    hold: Hold | None
    #: Why it was refused, where it was journaled before.
    refusal: str | None = None


def person(actor: str) -> str:
    """Return an actor's name without that of its key: two keys of one are one person.

    Nor do case, width and blanks make another one.
    """
    name = unicodedata.normalize("NFKC", actor.partition(" (")[0])
    return " ".join(name.casefold().split())
