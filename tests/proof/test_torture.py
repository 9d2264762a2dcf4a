"""A bounded part of the fault matrix: ``make torture`` plays all of it, with longer faults."""

from typing import Literal

import pytest

from tests.torture import catalogue, results
from tests.torture.play_round import Options, play
from tests.torture.results import Round

OPTIONS = Options(seed=1, is_quick=True, cycles=6)
FAULTS = catalogue.faults()


@pytest.mark.servers
@pytest.mark.parametrize(
    "name",
    [
        "gateway killed",
        "postgres killed",
        "postgres frozen",
        "journal killed while postgres is away",
        "worker frozen",
    ],
)
def test_nothing_acknowledged_is_lost_or_doubled(name: str) -> None:
    played = play(FAULTS[name], OPTIONS)
    assert played.outcome == "held", results.as_text([played])


@pytest.mark.servers
def test_a_journal_that_was_wiped_is_reported() -> None:
    played = play(FAULTS["control: journal wiped while postgres is away"], OPTIONS)
    assert played.outcome == "broken"
    assert played.is_right
    assert played.tally is not None
    assert played.tally.lost > 0


@pytest.mark.parametrize(
    ("is_control", "outcome", "status"),
    [
        (False, "held", 0),
        (False, "broken", 1),
        (True, "broken", 0),
        (True, "held", 1),
        (False, "not run", 2),
    ],
)
def test_an_undetected_control_is_a_failure(
    is_control: bool, outcome: Literal["held", "broken", "not run"], status: int
) -> None:
    right = Round(fault="a", is_control=False, outcome="held")
    played = Round(fault="b", is_control=is_control, outcome=outcome)
    assert results.exit_status([right, played]) == status
