"""What a batch of follow-ups reads beside its orders, and the rows that it writes."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from gateway.domain import events
from gateway.domain.asking import ActionAnswer, Refusal
from gateway.domain.events import Event
from gateway.domain.following import Done, FollowUp, OrderState, PaymentState, Step


class WaitingEvent(Struct):
    """An event that came before what it is about: a row of ``waiting``."""

    id: UUID
    provider: str
    source: str
    transaction_id: str
    channels: tuple[str, ...]
    order_no: str
    event: Event
    trigger: str
    received_at: datetime
    is_test: bool = False


class Context(Struct):
    """What a batch depends on beside its orders.

    ``payments``: all of its orders, of its transactions and of what waits, with their refunds and
    disputes; ``waiting``: events that wait for its orders or transactions; ``recorded``: those of
    its (source, source_key) that the history already has.
    """

    payments: list[PaymentState]
    waiting: list[WaitingEvent]
    recorded: set[tuple[str, str]]
    #: What actions of its (source, source_key) were answered.
    answers: dict[tuple[str, str], ActionAnswer] = {}
    #: Orders whose private part cannot be opened, among those that are to get another address.
    unreadable: frozenset[UUID] = frozenset()


class PaymentName(Struct):
    """A row of ``payment_names``: another number of a payment."""

    provider: str
    name: str
    payment_id: UUID


class HistoryRow(Struct):
    """A row of ``order_events``."""

    id: UUID
    order_id: UUID | None
    source: str
    source_key: str
    action: str
    from_status: str | None
    to_status: str | None
    outcome: str
    reason: str | None
    detail: str | None
    trigger: str
    occurred_at: datetime
    received_at: datetime
    #: Of an action: who did it, and who approved it.
    actor: str | None = None
    approved_by: str | None = None


class OutboxRow(Struct):
    """A row of ``outbox``."""

    id: UUID
    order_id: UUID
    version: int
    topic: str
    priority: int
    created_at: datetime


class ParkedRow(Struct):
    """A row of ``parked``. ``account``: who reported it; the numbers are those that it named."""

    id: UUID
    source: str
    source_key: str
    order_id: UUID | None
    reason: str
    detail: str
    received_at: datetime
    account: str
    order_no: str
    transaction_no: str


def history_row(
    entry: FollowUp | WaitingEvent,
    order: OrderState | None,
    step: Step,
    id_: UUID,
    key: tuple[str, str],
) -> HistoryRow:
    """Return the line of the history that ``step`` is."""
    asked = entry.asked if isinstance(entry, FollowUp) else None
    detail = step.detail
    if asked is not None and asked.reason != detail:
        detail = f"{detail}; {asked.reason}" if detail else asked.reason
    return HistoryRow(
        id=id_,
        order_id=order.id if order is not None else None,
        source=key[0],
        source_key=key[1],
        action=events.action(entry.event),
        from_status=step.from_status,
        to_status=step.to_status,
        outcome=step.outcome,
        reason=step.reason,
        detail=detail or None,
        trigger=entry.trigger,
        occurred_at=entry.event.occurred_at,
        received_at=entry.received_at,
        actor=asked.actor if asked else None,
        approved_by=asked.approved_by if asked else None,
    )


def done(
    step: Step,
    order: OrderState | None,
    *,
    is_new: bool = False,
    refusal: Refusal | None = None,
) -> Done:
    """Return the answer to an entry: its step, and the state of its order by then."""
    if order is None:
        return Done(step.outcome, reason=step.reason, is_new=is_new, refusal=refusal)
    state = order.status, order.version, order.hold
    return Done(step.outcome, order.id, step.reason, *state, is_new=is_new, refusal=refusal)
