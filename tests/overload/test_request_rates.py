"""Rates of accepted and rejected requests."""

import pytest

from gateway.domain.features import TIERS
from gateway.overload.request_rates import RequestRates


def test_nothing_is_known_before_the_second_note() -> None:
    tally = RequestRates()
    assert tally.accepted_per_s() == 0.0
    tally.note(1.0, asked=10, rejected={})
    assert tally.accepted_per_s() == 0.0
    assert tally.rejected_per_s() == dict.fromkeys(TIERS, 0.0)


def test_what_was_not_rejected_was_accepted_and_old_seconds_do_not_count() -> None:
    tally = RequestRates()
    for n in range(41):
        # 400 asked a second, and in the first half of the time 80 and 20 rejected.
        rejected = {"order_lists": 20, "order_reads": 5} if n < 20 else {}
        tally.note(n * 0.25, asked=n * 100, rejected=rejected)
        if n == 16:
            assert tally.accepted_per_s() == pytest.approx(300)
            assert tally.rejected_per_s() == {0: 0, 1: 0, 2: 20, 3: 80, 4: 0}
    assert tally.accepted_per_s() == pytest.approx(400)
    assert sum(tally.rejected_per_s().values()) == 0


def test_two_notes_at_once_divide_by_no_zero() -> None:
    tally = RequestRates()
    tally.note(1.0, asked=0, rejected={})
    tally.note(1.0, asked=1, rejected={"callbacks": 1})
    assert tally.accepted_per_s() == 0.0
