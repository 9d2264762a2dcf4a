"""Exceptions: what stops an order from going its way and needs a person, classified and owned.

A case is opened by what is wrong in the ledger (a hold, a parked row, an order that stays part
paid) or by a person. It has a class, an owner and a deadline. It ends when its cause ends, or when
a person resolves it; a cause that comes back opens the same case again, which is a relapse.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol, get_args
from uuid import UUID

from msgspec import Struct

from gateway.domain.orders import Hold

ExceptionClass = Literal[
    "payment_timeout",  # paid in part, and the rest does not come
    "payment_mismatch",  # money that does not fit its order
    "unknown_order",  # an event whose order is not known
    "bad_address",
    "out_of_stock",
    "suspected_fraud",
    "invoice",
    "dispute",
    "hand_off",  # paid, and the warehouse does not have it
    "unreadable",  # a message that could not be applied or stored
    "other",
]
CLASSES: tuple[ExceptionClass, ...] = get_args(ExceptionClass)

#: Where a case comes from. Those of a person have no cause that could end by itself.
Source = Literal["hold", "parked", "part_paid", "dead_letter", "scan", "person"]

#: What a hold means. Holds that the table lacks are ``other``.
_HOLD_CLASSES: Mapping[Hold, ExceptionClass] = {
    "lookalike": "suspected_fraud",
    "suspected_brushing": "suspected_fraud",
    "by_person": "other",
    "disputed": "dispute",
    "refund_owed": "payment_mismatch",
    "amount_mismatch": "payment_mismatch",
    "overpaid": "payment_mismatch",
    "duplicate_payment": "payment_mismatch",
}
#: What the reason of a parked row means. Reasons that the table lacks are ``other``.
_PARKED_CLASSES: Mapping[str, ExceptionClass] = {
    "unknown_order": "unknown_order",
    "amount_mismatch": "payment_mismatch",
    "duplicate_payment": "payment_mismatch",
    "overpaid": "payment_mismatch",
    "paid_after_close": "payment_mismatch",
    "refund_exceeds_payment": "payment_mismatch",
    "refund_failed": "payment_mismatch",
    "impossible_transition": "unreadable",
    "held": "unreadable",
    "action_refused": "unreadable",
    "unmapped": "unreadable",
    "poison": "unreadable",
}
#: What a finding of the nightly scan means.
_SCAN_CLASSES: Mapping[str, ExceptionClass] = {
    "payment_without_order": "unknown_order",
    "waiting_too_long": "unknown_order",
    "sum_differs": "payment_mismatch",
    "double_payment": "payment_mismatch",
    "refund_overdue": "payment_mismatch",
    "not_handed_on": "hand_off",
}
_SOURCE_CLASSES: Mapping[Source, ExceptionClass] = {
    "part_paid": "payment_timeout",
    "dead_letter": "hand_off",
}

Entry = Literal["opened", "reopened", "assigned", "deadline", "escalated", "commented", "resolved"]


class ClassPolicy(Struct, frozen=True):
    """How cases of a class are treated. ``owner`` empty: nobody until a person takes it.

    ``deadline_s``: from when a case is opened until it is overdue. An overdue case is escalated:
    it goes to ``escalate_to`` (empty: its owner stays).
    """

    owner: str = ""
    deadline_s: int = 24 * 3600
    escalate_to: str = ""


Policies = Mapping[ExceptionClass, ClassPolicy]

_DEFAULT = ClassPolicy()


class Cause(Struct, frozen=True):
    """What is wrong in the ledger now. ``key`` is the cause's own, and the same when it returns."""

    source: Source
    key: str
    reason: str
    detail: str
    order_id: UUID | None
    order_no: str
    channel: str
    #: Until when something must be done by others' rules: the evidence of a dispute.
    due_at: datetime | None = None


class NewCase(Struct, frozen=True):
    """A case to be opened, or opened again where the ledger has one of this source and key."""

    id: UUID
    kind: ExceptionClass
    cause: Cause
    owner: str
    opened_at: datetime
    due_at: datetime


class Configured(Protocol):
    """The settings of a class."""

    @property
    def name(self) -> ExceptionClass:
        """The class."""

    @property
    def owner(self) -> str:
        """Who owns its cases first."""

    @property
    def deadline_h(self) -> float:
        """Hours until they are overdue."""

    @property
    def escalate_to(self) -> str:
        """Who owns them then."""


def configured(tables: Iterable[Configured]) -> Policies:
    """Return the policies of the classes that the settings name."""
    return {
        each.name: ClassPolicy(each.owner, round(each.deadline_h * 3600), each.escalate_to)
        for each in tables
    }


def class_of(cause: Cause) -> ExceptionClass:
    """Return the class of what is wrong."""
    if cause.source in _SOURCE_CLASSES:
        return _SOURCE_CLASSES[cause.source]
    if cause.source == "scan":
        return _SCAN_CLASSES.get(cause.reason, "other")
    if cause.source == "parked":
        return _PARKED_CLASSES.get(cause.reason, "other")
    found = next((kind for hold, kind in _HOLD_CLASSES.items() if hold == cause.reason), None)
    return found or ("suspected_fraud" if cause.reason.startswith("screened") else "other")


def policy_of(kind: ExceptionClass, policies: Policies) -> ClassPolicy:
    """Return how a class is treated; a class that is not configured has the defaults."""
    return policies.get(kind, _DEFAULT)


def open_case(
    cause: Cause, kind: ExceptionClass, *, id_: UUID, now: datetime, policies: Policies
) -> NewCase:
    """Return the case of a cause. A deadline of others that is earlier than ours is the deadline.

    One that is over already makes the case overdue at once, which is what it is.
    """
    policy = policy_of(kind, policies)
    due_at = now + timedelta(seconds=policy.deadline_s)
    if cause.due_at is not None:
        due_at = min(due_at, cause.due_at)
    return NewCase(id_, kind, cause, policy.owner, now, due_at)


class ClassReport(Struct, frozen=True):
    """The cases of a class. Ages are of the open ones, times of those resolved in the window."""

    kind: str
    open: int
    overdue: int
    oldest_s: float
    median_age_s: float
    opened: int
    resolved: int
    relapses: int
    median_resolved_s: float


class ClosedCase(Struct, frozen=True):
    """The times of a case that the report needs; ``resolved_at`` None: it is open."""

    kind: str
    opened_at: datetime
    due_at: datetime
    resolved_at: datetime | None
    relapses: int


def report(cases: Sequence[ClosedCase], *, since: datetime, now: datetime) -> list[ClassReport]:
    """Return a row for each class that has cases, in the order of the classes.

    ``cases``: the open ones, and those that were resolved at or after ``since``.
    """
    return [
        _row(kind, mine, since=since, now=now)
        for kind in CLASSES
        if (mine := [case for case in cases if case.kind == kind])
    ]


def _row(kind: str, cases: Sequence[ClosedCase], *, since: datetime, now: datetime) -> ClassReport:
    open_ = [case for case in cases if case.resolved_at is None]
    ages = [(now - case.opened_at).total_seconds() for case in open_]
    took = [
        (case.resolved_at - case.opened_at).total_seconds()
        for case in cases
        if case.resolved_at is not None
    ]
    return ClassReport(
        kind=kind,
        open=len(open_),
        overdue=sum(case.due_at <= now for case in open_),
        oldest_s=max(ages, default=0.0),
        median_age_s=_median(ages),
        opened=sum(case.opened_at >= since for case in cases),
        resolved=len(took),
        relapses=sum(case.relapses for case in cases),
        median_resolved_s=_median(took),
    )


def _median(values: Sequence[float]) -> float:
    ordered, middle = sorted(values), len(values) // 2
    if not ordered:
        return 0.0
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
