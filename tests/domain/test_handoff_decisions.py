"""Whom an event is for, whether it still holds, and when it is tried again: by tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import followup_topics, handoff_decisions
from gateway.domain.handoff_decisions import Retry, RetryRule, Staged, Subscription
from gateway.domain.holds import HOLDS
from gateway.domain.orders import Hold, Status

EVENT = Staged("order.paid", "web", "CN", "广东省", "深圳市", is_test=False)


def subscription(
    topics: str = "", channels: str = "", regions: str = "", *, is_test: bool = False
) -> Subscription:
    return Subscription(
        frozenset(topics.split()),
        frozenset(channels.split()),
        frozenset(tuple(region.split("/")) for region in regions.split()),
        is_test,
    )


@pytest.mark.parametrize(
    ("wanted", "is_wanted"),
    [
        (subscription(), True),
        (subscription("order.paid order.shipped"), True),
        (subscription("order.shipped"), False),
        (subscription(channels="app"), False),
        (subscription(channels="web app"), True),
        (subscription(regions="CN"), True),
        (subscription(regions="US CN/广东省"), True),
        (subscription(regions="CN/广东省/深圳市"), True),
        (subscription(regions="CN/广东省/广州市"), False),
        (subscription(regions="CN/浙江省"), False),
        (subscription(regions="US"), False),
        (subscription(is_test=True), False),
    ],
)
def test_an_event_is_for_whom_it_concerns(wanted: Subscription, is_wanted: bool) -> None:
    assert wanted.wants(EVENT) == is_wanted


def test_test_orders_are_for_targets_of_test_orders_alone() -> None:
    event = Staged("order.paid", "web", "CN", "", "", is_test=True)
    assert not subscription().wants(event)
    assert subscription(is_test=True).wants(event)


@pytest.mark.parametrize(
    ("status", "hold", "reason"),
    [
        ("paid", None, ""),
        ("paid", "overpaid", ""),
        ("paid", "disputed", "the order is held: disputed"),
        ("shipped", "disputed", ""),
        ("completed", None, ""),
        ("pending_payment", None, "the order is pending_payment"),
        ("cancelling", "refund_owed", "the order is cancelling"),
        ("refunded", None, "the order is refunded"),
        ("closed", None, "the order is closed"),
    ],
)
def test_goods_are_asked_for_only_while_they_are_to_be_sent(
    status: Status, hold: Hold | None, reason: str
) -> None:
    assert handoff_decisions.withdrawal("order.paid", status, hold) == reason
    assert handoff_decisions.withdrawal("order.changed", status, hold) == ""


@pytest.mark.parametrize("hold", [None, *HOLDS])
def test_what_is_withdrawn_of_a_paid_order_is_staged_anew_when_it_ends(hold: Hold | None) -> None:
    """The rule by which `order.paid` is staged and the one by which it is withdrawn agree."""
    is_withdrawn = bool(handoff_decisions.withdrawal("order.paid", "paid", hold))
    assert is_withdrawn != followup_topics._is_for_hand_off("paid", hold)


RULE = RetryRule(attempts_max=15, first_s=5.0, max_s=3600.0)


@pytest.mark.parametrize(
    ("attempts", "asked_s", "share", "expected"),
    [
        (1, None, 1.0, 5.0),
        (2, None, 1.0, 10.0),
        (5, None, 0.5, 40.0),
        (14, None, 1.0, 3600.0),
        (1, 120.0, 1.0, 120.0),
        (1, 1.0, 1.0, 5.0),
        (1, 1e9, 0.0, 3600.0),
    ],
)
def test_intervals_double_and_end_somewhere(
    attempts: int, asked_s: float | None, share: float, expected: float
) -> None:
    found = handoff_decisions.retry(RULE, attempts, asked_s=asked_s, share=share)
    assert found == Retry(expected, is_dead=False)


@given(attempts=st.integers(1, 10_000), share=st.floats(0, 1))
def test_no_number_of_attempts_is_too_large(attempts: int, share: float) -> None:
    rule = RetryRule(attempts_max=20_000, first_s=5.0, max_s=3600.0)
    found = handoff_decisions.retry(rule, attempts, asked_s=None, share=share)
    assert 0 <= found.after_s <= 3600.0


def test_after_the_last_attempt_there_is_none() -> None:
    assert handoff_decisions.retry(RULE, 15, asked_s=60.0, share=1.0).is_dead


@pytest.mark.parametrize(
    ("status_code", "health"),
    [(None, "unwell"), (500, "unwell"), (503, "unwell"), (429, "unwell"), (400, "well"),
     (404, "well"), (302, "well")],
)  # fmt: skip
def test_who_answers_is_well_whatever_it_thinks_of_one_message(
    status_code: int | None, health: str
) -> None:
    assert handoff_decisions.health(status_code) == health
