"""When a figure becomes an alert, when that is taken back, and what the settings change."""

from pathlib import Path
from typing import Any

import pytest

from gateway.domain import alert_settings, alerts
from gateway.domain.alerts import CLEAR_S, RULES, AlertRule, Watch
from gateway.runtime.settings_alerts import AlertSetting
from tests.domain.support import NOW

ROOT = Path(__file__).parents[2]

RULE = AlertRule("r", "figure", 5, 3, "page", "It is high", "page.md")


def told(rule: AlertRule, *values: tuple[float, float | None]) -> list[str]:
    """Return the state after each (second, value)."""
    watch = Watch()
    return [alerts.judge(rule, watch, value, at) for at, value in values]


def test_it_fires_after_its_time_and_is_resolved_after_ours() -> None:
    f, r = "firing", "resolved"
    assert told(RULE, (0, 5), (2.9, 9), (3, 5)) == [r, r, f]
    # Right for a moment is not right.
    assert told(RULE, (0, 5), (3, 5), (4, 1), (5, 6), (6, 1), (6 + CLEAR_S, 1)) == [
        r, f, f, f, f, r,
    ]  # fmt: skip
    # Wrong for a moment is not wrong.
    assert told(RULE, (0, 5), (2, 1), (3, 5), (5.9, 5)) == [r, r, r, r]


def test_what_is_not_known_changes_nothing() -> None:
    assert told(RULE, (0, 5), (3, 5), (4, None), (100, None)) == [
        "resolved", "firing", "firing", "firing",
    ]  # fmt: skip
    assert told(RULE, (0, None), (3, None)) == ["resolved", "resolved"]


def test_a_rule_may_fire_below_its_threshold() -> None:
    below = AlertRule("r", "figure", 1, 0, "page", "None is left", "page.md", is_below=True)
    assert told(below, (0, 1), (1, 0)) == ["resolved", "firing"]


def test_the_names_of_the_rules_are_their_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    # A message is out within 12 s: a reading every 2 s that may take 2 s, and a channel a second.
    assert all(rule.for_s <= 5 for rule in RULES if rule.severity == "page")


def test_every_rule_has_its_page() -> None:
    for rule in RULES:
        assert (ROOT / "ops" / rule.runbook).is_file(), rule.name


def test_the_settings_change_rules_and_turn_them_off() -> None:
    rules = {
        rule.name: rule
        for rule in alert_settings.rules(
            [
                AlertSetting("parked", threshold=10, channels=["chat"]),
                AlertSetting("shedding", is_on=False),
            ]
        )
    }
    assert (rules["parked"].threshold, rules["parked"].channels) == (10, ("chat",))
    assert rules["parked"].runbook == "runbooks/held-and-parked.md"
    assert "shedding" not in rules
    assert len(rules) == len(RULES) - 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([AlertSetting("weather")], "weather is no alert"),
        ([AlertSetting("parked"), AlertSetting("parked")], "listed twice"),
        ([AlertSetting("parked", channels=["chat", "sms"])], "unknown channels sms"),
        ([AlertSetting("parked", channels=["chat"])], ""),
    ],
)
def test_settings_that_are_wrong_are_named(settings: Any, expected: str) -> None:
    found = alert_settings.fault(settings, ["chat"])
    assert expected in found
    assert bool(found) == bool(expected)


def test_a_message_has_value_threshold_and_runbook() -> None:
    made = alerts.message(RULE, "firing", 7.5, NOW, runbook_url="https://docs.example/")
    assert alerts.title(made) == "FIRING: It is high"
    text = "\n".join(alerts.lines(made))
    assert "r (page): 7.5, threshold 5" in text
    assert "runbook: https://docs.example/page.md" in text
    resolved = alerts.message(RULE, "resolved", 1, NOW, runbook_url="")
    assert alerts.title(resolved) == "RESOLVED: It is high"
