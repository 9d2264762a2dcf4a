"""The answer to a release promises no more than was done."""

import json

import pytest

from gateway.domain.following import Done
from gateway.web.handlers import releases
from tests.domain.test_views import stored


@pytest.mark.parametrize(
    ("done", "status", "hold", "version"),
    [
        (Done("applied", status="paid", version=3, hold=None), 200, None, 3),
        (Done("repeat"), 200, "lookalike", 2),
        (Done("journaled"), 202, "lookalike", 2),
    ],
    ids=lambda value: value.outcome if isinstance(value, Done) else "",
)
def test_only_what_is_committed_is_answered_200(
    done: Done, status: int, hold: str | None, version: int
) -> None:
    answer = releases.response(stored(hold="lookalike"), done)
    found = json.loads(answer.body)
    assert (answer.status, found["hold"], found["version"]) == (status, hold, version)
