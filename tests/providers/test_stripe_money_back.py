"""What Stripe's adapter makes of refunds, of those that failed, and of disputes."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events, following, refunds
from gateway.providers import contract

from .stripe_samples import ADAPTER, CHARGE, CREATED, DISPUTE, INTENT, REFUND, event, signed
from .support import read_one

PI, CH = INTENT["id"], CHARGE["id"]


def read(kind: str, snapshot: Any) -> events.Event:
    return read_one(ADAPTER, signed(event(kind, snapshot)))


def refunded(amount: str, **changes: Any) -> events.RefundSucceeded:
    told: dict[str, Any] = {
        "transaction_id": PI,
        "order_no": "SO-1001",
        "refund_no": "",
        "cumulative": True,
        "currency": "USD",
        "occurred_at": CREATED,
    }
    return events.RefundSucceeded(amount=Decimal(amount), **(told | changes))


def test_refund() -> None:
    """A refunded charge says how much of its intent went back so far."""
    assert read("charge.refunded", CHARGE) == refunded("9.00")


def test_refund_of_a_bare_charge() -> None:
    """A charge without an intent and without metadata is its own transaction."""
    charge = CHARGE | {"payment_intent": None, "metadata": {}}
    assert read("charge.refunded", charge) == refunded("9.00", transaction_id=CH, order_no="")


#: Authorised, captured, counted as refunded by Stripe, whether it is captured: what is booked.
#: Numbers are cents; None is a field that a version does not have.
RELEASED = [
    (20675, 20300, 375, True, None),
    (20675, 20300, 675, True, "3.00"),
    (20675, 20300, 20675, True, "203.00"),
    (20675, 20300, 376, None, "0.01"),
    (20300, 20300, 300, True, "3.00"),
    (20300, 20300, 20300, True, "203.00"),
    # Captured more than was authorised first: nothing was released.
    (20000, 20300, 20300, True, "203.00"),
    # Never captured: cancelled, or expired.
    (20675, 0, 20675, False, None),
    (20675, None, 20675, False, None),
    (20675, 0, 375, False, None),
    # Versions without amount_captured.
    (20300, None, 300, True, "3.00"),
    (20300, None, 300, None, "3.00"),
    (None, None, 300, None, "3.00"),
    (None, 20300, 300, True, "3.00"),
]


@pytest.mark.parametrize(("authorised", "captured", "total", "is_captured", "booked"), RELEASED)
def test_what_was_never_captured_is_never_refunded(
    authorised: int | None,
    captured: int | None,
    total: int,
    is_captured: bool | None,
    booked: str | None,
) -> None:
    charge = CHARGE | {
        "amount": authorised,
        "amount_captured": captured,
        "amount_refunded": total,
        "captured": is_captured,
    }
    noted = events.Noted("charge.refunded", CREATED)
    assert read("charge.refunded", charge) == (noted if booked is None else refunded(booked))


@given(
    st.integers(1, 10**9).flatmap(
        lambda captured: st.tuples(
            st.just(captured), st.integers(0, 10**9), st.integers(0, captured)
        )
    )
)
def test_any_release_and_refund_add_up(told: tuple[int, int, int]) -> None:
    captured, released, returned = told
    charge = CHARGE | {
        "amount": captured + released,
        "amount_captured": captured,
        "amount_refunded": released + returned,
    }
    found = read("charge.refunded", charge)
    if returned:
        assert isinstance(found, events.RefundSucceeded)
        assert found.amount == Decimal(returned) / 100
    else:
        assert isinstance(found, events.Noted if released else events.Unmapped)


def test_a_total_below_what_was_released_is_not_guessed() -> None:
    """Stripe may still capture another part of it, and then the total is all of refunds."""
    charge = CHARGE | {"amount": 20675, "amount_captured": 20300, "amount_refunded": 300}
    found = read("charge.refunded", charge)
    assert isinstance(found, events.Unmapped)
    assert (found.order_no, found.detail) == (
        "SO-1001",
        "refunded less than what was never captured",
    )


@pytest.mark.parametrize(
    ("code", "authorised", "captured", "total", "booked"),
    [("jpy", 1000, 900, 400, "300"), ("isk", 100000, 90000, 40000, "300"),
     ("kwd", 20675, 20300, 675, "0.300")],
)  # fmt: skip
def test_a_release_in_other_units(
    code: str, authorised: int, captured: int, total: int, booked: str
) -> None:
    told = {"amount": authorised, "amount_captured": captured, "amount_refunded": total}
    found = read("charge.refunded", CHARGE | told | {"currency": code})
    assert found == refunded(booked, currency=code.upper())


@pytest.mark.parametrize("kind", ["charge.refunded", "refund.failed", "charge.dispute.created"])
def test_the_shop_s_currency_counts(kind: str) -> None:
    samples: dict[str, Any] = {"charge.refunded": CHARGE, "refund.failed": REFUND}
    told: dict[str, Any] = samples.get(kind, DISPUTE)
    buyers = {"presentment_amount": 821, "presentment_currency": "eur"}
    presented: dict[str, Any] = {"presentment_details": buyers}
    assert read(kind, told | presented) == read(kind, told)


#: The events of a refund, and every documented status.
OF_REFUNDS = ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"]
STATUSES = [
    ("pending", False),
    ("requires_action", False),
    ("succeeded", False),
    ("failed", True),
    ("canceled", True),
]
FAILED = events.RefundFailed(
    transaction_id=PI,
    order_no="",
    refund_no=REFUND["id"],
    amount=Decimal("9.00"),
    cumulative=True,
    currency="USD",
    occurred_at=CREATED,
)


@pytest.mark.parametrize("kind", OF_REFUNDS)
@pytest.mark.parametrize(("status", "is_failed"), STATUSES)
def test_every_status_of_a_refund(kind: str, status: str, is_failed: bool) -> None:
    """One that failed or was cancelled is taken back; the charge's total tells of the others."""
    found = read(kind, REFUND | {"status": status})
    if is_failed:
        assert found == FAILED
    elif kind == "refund.failed":
        assert isinstance(found, events.Unmapped)
    else:
        assert found == events.Noted(kind, CREATED)


@pytest.mark.parametrize("status", ["reversed", None, 7, "two words"])
def test_an_unknown_status_of_a_refund_is_parked_with_its_name(status: Any) -> None:
    found = read("refund.updated", REFUND | {"status": status})
    assert isinstance(found, events.Unmapped)
    shown = status if status == "reversed" else "(no word)"
    assert found.detail == f"the status of the refund {shown} is unknown"


def test_a_failure_is_told_once_whatever_events_tell_it() -> None:
    """Stripe sends up to three; the refund identifies them, and not the event."""
    messages = [signed(event(kind, REFUND, id=f"evt_{n}")) for n, kind in enumerate(OF_REFUNDS[1:])]
    items = [ADAPTER.read(message).items for message in messages]
    assert items == [[contract.Item(f"{REFUND['id']}:failed", FAILED)]] * 3
    long = signed(event("refund.failed", REFUND | {"id": "r" * 128}))
    assert len(ADAPTER.read(long).items[0].key) <= 128


def test_a_failure_is_of_the_time_when_it_failed() -> None:
    """Not of the refund's own time, which is before totals that contain it."""
    assert REFUND["created"] < CREATED.timestamp()
    assert FAILED.occurred_at == CREATED


@given(st.data(), st.integers(0, 5000))
def test_any_refunds_of_which_any_fail_come_to_what_the_buyer_has(
    data: st.DataObject, released: int
) -> None:
    """Stripe's charge told in full, in any order of arrival, with a part never captured."""
    captured, at_s, live = 20000, int(CREATED.timestamp()), dict[str, int]()
    messages: list[Any] = []
    for n in range(data.draw(st.integers(1, 8))):
        at_s += data.draw(st.integers(1, 86400))
        left = captured - sum(live.values())
        if live and (not left or data.draw(st.booleans())):
            failing = data.draw(st.sampled_from(sorted(live)))
            told = REFUND | {"id": failing, "amount": live.pop(failing)}
            kinds = data.draw(st.sets(st.sampled_from(OF_REFUNDS[1:]), min_size=1))
            messages += [event(kind, told, created=at_s) for kind in sorted(kinds)]
        else:
            live[f"re_{n}"] = data.draw(st.integers(1, left))
            charge = CHARGE | {
                "amount": captured + released,
                "amount_captured": captured,
                "amount_refunded": released + sum(live.values()),
            }
            messages.append(event("charge.refunded", charge, created=at_s))
    items = [ADAPTER.read(signed(each)).items[0] for each in data.draw(st.permutations(messages))]
    by_key = {f"{at} {item.key}" if item.key.startswith("evt") else item.key: item.event
              for at, item in enumerate(items)}  # fmt: skip
    assert refunds.gone_back([report(each) for each in by_key.values()], ()) == (
        Decimal(sum(live.values())) / 100
    )


def report(told: object) -> following.RefundReport:
    assert isinstance(told, events.RefundSucceeded | events.RefundFailed)
    return following.RefundReport(
        id=UUID(int=0),
        payment_id=UUID(int=0),
        refund_no=told.refund_no,
        amount=told.amount,
        is_total=told.cumulative,
        is_failed=isinstance(told, events.RefundFailed),
        occurred_at=told.occurred_at,
    )


@pytest.mark.parametrize(
    ("kind", "told"), [("refund.failed", REFUND), ("charge.dispute.created", DISPUTE)]
)
def test_the_payment_is_named_by_its_intent_or_else_by_its_charge(
    kind: str, told: dict[str, Any]
) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, PI),
        ({"payment_intent": {"id": PI}}, PI),
        ({"payment_intent": None}, CH),
        ({"payment_intent": None, "charge": {"id": CH, "object": "charge"}}, CH),
    ]
    for changes, transaction_id in cases:
        assert events.transaction_id(read(kind, told | changes)) == transaction_id
    nameless = read(kind, told | {"payment_intent": None, "charge": None})
    assert isinstance(nameless, events.Unmapped)


def disputed(state: Any, **changes: Any) -> events.Dispute:
    due_at = CREATED + timedelta(days=1) if state == "opened" else None
    told: dict[str, Any] = {
        "transaction_id": PI,
        "order_no": "",
        "dispute_no": DISPUTE["id"],
        "amount": Decimal("199.00"),
        "currency": "USD",
        "reason": "fraudulent",
        "occurred_at": CREATED,
        "due_at": due_at,
    }
    return events.Dispute(state=state, **(told | changes))


OF_DISPUTES = [
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
]
STATES = [
    ("warning_needs_response", "opened"),
    ("warning_under_review", "opened"),
    ("warning_closed", "won"),
    ("needs_response", "opened"),
    ("under_review", "opened"),
    ("appeal_needs_response", "opened"),
    ("appeal_under_review", "opened"),
    ("won", "won"),
    ("lost", "lost"),
    ("prevented", "won"),
]


@pytest.mark.parametrize("kind", OF_DISPUTES)
@pytest.mark.parametrize(("status", "state"), STATES)
def test_every_status_of_a_dispute(kind: str, status: str, state: str) -> None:
    """The status says where it stands, whatever the event is."""
    assert read(kind, DISPUTE | {"status": status}) == disputed(state)


@pytest.mark.parametrize(
    ("movements", "state"),
    [
        ([{"amount": -19900, "fee": 1500}], "lost"),
        ([{"amount": -19900}, {"amount": 19900}], "won"),
        ([], "won"),
        (None, "won"),
        ([7, {"amount": "x"}, {}], "won"),
    ],
)
def test_a_prevented_dispute_is_lost_where_it_took_money(movements: Any, state: str) -> None:
    told = DISPUTE | {"status": "prevented", "balance_transactions": movements}
    assert read("charge.dispute.closed", told) == disputed(state)


@pytest.mark.parametrize("status", ["escalated", None, 7])
def test_an_unknown_status_of_a_dispute_is_parked_with_its_name(status: Any) -> None:
    found = read("charge.dispute.updated", DISPUTE | {"status": status})
    assert isinstance(found, events.Unmapped)
    assert (status or "(no word)") in found.detail if status != 7 else "(no word)" in found.detail


@pytest.mark.parametrize(
    "evidence", [None, [], {}, {"due_by": None}, {"due_by": "soon"}, {"due_by": True},
                 {"due_by": -1}, {"due_by": 10**30}],
)  # fmt: skip
def test_a_dispute_counts_without_a_deadline_or_a_reason(evidence: Any) -> None:
    told = DISPUTE | {"evidence_details": evidence, "reason": None}
    assert read("charge.dispute.created", told) == disputed("opened", due_at=None, reason="")


def test_a_part_of_a_payment_may_be_disputed() -> None:
    told = DISPUTE | {"amount": 5000, "metadata": {"order_no": "SO-1001"}}
    expected = disputed("opened", amount=Decimal("50.00"), order_no="SO-1001")
    assert read("charge.dispute.created", told) == expected


WARNING = {
    "id": "issfr_1",
    "object": "radar.early_fraud_warning",
    "actionable": True,
    "charge": CH,
    "fraud_type": "made_with_stolen_card",
    "payment_intent": PI,
}


@pytest.mark.parametrize(
    "kind", ["radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"]
)
def test_a_warning_of_fraud_is_parked_while_something_can_be_done(kind: str) -> None:
    """Somebody should see it before the goods leave; it moves no money itself."""
    detail = f"the card's issuer suspects fraud (made_with_stolen_card) in {PI}"
    assert read(kind, WARNING) == events.Unmapped(kind, "", detail, CREATED)
    assert read(kind, WARNING | {"actionable": False}) == events.Noted(kind, CREATED)
