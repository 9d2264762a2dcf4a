"""Money that goes back: refunds, failed ones, disputes, and the holds that they end or make."""

import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import events
from gateway.domain.following import OrderState, PaymentState, Step
from gateway.domain.orders import Status
from tests.domain.folding_support import apply
from tests.domain.support import DUE, NOW, order_state, paid, payment_state, refunded

ZERO, PART = Decimal(0), Decimal(30)


@pytest.mark.parametrize("status", ["paid", "shipped", "completed"])
def test_a_partial_refund_leaves_the_status_and_a_full_one_ends_it(status: Status) -> None:
    order, payment = order_state(status), payment_state()
    assert apply(refunded("30"), order, payment) == Step("applied", status, status)
    assert (order.status, order.refunded, payment.refunded) == (status, PART, PART)
    assert apply(refunded("100"), order, payment) == Step("applied", status, "refunded")
    assert (order.refunded, payment.refunded, order.version) == (DUE, DUE, 3)


def test_single_refunds_add_up() -> None:
    order, payment = order_state("paid"), payment_state()
    for number in range(4):
        step = apply(refunded("25", cumulative=False, refund_no=f"R-{number}"), order, payment)
        assert step.outcome == "applied"
    assert (order.status, order.refunded) == ("refunded", DUE)


def test_a_lesser_total_that_arrives_late_is_a_repeat() -> None:
    order, payment = order_state("paid"), payment_state()
    apply(refunded("60"), order, payment)
    assert apply(refunded("30"), order, payment).outcome == "repeat"
    assert (order.refunded, order.version) == (Decimal(60), 2)


@pytest.mark.parametrize("cumulative", [True, False])
def test_no_more_goes_back_than_was_paid_and_the_rest_is_shown(cumulative: bool) -> None:
    order, payment = order_state("paid"), payment_state()
    apply(refunded("30"), order, payment)
    step = apply(refunded("100.01", cumulative=cumulative), order, payment)
    assert (step.outcome, step.reason) == ("parked", "refund_exceeds_payment")
    assert (order.refunded, payment.refunded, order.version) == (DUE, DUE, 3)


def test_a_refund_in_another_currency_is_parked() -> None:
    order, payment = order_state("paid"), payment_state()
    step = apply(refunded("1", currency="USD"), order, payment)
    assert (step.outcome, step.reason) == ("parked", "refund_exceeds_payment")


@pytest.mark.parametrize("payment", [None, payment_state("waiting")])
@pytest.mark.parametrize("order", [None, order_state()])
def test_a_refund_waits_for_its_payment(
    order: OrderState | None, payment: PaymentState | None
) -> None:
    assert apply(refunded(), order, payment).outcome == "waiting"


@pytest.mark.parametrize("cumulative", [True, False])
def test_a_refund_of_nothing_moves_nothing(cumulative: bool) -> None:
    order, payment = order_state("paid", refunded=PART), payment_state(refunded=PART)
    assert apply(refunded("0", cumulative=cumulative), order, payment).outcome == "repeat"
    assert (order.refunded, payment.refunded, order.version) == (PART, PART, 1)


def test_what_came_after_the_close_and_went_back_is_settled() -> None:
    order = order_state("closed", paid=DUE, hold="refund_owed")
    payment = payment_state("after_close")
    apply(refunded("30"), order, payment)
    assert (order.status, order.hold) == ("closed", "refund_owed")
    apply(refunded("100"), order, payment)
    assert (order.status, order.hold, order.refunded) == ("refunded", None, DUE)


def test_the_wrong_amount_gone_back_releases_the_order_unmoved() -> None:
    order = order_state(hold="amount_mismatch")
    payment = payment_state("mismatch", amount=Decimal(90))
    apply(refunded("40"), order, payment)
    assert order.hold == "amount_mismatch"
    apply(refunded("90"), order, payment)
    assert (order.status, order.refunded) == ("pending_payment", ZERO)
    assert order.hold is None


# --- holds: what a person must look at does not go away by itself ---


def test_one_wrong_payment_gone_back_does_not_release_the_other() -> None:
    order, first = order_state("paid", hold="amount_mismatch"), payment_state()
    one = payment_state("mismatch", transaction_id="T-2", amount=Decimal(90))
    two = payment_state("duplicate", transaction_id="T-3")
    apply(refunded("90", transaction_id="T-2"), order, one, others=(first, two))
    assert order.hold == "duplicate_payment"
    apply(refunded("100", transaction_id="T-3"), order, two, others=(first, one))
    assert order.hold is None


def test_a_duplicate_gone_back_does_not_hide_that_the_first_is_owed() -> None:
    order = order_state("closed", paid=2 * DUE, hold="refund_owed")
    first, second = payment_state("after_close"), payment_state("duplicate", transaction_id="T-2")
    apply(refunded("100", transaction_id="T-2"), order, second, others=(first,))
    assert order.hold == "refund_owed"


def test_a_hold_of_the_placement_is_back_when_the_wrong_money_is_gone() -> None:
    order = order_state(hold="suspected_brushing", placed_hold="suspected_brushing")
    payment = payment_state("waiting", amount=Decimal(90))
    holds: list[str | None] = []
    for event in (paid("90"), refunded("90")):
        apply(event, order, payment, is_new=not holds, takes_parts=False)
        holds.append(order.hold)
    assert holds == ["amount_mismatch", "suspected_brushing"]


def test_a_released_order_is_not_held_again_by_a_refund_that_owes_nothing() -> None:
    order = order_state("paid", hold=None, placed_hold="lookalike", released_at=NOW)
    apply(refunded("100"), order, payment_state())
    assert (order.status, order.hold) == ("refunded", None)


# --- failed refunds ---


def failed(amount: str, **changes: Any) -> events.RefundFailed:
    made: dict[str, Any] = {
        "transaction_id": "T-1",
        "order_no": "",
        "refund_no": "R-1",
        "amount": Decimal(amount),
        "cumulative": True,
        "currency": "CNY",
        "occurred_at": NOW + timedelta(minutes=9),
    }
    return events.RefundFailed(**made | changes)


@pytest.mark.parametrize("status", ["paid", "shipped", "completed", "cancelling"])
@pytest.mark.parametrize("is_total", [True, False])
def test_a_failed_refund_takes_the_refund_back(status: Status, is_total: bool) -> None:
    order, payment = order_state(status), payment_state()
    apply(refunded("100", cumulative=is_total, refund_no="R-1"), order, payment)
    assert order.status == "refunded"
    step = apply(failed("100", cumulative=is_total), order, payment)
    assert (step.outcome, step.reason, step.to_status) == ("parked", "refund_failed", status)
    assert (order.status, order.refunded, payment.refunded) == (status, ZERO, ZERO)
    assert order.hold == ("refund_owed" if status == "cancelling" else None)


def test_a_part_that_failed_is_taken_off_the_total_and_later_totals_count_as_they_are() -> None:
    order, payment = order_state("paid"), payment_state()
    apply(refunded("30"), order, payment)
    apply(failed("10"), order, payment)
    assert order.refunded == 20
    apply(refunded("25", occurred_at=NOW + timedelta(minutes=20)), order, payment)
    assert order.refunded == 25


def test_a_refund_that_failed_counts_no_more_even_if_its_success_is_told_later() -> None:
    order, payment = order_state("paid"), payment_state()
    apply(failed("30", cumulative=False), order, payment)
    assert (
        apply(refunded("30", cumulative=False, refund_no="R-1"), order, payment).outcome == "repeat"
    )
    assert order.refunded == 0


@pytest.mark.parametrize("is_total", [True, False])
def test_a_failure_is_told_once(is_total: bool) -> None:
    order, payment = order_state("paid"), payment_state()
    apply(refunded("30", cumulative=is_total, refund_no="R-1"), order, payment)
    apply(failed("30", cumulative=is_total), order, payment)
    again = failed("30", cumulative=is_total, occurred_at=NOW + timedelta(minutes=10))
    assert apply(again, order, payment).outcome == "repeat"
    assert order.refunded == 0


def test_a_failure_waits_for_its_payment() -> None:
    assert apply(failed("30"), order_state(), None).outcome == "waiting"


def test_a_refund_that_was_too_much_counts_when_the_other_one_failed() -> None:
    told: list[events.Event] = [
        refunded("100", cumulative=False, refund_no="R-1"),
        refunded("25", cumulative=False, refund_no="R-2"),
        failed("100", cumulative=False),
    ]
    for way in itertools.permutations(told):
        order, payment = order_state("paid"), payment_state()
        for event in way:
            apply(event, order, payment)
        assert (order.status, order.refunded) == ("paid", Decimal(25)), way


@settings(max_examples=300)
@given(data=st.data())
def test_what_went_back_does_not_depend_on_the_order_of_arrival(data: st.DataObject) -> None:
    minutes = st.integers(10, 14)
    told = data.draw(
        st.lists(
            st.one_of(
                st.builds(
                    lambda amount, at: refunded(amount, occurred_at=NOW + timedelta(minutes=at)),
                    st.sampled_from(["10", "30", "40"]),
                    minutes,
                ),
                st.builds(
                    lambda n, amount, at: failed(
                        amount, refund_no=f"R-{n}", occurred_at=NOW + timedelta(minutes=at)
                    ),
                    st.integers(1, 3),
                    st.just("10"),
                    minutes,
                ),
            ),
            max_size=6,
            unique_by=lambda event: (
                type(event),
                event.refund_no or (event.amount, event.occurred_at),
            ),
        )
    )
    results = set()
    for arrival in (told, data.draw(st.permutations(told))):
        order, payment = order_state("paid"), payment_state()
        for event in arrival:
            apply(event, order, payment)
        results.add((order.status, order.refunded, payment.refunded))
    assert len(results) == 1


# --- disputes ---


def disputed(state: str, amount: str = "100", minute: int = 5, **changes: Any) -> events.Dispute:
    made: dict[str, Any] = {
        "transaction_id": "T-1",
        "order_no": "",
        "dispute_no": "D-1",
        "amount": Decimal(amount),
        "currency": "CNY",
        "state": state,
        "reason": "fraudulent",
        "occurred_at": NOW + timedelta(minutes=minute),
    }
    return events.Dispute(**made | changes)


@pytest.mark.parametrize("status", ["paid", "shipped", "completed"])
def test_a_dispute_holds_the_order_until_it_is_won(status: Status) -> None:
    order, payment = order_state(status), payment_state()
    due = NOW + timedelta(days=7)
    assert apply(disputed("opened", due_at=due), order, payment).outcome == "applied"
    assert (order.status, order.hold, order.refunded) == (status, "disputed", ZERO)
    assert [(each.amount, each.due_at) for each in payment.disputes] == [(DUE, due)]
    apply(disputed("won", minute=6), order, payment)
    assert (order.status, order.hold, order.refunded) == (status, None, ZERO)


def test_a_lost_dispute_is_money_that_went_back() -> None:
    order, payment = order_state("completed"), payment_state()
    apply(disputed("opened", "40"), order, payment)
    apply(disputed("lost", "40", 6), order, payment)
    assert (order.status, order.hold, order.refunded) == ("completed", None, Decimal(40))
    apply(disputed("lost", "60", 7, dispute_no="D-2"), order, payment)
    assert (order.status, order.refunded) == ("refunded", DUE)


def test_a_lost_dispute_may_be_won_after_all() -> None:
    order, payment = order_state("completed"), payment_state()
    apply(disputed("lost"), order, payment)
    assert order.status == "refunded"
    apply(disputed("won", minute=8), order, payment)
    assert (order.status, order.refunded) == ("completed", ZERO)


def test_a_dispute_of_what_was_refunded_is_shown_and_counts_up_to_what_was_paid() -> None:
    order, payment = order_state("completed"), payment_state()
    apply(refunded("50"), order, payment)
    step = apply(disputed("lost"), order, payment)
    assert (step.outcome, step.reason) == ("parked", "refund_exceeds_payment")
    assert (order.status, order.refunded, order.hold) == ("refunded", DUE, None)


def test_a_dispute_told_again_is_a_repeat_and_news_of_it_are_not() -> None:
    order, payment = order_state("paid"), payment_state()
    apply(disputed("opened"), order, payment)
    assert apply(disputed("opened", minute=6), order, payment).outcome == "repeat"
    later = disputed("opened", minute=7, due_at=NOW + timedelta(days=9))
    assert apply(later, order, payment).outcome == "applied"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_latest_state_of_a_dispute_counts_in_whatever_order_told(
    order: tuple[int, ...],
) -> None:
    due = NOW + timedelta(days=7)
    told = [disputed("opened", due_at=due), disputed("lost", minute=6), disputed("won", minute=7)]
    one, payment = order_state("paid"), payment_state()
    for n in order:
        apply(told[n], one, payment)
    (found,) = payment.disputes
    assert (found.state, found.due_at, found.opened_at) == ("won", due, NOW + timedelta(minutes=5))
    assert (one.status, one.hold, one.refunded) == ("paid", None, ZERO)


def test_a_dispute_waits_for_its_payment() -> None:
    assert apply(disputed("opened"), order_state(), payment_state("waiting")).outcome == "waiting"
