"""Every reason to park is explained, in the runbook as in the command."""

from pathlib import Path
from typing import get_args

from gateway.domain import parked
from gateway.domain.following import ParkReason

RUNBOOK = Path(__file__).parents[2] / "ops" / "runbooks" / "held-and-parked.md"


def test_every_reason_says_what_it_is_and_what_to_do() -> None:
    assert set(parked.REASONS) == set(get_args(ParkReason))


def test_the_runbook_says_the_same() -> None:
    lines = RUNBOOK.read_text("utf-8").splitlines()
    for reason, text in parked.REASONS.items():
        replay = "yes" if text.is_replayable else "no"
        assert f"| `{reason}` | {text.meaning} | {text.action} | {replay} |" in lines


def test_a_reason_of_another_version_is_named_as_such() -> None:
    assert "another version" in parked.text_of("novel").meaning
