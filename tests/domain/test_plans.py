"""Plans: what is valid, and which field is named where it is not."""

from datetime import timedelta

import msgspec
import pytest

from gateway.domain import plans
from gateway.domain.overrides import InvalidOverride
from gateway.domain.plans import Plan, Step
from tests.domain.support import NOW

HOUR = timedelta(hours=1)


def step(**changes: object) -> Step:
    plain = {
        "target": "tier3", "action": "shed", "from_at": NOW + HOUR, "until": NOW + 3 * HOUR,
        "reason": "sale",
    }  # fmt: skip
    return Step(**{**plain, **changes})  # type: ignore[arg-type]


def test_a_plan_may_have_steps_that_follow_each_other() -> None:
    later = step(from_at=NOW + 3 * HOUR, until=NOW + 7 * HOUR)
    plans.check(Plan(name="sale", steps=[step(), later, step(target="tier2", action="early")]), NOW)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"target": "nothing"}, "target"),
        ({"target": "callbacks"}, "target"),
        ({"target": "tier1"}, "target"),
        ({"action": "early", "target": "order_lists"}, "mode"),
        ({"until": NOW + HOUR}, "until"),
        ({"until": NOW}, "until"),
        ({"until": NOW + 6 * HOUR}, "until"),
        ({"from_at": NOW - 3 * HOUR, "until": NOW - HOUR}, "until"),
        ({"from_at": NOW + 400 * 24 * HOUR, "until": NOW + 400 * 24 * HOUR + HOUR}, "from_at"),
        ({"from_at": (NOW + HOUR).replace(tzinfo=None)}, "from_at"),
        ({"reason": ""}, "reason"),
        ({"reason": "\n"}, "reason"),
    ],
)
def test_an_invalid_step_is_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidOverride) as wrong:
        plans.check(Plan(name="sale", steps=[step(target="tier2"), step(**changes)]), NOW)
    assert wrong.value.field == f"steps[1].{field}"


def test_two_steps_of_one_target_do_not_overlap() -> None:
    with pytest.raises(InvalidOverride) as wrong:
        plans.check(Plan(name="sale", steps=[step(), step(from_at=NOW + 2 * HOUR)]), NOW)
    assert wrong.value.field == "steps[1].from_at"


@pytest.mark.parametrize("name", ["", "A", "a b", "x" * 65, "a\n", "-a", "ä"])
def test_a_name_is_plain(name: str) -> None:
    with pytest.raises(InvalidOverride):
        plans.check(Plan(name=name, steps=[step()]), NOW)


@pytest.mark.parametrize("count", [0, 51])
def test_a_plan_has_some_steps_and_not_too_many(count: int) -> None:
    steps = [
        msgspec.structs.replace(step(), from_at=NOW + n * HOUR, until=NOW + (n + 1) * HOUR)
        for n in range(count)
    ]
    with pytest.raises(InvalidOverride) as wrong:
        plans.check(Plan(name="sale", steps=steps), NOW)
    assert wrong.value.field == "steps"
