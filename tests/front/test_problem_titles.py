"""Problems that a front answers itself read as those of the gateway."""

import re
from pathlib import Path

import pytest

from gateway.web.problem_kinds import KINDS

FRONTS = Path(__file__).resolve().parents[2] / "ops/front"
_PROBLEM = re.compile(r'"type":"/problems/([a-z-]+)","title":"([^"]*)"')


@pytest.mark.parametrize("name", ["haproxy.cfg", "nginx.conf"])
def test_a_type_has_one_title_whoever_answers(name: str) -> None:
    found = _PROBLEM.findall((FRONTS / name).read_text("utf-8"))
    assert len(found) >= 4
    assert [(kind, title) for kind, title in found if title != KINDS[kind].title] == []
