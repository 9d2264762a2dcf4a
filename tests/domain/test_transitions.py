"""The table of transitions is closed: every pair of status and action has exactly one meaning."""

from itertools import product
from typing import get_args

import pytest

from gateway.domain.orders import Status
from gateway.domain.transitions import PREMATURE, REPEATED, TRANSITIONS

STATUSES: tuple[Status, ...] = get_args(Status)
ACTIONS = (
    "payment_succeeded", "timed_out", "cancelled", "shipped", "delivered", "refund_succeeded",
)  # fmt: skip

DESIGN = {
    ("pending_payment", "payment_succeeded"): "paid",
    ("pending_payment", "timed_out"): "closed",
    ("pending_payment", "cancelled"): "closed",
    ("paid", "shipped"): "shipped",
    ("shipped", "delivered"): "completed",
    ("paid", "refund_succeeded"): "refunded",
    ("shipped", "refund_succeeded"): "refunded",
    ("completed", "refund_succeeded"): "refunded",
    # Beyond the design's table: what was paid after the close goes back.
    ("closed", "refund_succeeded"): "refunded",
}


def test_the_moves_are_those_of_the_design() -> None:
    assert TRANSITIONS == DESIGN


def test_every_word_of_the_table_is_a_known_status_or_action() -> None:
    pairs = {*TRANSITIONS, *PREMATURE, *REPEATED}
    assert {status for status, _ in pairs} | set(TRANSITIONS.values()) <= set(STATUSES)
    assert {action for _, action in pairs} <= set(ACTIONS)


@pytest.mark.parametrize(("status", "action"), list(product(STATUSES, ACTIONS)))
def test_no_pair_has_two_meanings(status: Status, action: str) -> None:
    pair = (status, action)
    assert [pair in TRANSITIONS, pair in PREMATURE, pair in REPEATED].count(True) <= 1


def test_every_status_is_reached_from_the_first_and_only_refunded_has_no_way_out() -> None:
    reached: set[str] = {"pending_payment"}
    for _ in STATUSES:
        reached |= {to for (status, _), to in TRANSITIONS.items() if status in reached}
    assert reached == set(STATUSES)
    assert set(STATUSES) - {status for status, _ in TRANSITIONS} == {"refunded"}


def test_no_order_comes_back_to_where_it_was() -> None:
    """The moves have no circle, so an order's life ends."""
    for start in STATUSES:
        onward: set[str] = set()
        for _ in STATUSES:
            onward |= {to for (at, _), to in TRANSITIONS.items() if at == start or at in onward}
        assert start not in onward


def test_what_is_early_is_possible_later() -> None:
    """Whatever waits has a move that is reached from where it waits."""
    for status, action in PREMATURE:
        onward: set[Status] = {status}
        for _ in STATUSES:
            onward |= {to for (at, _), to in TRANSITIONS.items() if at in onward}
        assert any((later, action) in TRANSITIONS for later in onward)
