"""A bounded part of the hand-off's faults: `make torture` plays all of them, and longer."""

import pytest

from tests.torture import catalogue, results
from tests.torture.play_round import Options, play

OPTIONS = Options(seed=1, is_quick=True, cycles=10)
FAULTS = catalogue.faults()


@pytest.mark.servers
@pytest.mark.parametrize(
    "name",
    [
        "hand-off: dispatcher and receiver killed",
        "hand-off: postgres failed over",
        "hand-off: target cut",
        "hand-off: target answers 200 too late",
        "hand-off: redis away",
    ],
)
def test_every_event_is_delivered_in_order_under_its_own_id(name: str) -> None:
    played = play(FAULTS[name], OPTIONS)
    assert played.outcome == "held", results.as_text([played])


@pytest.mark.servers
def test_a_dispatcher_that_believes_too_early_is_found_out() -> None:
    played = play(FAULTS["control: hand-off, delivered before it was answered"], OPTIONS)
    assert played.outcome == "broken"
    assert any("delivered at least once" in wrong for wrong in played.wrong), played.wrong
