"""Exceptions: what a cause is classified as, when its case is due, and what the report counts."""

from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest

from gateway.domain import exception_cases
from gateway.domain.exception_cases import CLASSES, Cause, ClassPolicy, ClosedCase
from gateway.domain.following import ParkReason
from gateway.domain.orders import Hold
from gateway.runtime.settings_exceptions import ExceptionPolicy
from tests.domain.support import NOW

HOUR = timedelta(hours=1)


def cause(source: Any, reason: str, due_at: datetime | None = None) -> Cause:
    return Cause(source, "k", reason, "", None, "W-1", "web", due_at)


@pytest.mark.parametrize(
    ("source", "reason", "kind"),
    [
        ("hold", "disputed", "dispute"),
        ("hold", "suspected_brushing", "suspected_fraud"),
        ("hold", "overpaid", "payment_mismatch"),
        ("parked", "unknown_order", "unknown_order"),
        ("parked", "amount_mismatch", "payment_mismatch"),
        ("parked", "poison", "unreadable"),
        ("parked", "never heard of", "other"),
        ("part_paid", "part_paid", "payment_timeout"),
        ("dead_letter", "order.paid", "hand_off"),
    ],
)
def test_a_cause_has_a_class(source: str, reason: str, kind: str) -> None:
    assert exception_cases.class_of(cause(source, reason)) == kind


def test_every_hold_but_that_of_a_person_has_a_class_of_its_own_kind() -> None:
    for hold in set(get_args(Hold)) - {"by_person"}:
        assert exception_cases.class_of(cause("hold", hold)) != "other", hold


def test_every_reason_to_park_has_a_class_of_its_own_kind() -> None:
    for reason in get_args(ParkReason):
        assert exception_cases.class_of(cause("parked", reason)) != "other", reason
    assert exception_cases.class_of(cause("parked", "overpaid")) == "payment_mismatch"


def test_the_settings_know_the_same_classes() -> None:
    (field,) = (f for f in ExceptionPolicy.__struct_fields__ if f == "name")
    assert set(get_args(ExceptionPolicy.__annotations__[field])) == set(CLASSES)


def opened(cause_: Cause, policies: exception_cases.Policies) -> exception_cases.NewCase:
    return exception_cases.open_case(
        cause_, exception_cases.class_of(cause_), id_=UUID(int=1), now=NOW, policies=policies
    )


def test_a_case_is_owned_and_due_as_its_class_says() -> None:
    policies = exception_cases.configured([ExceptionPolicy("dispute", "finance", 6.0, "head")])
    assert policies == {"dispute": ClassPolicy("finance", 6 * 3600, "head")}
    case = opened(cause("hold", "disputed"), policies)
    assert (case.owner, case.due_at) == ("finance", NOW + 6 * HOUR)
    other = opened(cause("hold", "overpaid"), policies)
    assert (other.owner, other.due_at) == ("", NOW + 24 * HOUR)


def test_evidence_that_is_due_sooner_is_the_deadline_and_one_that_is_later_is_not() -> None:
    assert opened(cause("hold", "disputed", NOW + HOUR), {}).due_at == NOW + HOUR
    assert opened(cause("hold", "disputed", NOW - HOUR), {}).due_at == NOW - HOUR
    assert opened(cause("hold", "disputed", NOW + 90 * HOUR), {}).due_at == NOW + 24 * HOUR


def test_the_report_counts_each_class() -> None:
    def case(kind: str, age_h: int, *, took_h: int | None = None, relapses: int = 0) -> ClosedCase:
        opened_at = NOW - age_h * HOUR
        resolved_at = None if took_h is None else opened_at + took_h * HOUR
        return ClosedCase(kind, opened_at, opened_at + 24 * HOUR, resolved_at, relapses)

    rows = exception_cases.report(
        [
            case("dispute", 30, relapses=2),
            case("dispute", 2),
            case("dispute", 4),
            case("invoice", 50, took_h=10),
            case("invoice", 20, took_h=2),
        ],
        since=NOW - 40 * HOUR,
        now=NOW,
    )
    # In the order of the classes; the median of an even count lies between its middle two.
    invoice, dispute = rows
    assert (dispute.kind, dispute.open, dispute.overdue, dispute.relapses) == ("dispute", 3, 1, 2)
    assert (dispute.oldest_s, dispute.median_age_s) == (30 * 3600, 4 * 3600)
    assert (dispute.opened, dispute.resolved, dispute.median_resolved_s) == (3, 0, 0)
    assert (invoice.open, invoice.opened, invoice.resolved) == (0, 1, 2)
    assert invoice.median_resolved_s == 6 * 3600
    assert exception_cases.report([], since=NOW, now=NOW) == []
