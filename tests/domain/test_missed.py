"""Which orders a target still has to accept."""

from datetime import timedelta
from itertools import product
from typing import get_args

import pytest

from gateway.domain import missed
from gateway.domain.following import Acceptance
from gateway.domain.holds import HOLDS
from gateway.domain.orders import Hold, Status
from tests.domain.support import NOW, new_id

WORD = Acceptance("wms", "", NOW)


def awaits(status: Status = "paid", hold: Hold | None = None, *words: Acceptance) -> bool:
    return missed.awaits(status=status, hold=hold, acceptances=words, target="wms")


def test_a_paid_order_is_awaited_until_the_target_itself_accepts_it() -> None:
    assert awaits()
    assert awaits("paid", None, Acceptance("erp", "", NOW))
    assert not awaits("paid", None, WORD)


@pytest.mark.parametrize("status", [each for each in get_args(Status) if each != "paid"])
def test_what_is_not_paid_or_has_gone_on_is_not(status: Status) -> None:
    assert not awaits(status)


def test_a_hold_that_stops_the_hand_off_stops_the_waiting() -> None:
    waited = {hold for hold in get_args(Hold) if awaits("paid", hold)}
    assert waited == {hold for hold, rule in HOLDS.items() if "hand_off" not in rule.stops}
    assert waited == {"duplicate_payment", "overpaid", "screened_note"}


def test_every_combination_has_an_answer() -> None:
    for status, hold in product(get_args(Status), (None, *get_args(Hold))):
        assert awaits(status, hold) in (True, False)
        assert not awaits(status, hold, WORD)


def test_the_age_is_that_of_the_telling() -> None:
    order = missed.MissedOrder(
        order_id=new_id(), target="wms", event_id=new_id(), since=NOW, channel="web",
        order_no="W-1", is_test=False, version=2, paid_at=NOW, standing="pending", attempts=0,
        last_attempt_at=None, last_status_code=None, last_reason="", is_disabled=False,
    )  # fmt: skip
    assert order.waited_s(NOW + timedelta(minutes=11)) == 660
