"""The table of transitions is closed: every pair of status and action has exactly one meaning."""

from itertools import product
from typing import get_args

import pytest

from gateway.domain.orders import Status
from gateway.domain.transitions import PREMATURE, REPEATED, TRANSITIONS

STATUSES: tuple[Status, ...] = get_args(Status)
ACTIONS = (
    "payment_succeeded", "timed_out", "cancelled", "shipped", "delivered", "refund_succeeded",
    "held", "reopened", "parcel_cancelled", "amended", "address_changed",
)  # fmt: skip


def test_every_word_of_the_table_is_a_known_status_or_action() -> None:
    pairs = {*TRANSITIONS, *PREMATURE, *REPEATED}
    assert {status for status, _ in pairs} | set(TRANSITIONS.values()) <= set(STATUSES)
    assert {action for _, action in pairs} <= set(ACTIONS)


@pytest.mark.parametrize(("status", "action"), list(product(STATUSES, ACTIONS)))
def test_no_pair_has_two_meanings(status: Status, action: str) -> None:
    pair = (status, action)
    assert [pair in TRANSITIONS, pair in PREMATURE, pair in REPEATED].count(True) <= 1


def test_every_status_is_reached_from_the_first() -> None:
    reached: set[str] = {"pending_payment"}
    for _ in STATUSES:
        reached |= {to for (status, _), to in TRANSITIONS.items() if status in reached}
    assert reached == set(STATUSES)


def test_only_parcels_and_people_bring_an_order_back_to_where_it_was() -> None:
    """But for one more parcel, and what people undo, the moves have no circle: a life ends."""
    back = ("shipped", "reopened", "parcel_cancelled")
    onward_moves = {key: to for key, to in TRANSITIONS.items() if key[1] not in back}
    for start in STATUSES:
        onward: set[str] = set()
        for _ in STATUSES:
            onward |= {
                to
                for (at, _), to in onward_moves.items()
                if at != to and (at == start or at in onward)
            }
        assert start not in onward


def test_what_is_early_is_possible_later() -> None:
    """Whatever waits has a move that is reached from where it waits."""
    for status, action in PREMATURE:
        onward: set[Status] = {status}
        for _ in STATUSES:
            onward |= {to for (at, _), to in TRANSITIONS.items() if at in onward}
        assert any((later, action) in TRANSITIONS for later in onward)
