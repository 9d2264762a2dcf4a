"""What is parked for a person: why, what to do about it, and whether decoding it anew may help."""

from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from msgspec import Struct

from gateway.domain.following import ParkReason

#: Rows that are open, that were closed, or both.
State = Literal["open", "resolved", "all"]
STATES: tuple[State, ...] = get_args(State)


class ReasonText(Struct, frozen=True):
    """A reason to park, for people. ``meaning``: what it is; ``action``: what to do next.

    ``is_replayable``: what the message tells is not booked, so that a corrected adapter, account or
    channel may judge it otherwise. Of the others the money is booked as it was told: a person has
    to send it back.
    """

    meaning: str
    action: str
    is_replayable: bool


_REFUND = "refund it at the provider; its message about the refund corrects the order"

REASONS: dict[ParkReason, ReasonText] = {
    "amount_mismatch": ReasonText(
        "a payment of another amount where the channel takes no parts, in another currency, or "
        "told again with another amount",
        'if parts are usual in this channel, set `parts = "accept"`, reload and replay; else '
        "refund it in full and let the buyer pay anew. If one transaction was told with two "
        "amounts, ask the provider which is true",
        True,
    ),
    "paid_after_close": ReasonText(
        "a payment for an order that was closed; it is held as `refund_owed`", _REFUND, False
    ),
    "duplicate_payment": ReasonText(
        "a second payment of a paid order, or one that is told for two orders",
        f"`detail` says which of both it is; {_REFUND}",
        False,
    ),
    "overpaid": ReasonText(
        "the last part was more than was still due",
        "refund the surplus that `detail` names at the provider",
        False,
    ),
    "refund_exceeds_payment": ReasonText(
        "more went back than was paid, which counts up to that; or another currency went back",
        "look the refund up at the provider: it was made twice, or belongs to another payment",
        False,
    ),
    "refund_failed": ReasonText(
        "a refund did not reach the buyer",
        "refund again at the provider, with the cause removed (a closed card, say). If the money "
        "goes back another way, keep the proof with the row: the order goes on showing it as owed",
        False,
    ),
    "impossible_transition": ReasonText(
        "the status does not allow it: shipped after a cancel, another price after the payment; "
        "or what must come before it did not come in time",
        "stop or return the parcel, refund what is due to the buyer; replay it if the order has "
        "changed since, else resolve it",
        True,
    ),
    "unknown_order": ReasonText(
        "its order did not come in time, or no single order has that tracking number",
        "find the order: another channel than the account's, a test order, a number written "
        "differently; correct the account's channels, reload and replay. It goes on waiting",
        True,
    ),
    "held": ReasonText(
        "a parcel left, or arrived, though the order is held",
        "the hold did not reach the warehouse: stop the parcel, or end the hold; it is applied "
        "then",
        True,
    ),
    "action_refused": ReasonText(
        "what a person did while PostgreSQL was unavailable (`202`), and was not allowed when its "
        "turn came; `detail` says why, the history who",
        "tell them; if it is still wanted, do it again now, and resolve the row",
        False,
    ),
    "unmapped": ReasonText(
        "a genuine message that is not booked: `detail` says why, the provider's page what is not",
        "do what `detail` asks for at the provider and resolve it; or correct the account, or "
        "upgrade, and replay",
        True,
    ),
    "poison": ReasonText(
        "the database cannot store this one entry, or an entry of the journal cannot be read or "
        "contradicts a stored order",
        "find the cause first (`detail`, and the runbook about faults); then replay. Of two orders "
        "that contradict each other, a person chooses one and resolves the row",
        True,
    ),
}


class Parked(Struct, frozen=True):
    """A row of ``parked`` as people see it, without its message.

    ``source``: the account, or where else it came from; ``order_no``: the number that the message
    names, or that of its order. ``resolution``: why it was closed; None and closed: by itself, when
    what it told was applied. ``replays``: how often it was decoded anew and judged again.
    """

    id: UUID
    reason: str
    detail: str
    source: str
    order_no: str
    transaction_no: str
    order_id: UUID | None
    received_at: datetime
    assignee: str | None
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None
    replays: int
    replayed_at: datetime | None


class Filter(Struct, frozen=True):
    """Which parked rows are meant; what is None or empty does not narrow.

    ``account`` is ``<provider>`` or ``<provider>:<account>``; ``order`` the number of an order, its
    id, or the number of a transaction; ``before`` and ``after`` are times of arrival.
    """

    state: State = "open"
    reason: str | None = None
    account: str | None = None
    order: str | None = None
    assignee: str | None = None
    before: datetime | None = None
    after: datetime | None = None
    ids: tuple[UUID, ...] = ()


class ReasonCount(Struct, frozen=True):
    """How many rows of a filter were parked for a reason, and since when the oldest of them is."""

    reason: str
    rows: int
    oldest_at: datetime


def text_of(reason: str) -> ReasonText:
    """Return the text of a reason, also of one that a later version wrote."""
    for known, text in REASONS.items():
        if known == reason:
            return text
    return ReasonText("a reason of another version", "see that version's runbook", False)
