"""Overrides: which requests are valid, and which of two overrides counts."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import features, overrides
from gateway.domain.overrides import InvalidOverride, Override, OverrideRequest


def override(target: str, action: overrides.Action, **changes: object) -> Override:
    plain = {"reason": "r", "actor": "a", "left_s": 60.0}
    return Override(target, action, **{**plain, **changes})  # type: ignore[arg-type]


def test_an_override_of_a_tier_is_one_of_each_of_its_features() -> None:
    lists = {each.name for each in features.FEATURES if each.tier == 3}
    assert overrides.active_actions([override("tier3", "shed")]) == dict.fromkeys(lists, "shed")


@pytest.mark.parametrize("is_tier_first", [True, False])
def test_an_override_of_a_feature_beats_one_of_its_tier(is_tier_first: bool) -> None:
    given = [override("tier3", "shed"), override("order_lists", "admit")]
    actions = overrides.active_actions(given if is_tier_first else given[::-1])
    assert actions["order_lists"] == "admit"


def test_pending_and_ended_overrides_are_not_active() -> None:
    assert overrides.active_actions([override("callbacks", "shed", is_pending=True)]) == {}
    assert overrides.active_actions([override("order_lists", "shed", left_s=0.0)]) == {}


def test_an_immediate_override_beats_a_planned_one() -> None:
    planned = override("order_lists", "shed", plan="sale")
    assert overrides.active_actions([planned])["order_lists"] == "shed"
    assert overrides.active_actions([override("tier3", "admit"), planned])["order_lists"] == "admit"
    assert (
        overrides.active_actions([override("order_lists", "shed", plan="sale", starts_s=1.0)]) == {}
    )


def test_other_requests_are_of_tier_4_and_one_person_may_shed_them() -> None:
    assert overrides.features_of("other") == [features.OTHER]
    assert features.OTHER in overrides.features_of("tier4")
    assert (
        overrides.active_actions([override("tier4", "shed"), override("other", "admit")])["other"]
        == "admit"
    )
    assert not overrides.needs_approval("other", "shed")


@pytest.mark.parametrize("target", ["order_lists", "tier0", "tier1", "callbacks"])
def test_early_applies_to_whole_tiers_from_2_on(target: str) -> None:
    overrides.check(OverrideRequest("tier2", "early", 60.0, "r", "a"))
    with pytest.raises(InvalidOverride):
        overrides.check(OverrideRequest(target, "early", 60.0, "r", "a"))


def test_no_person_alone_sheds_the_core() -> None:
    alone = {target for target in overrides.targets() if overrides.needs_approval(target, "shed")}
    assert alone == {"callbacks", "order_submission", "tier0", "tier1"}
    assert not any(overrides.needs_approval(target, "admit") for target in overrides.targets())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"target": "nothing"}, "target"),
        ({"target": ""}, "target"),
        ({"target": "tier9"}, "target"),
        ({"action": "maybe"}, "mode"),
        ({"for_s": 0.0}, "for_s"),
        ({"for_s": -5.0}, "for_s"),
        ({"for_s": 4 * 3600.0 + 1}, "for_s"),
        ({"for_s": float("nan")}, "for_s"),
        ({"for_s": float("inf")}, "for_s"),
        ({"reason": ""}, "reason"),
        ({"reason": "  "}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"reason": "\udc80"}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"actor": ""}, "actor"),
    ],
)
def test_an_invalid_request_names_its_field(changes: dict[str, object], field: str) -> None:
    plain = {"target": "order_lists", "action": "shed", "for_s": 60.0, "reason": "r", "actor": "a"}
    overrides.check(OverrideRequest(**plain))  # type: ignore[arg-type]
    with pytest.raises(InvalidOverride) as wrong:
        overrides.check(OverrideRequest(**{**plain, **changes}))  # type: ignore[arg-type]
    assert wrong.value.field == field


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1h30m", 5400), ("90s", 90), ("90", 90), ("4h", 14400), (" 5M ", 300)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert overrides.parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "m", "1.5h", "-5m", "5m\n5m", "1e9", "½h", "٣m"])
def test_an_invalid_duration_is_rejected(text: str) -> None:
    with pytest.raises(InvalidOverride):
        overrides.parse_duration_s(text)


@given(st.text(max_size=12))
def test_no_text_breaks_the_reading_of_durations(text: str) -> None:
    with contextlib.suppress(InvalidOverride):
        assert overrides.parse_duration_s(text) >= 0
