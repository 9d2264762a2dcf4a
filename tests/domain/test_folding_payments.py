"""Payments: one or several, of the right amount or another, before and after what they pay."""

import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest

from gateway.domain import events
from gateway.domain.following import OrderState, PaymentState, Step
from gateway.domain.orders import Status
from tests.domain.folding_support import apply, pay
from tests.domain.support import DUE, NOW, order_state, paid, payment_state, refunded

STATUSES: tuple[Status, ...] = get_args(Status)


def test_a_payment_pays_its_order() -> None:
    order, payment = order_state(), payment_state("waiting", paid_at=paid().occurred_at)
    step = apply(paid(), order, payment, is_new=True)
    assert step == Step("applied", "pending_payment", "paid")
    assert (order.status, order.paid, order.version, order.hold) == ("paid", DUE, 2, None)
    assert (payment.standing, payment.order_id) == ("applied", order.id)
    assert order.paid_at == paid().occurred_at


def test_a_payment_before_its_order_waits() -> None:
    assert pay(None) == Step("waiting")


def test_a_payment_reported_again_is_a_repeat_whether_its_order_came_or_not() -> None:
    order = order_state("paid")
    assert apply(paid(), None, payment_state("waiting")).outcome == "repeat"
    assert apply(paid(), order, payment_state("applied")).outcome == "repeat"
    assert order.version == 1


def test_a_waiting_payment_is_applied_when_its_order_is_there() -> None:
    order = order_state()
    assert apply(paid(), order, payment_state("waiting")).outcome == "applied"
    assert order.status == "paid"


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    "wrong", [paid("99.99"), paid("100.01"), paid("0"), paid(currency="USD")], ids=str
)
def test_a_wrong_amount_or_currency_holds_the_order_of_a_channel_without_parts(
    status: Status, wrong: events.PaymentSucceeded
) -> None:
    order = order_state(status)
    before = order.paid
    step = pay(order, wrong, takes_parts=False)
    assert (step.outcome, step.reason) == ("parked", "amount_mismatch")
    assert f"{wrong.amount} {wrong.currency}" in step.detail
    # The money that is owed for a cancelled order is graver.
    hold = "refund_owed" if status == "cancelling" else "amount_mismatch"
    assert (order.status, order.paid, order.hold) == (status, before, hold)
    assert order.version == 2


def test_an_amount_counts_by_its_value_not_by_its_spelling() -> None:
    order = order_state()
    assert pay(order, paid("1E+2")).outcome == "applied"


def test_a_payment_after_the_close_is_owed_back() -> None:
    order = order_state("closed")
    step = pay(order)
    assert (step.outcome, step.reason) == ("parked", "paid_after_close")
    assert (order.status, order.paid, order.hold) == ("closed", DUE, "refund_owed")


@pytest.mark.parametrize("status", ["paid", "shipped", "completed"])
@pytest.mark.parametrize("takes_parts", [True, False])
def test_a_second_transaction_is_owed_back(status: Status, takes_parts: bool) -> None:
    order, first = order_state(status), payment_state()
    second = payment_state("waiting", transaction_id="T-2")
    step = apply(
        paid(transaction_id="T-2"), order, second,
        is_new=True, others=(first,), takes_parts=takes_parts,
    )  # fmt: skip
    assert (step.outcome, step.reason) == ("parked", "duplicate_payment")
    assert (order.status, order.paid, order.hold) == (status, 2 * DUE, "duplicate_payment")
    apply(refunded(transaction_id="T-2"), order, second, others=(first,))
    assert (order.status, order.refunded, order.hold) == (status, DUE, None)


def test_either_of_two_payments_may_go_back() -> None:
    order, first = order_state("paid"), payment_state()
    second = payment_state("duplicate", transaction_id="T-2")
    apply(refunded(), order, first, others=(second,))
    assert (order.status, order.paid, order.refunded, order.hold) == ("paid", 2 * DUE, DUE, None)


def test_a_second_transaction_after_the_close_is_a_duplicate_of_the_first() -> None:
    order, first = order_state("closed"), payment_state("waiting")
    apply(paid(), order, first, is_new=True)
    second = payment_state("waiting", transaction_id="T-2")
    step = apply(paid(transaction_id="T-2"), order, second, is_new=True, others=(first,))
    assert step.reason == "duplicate_payment"


def test_money_for_an_order_that_costs_nothing_is_owed_back() -> None:
    order = order_state("paid", payable=Decimal(0), paid=Decimal(0))
    assert pay(order, paid("5")).reason == "duplicate_payment"
    assert (order.status, order.hold) == ("paid", "duplicate_payment")


@pytest.mark.parametrize("payable", ["0", "100"])
def test_a_payment_of_nothing_pays_what_costs_nothing_and_else_is_wrong(payable: str) -> None:
    costs = Decimal(payable)
    order = order_state("pending_payment" if costs else "paid", payable=costs, paid=Decimal(0))
    step = pay(order, paid("0"))
    assert step.reason == ("amount_mismatch" if costs else None)
    assert order.hold == ("amount_mismatch" if costs else None)


# --- parts ---


def parts(order: OrderState, *amounts: str) -> list[Step]:
    """Pay the order in parts, a transaction each."""
    made: list[PaymentState] = []
    steps = []
    for n, amount in enumerate(amounts, start=1):
        event = paid(amount, transaction_id=f"P-{n}", occurred_at=NOW + timedelta(minutes=n))
        payment = payment_state(
            "waiting", transaction_id=f"P-{n}", amount=Decimal(amount), paid_at=event.occurred_at
        )
        steps.append(apply(event, order, payment, is_new=True, others=tuple(made)))
        made.append(payment)
    return steps


def test_parts_add_up_and_the_last_one_pays_the_order() -> None:
    order = order_state()
    first, second = parts(order, "60", "40")
    assert first == Step("applied", "pending_payment", "pending_payment")
    assert second == Step("applied", "pending_payment", "paid")
    assert (order.status, order.paid, order.hold) == ("paid", DUE, None)
    assert (order.paid_at, order.version) == (NOW + timedelta(minutes=2), 3)


def test_a_part_shows_how_much_was_paid() -> None:
    order = order_state()
    parts(order, "60")
    assert (order.status, order.paid, order.paid_at) == ("pending_payment", Decimal(60), None)


SURPLUS: list[tuple[tuple[str, ...], str, str]] = [
    (("60", "60"), "overpaid", "20.00 CNY must go back"),
    (("100.01",), "overpaid", "0.01 CNY must go back"),
    (("60", "40", "1"), "duplicate_payment", "another transaction"),
    (("60", "40", "100"), "duplicate_payment", "another transaction"),
]


@pytest.mark.parametrize(("amounts", "reason", "detail"), SURPLUS, ids=str)
def test_a_surplus_is_held_and_named(amounts: tuple[str, ...], reason: str, detail: str) -> None:
    order = order_state()
    *_, last = parts(order, *amounts)
    assert (last.outcome, last.reason, order.status) == ("parked", reason, "paid")
    assert detail in last.detail
    assert order.hold in ("overpaid", "duplicate_payment")
    assert order.paid == sum(map(Decimal, amounts))


@pytest.mark.parametrize("way", list(itertools.permutations(["part 1", "part 2", "refund"])))
def test_a_refund_of_a_part_makes_the_order_cheaper_whenever_it_happens(
    way: tuple[str, ...],
) -> None:
    """Each happens when it is told; what is told too early is told again."""
    order = order_state()
    made = {
        name: payment_state("waiting", transaction_id=name, amount=Decimal(amount))
        for name, amount in (("part 1", "60"), ("part 2", "40"))
    }
    booked: list[PaymentState] = []
    for minute, name in enumerate([*way, "refund"], start=1):
        at = NOW + timedelta(minutes=minute)
        if name == "refund":
            back = refunded("20", transaction_id="part 1", occurred_at=at)
            others = tuple(each for each in booked if each is not made["part 1"])
            apply(back, order, made["part 1"], others=others)
            continue
        event = paid(made[name].amount, transaction_id=name, occurred_at=at)
        made[name].paid_at = at
        apply(event, order, made[name], is_new=True, others=tuple(booked))
        booked.append(made[name])
    assert (order.status, order.paid, order.refunded, order.hold) == (
        "paid",
        DUE,
        Decimal(20),
        None,
    )


def test_a_payment_that_went_back_whole_is_due_again() -> None:
    order = order_state()
    card = payment_state("applied", transaction_id="P-1", amount=Decimal(60), paid_at=NOW)
    apply(refunded("60", transaction_id="P-1"), order, card)
    assert (order.status, order.paid, order.refunded) == (
        "pending_payment",
        Decimal(60),
        Decimal(60),
    )
    rest = payment_state("waiting", transaction_id="P-2", amount=Decimal(40))
    later = paid("40", transaction_id="P-2", occurred_at=NOW + timedelta(hours=1))
    rest.paid_at = later.occurred_at
    apply(later, order, rest, is_new=True, others=(card,))
    assert order.status == "pending_payment"


def test_a_channel_without_parts_hears_of_a_wrong_amount() -> None:
    order = order_state()
    assert pay(order, paid("60"), takes_parts=False).reason == "amount_mismatch"
    assert (order.paid, order.hold) == (Decimal(0), "amount_mismatch")


# --- one payment under several numbers ---


@pytest.mark.parametrize("provisional_first", [True, False])
def test_a_payment_told_before_its_number_was_known_counts_once(provisional_first: bool) -> None:
    order = order_state()
    told = [
        (paid(transaction_id="cs_1", is_provisional=True), True),
        (paid(transaction_id="pi_1"), False),
    ]
    if not provisional_first:
        told.reverse()
    rows: list[PaymentState] = []
    for event, is_provisional in told:
        row = payment_state(
            "waiting", transaction_id=event.transaction_id, is_provisional=is_provisional
        )
        apply(event, order, row, is_new=True, others=tuple(rows))
        rows.append(row)
    assert (order.status, order.paid, order.hold) == ("paid", DUE, None)
    assert [row.standing for row in rows] == ["applied", "repeat"]
    assert rows[0].names == (told[1][0].transaction_id,)


@pytest.mark.parametrize(
    "other", [{"amount": Decimal(99)}, {"currency": "USD"}, {"source": "stripe:other"}], ids=str
)
def test_a_provisional_payment_of_something_else_is_another_payment(other: dict[str, Any]) -> None:
    order, known = order_state("paid"), payment_state(is_provisional=True)
    event = paid(
        other.get("amount", DUE), transaction_id="T-2", currency=other.get("currency", "CNY")
    )
    row = payment_state("waiting", **{"transaction_id": "T-2", **other})
    assert apply(event, order, row, is_new=True, others=(known,)).outcome == "parked"


@pytest.mark.parametrize(
    "other", [paid("99.99"), paid(currency="USD"), paid(order_no="W-2")], ids=str
)
@pytest.mark.parametrize("standing", ["waiting", "applied"])
def test_a_transaction_that_contradicts_itself_is_shown_to_a_person(
    other: events.PaymentSucceeded, standing: str
) -> None:
    """The same transaction with another amount or order is no repeat: somebody is wrong."""
    order = order_state("paid" if standing == "applied" else "pending_payment")
    payment = payment_state("applied" if standing == "applied" else "waiting")
    step = apply(other, order, payment)
    assert step.outcome == "parked"
    assert (order.version, payment.amount, payment.standing) == (1, DUE, standing)


def test_a_transaction_that_contradicts_itself_is_shown_before_its_order_comes() -> None:
    assert apply(paid("99.99"), None, payment_state("waiting")).outcome == "parked"


def test_the_time_it_happened_is_stored_not_when_it_was_reported() -> None:
    order = order_state()
    at = NOW - timedelta(days=3)
    pay(order, paid(occurred_at=at))
    assert order.paid_at == at
