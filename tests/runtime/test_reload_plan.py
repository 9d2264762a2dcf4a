"""What a reload changes is named, never a secret; what it cannot change stays and is named too."""

from typing import Any

import msgspec
import pytest

from gateway.runtime import reload_plan
from gateway.runtime.live import Limits
from gateway.runtime.reload_plan import Configuration, ConfiguredAccount, ConfiguredTarget, Plan
from gateway.runtime.settings import Account, Channel, Settings, SettingsError
from gateway.runtime.settings_rules import Rule
from gateway.runtime.settings_targets import Target

WEB, APP = Channel("web"), Channel("app")
URL = "postgresql://tidegate:hush@db/tidegate"


def account(name: str, *secrets: str, **changes: Any) -> ConfiguredAccount:
    made = Account("stripe", name, **{"channels": ["web"], "secrets": ["file:s"], **changes})
    return ConfiguredAccount(made, tuple(map(reload_plan.digest, secrets or ["one"])))


def target(name: str, *secrets: str, **changes: Any) -> ConfiguredTarget:
    made = Target(name=name, **{"kind": "webhook", "url": "https://h/", **changes})
    return ConfiguredTarget(made, tuple(map(reload_plan.digest, secrets or ["one"])))


def configured(*accounts: ConfiguredAccount, token: str = "", **settings: Any) -> Configuration:
    return Configuration(
        settings=Settings(**{"database_url": URL, "channels": [WEB, APP], **settings}),
        accounts={reload_plan.label(each.account): each for each in accounts},
        inventory_token=reload_plan.digest(token),
    )


def planned(before: Configuration, after: Configuration) -> Plan:
    return reload_plan.plan(before, after, limits=Limits.__struct_fields__)


def test_everything_that_changes_is_in_one_line() -> None:
    before = configured(
        account("main", "one"), account("old"), token="t", key_requests_per_s_max=50
    )
    after = configured(
        account("eu"), account("main", "two", "one"), token="u", key_requests_per_s_max=80,
        channels=[msgspec.structs.replace(WEB, lookalike="off"), Channel("store")],
        order_bytes_max=1_000_000,
    )  # fmt: skip
    assert planned(before, after).text() == (
        "accounts + stripe/eu, ~ stripe/main (secrets), - stripe/old; "
        "channels + store, ~ web (lookalike hold -> off), - app; "
        "limits order_bytes_max 262144 -> 1000000, key_requests_per_s_max 50 -> 80; "
        "secrets ~ inventory_token"
    )
    assert planned(before, after).needs_restart == []


def test_without_a_change_nothing_is_said() -> None:
    same = configured(account("main"))
    assert planned(same, same) == Plan([], [], [], [], [], [], [])
    assert planned(same, same).text() == "nothing"


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (account("main", "two"), "secrets"),
        (account("main", "one", "two"), "secrets"),
        (account("main", options={"livemode": False}), "options"),
        (account("main", channels=["web", "app"]), "channels"),
        (account("main", is_test=True), "is_test"),
        (account("main", "two", options={"a": 1}, channels=["app"]), "secrets, options, channels"),
    ],
)
def test_an_account_that_changed_says_in_what(changed: ConfiguredAccount, what: str) -> None:
    plan = planned(configured(account("main")), configured(changed))
    assert plan.accounts == [f"~ stripe/main ({what})"]


def test_a_secret_that_is_elsewhere_now_and_reads_the_same_is_no_change() -> None:
    moved = account("main", secrets=["env:S"])
    assert planned(configured(account("main")), configured(moved)).accounts == []


def test_the_rate_of_a_channel_is_named_with_both_values() -> None:
    limited = Channel("web", orders_per_s_max=0.5, orders_burst=20)
    plan = planned(configured(), configured(channels=[limited, APP]))
    assert plan.channels == ["~ web (orders_per_s_max 0 -> 0.5, orders_burst 100 -> 20)"]


def test_each_rule_of_a_channel_that_changed_is_named_with_both_values() -> None:
    other = Channel(
        "web", lookalike_window_s=5, parts="single", recipient="optional", paid_by="platform",
        unpaid_timeout_s=900,
    )  # fmt: skip
    assert planned(configured(), configured(channels=[other, APP])).channels == [
        "~ web (lookalike_window_s 10 -> 5, parts accept -> single, "
        "recipient required -> optional, paid_by provider -> platform, unpaid_timeout_s 0 -> 900)"
    ]


def test_what_needs_a_restart_is_named_without_its_value() -> None:
    after = configured(port=9000, database_url=URL + "x", key_burst=7)
    plan = planned(configured(), after)
    assert plan.needs_restart == ["database_url", "port"]
    assert plan.text() == "limits key_burst 100 -> 7"
    assert "hush" not in repr(plan)


def test_what_needs_a_restart_stays_in_force() -> None:
    before = configured().settings
    after = configured(port=9000, key_burst=7, channels=[WEB]).settings
    merged = reload_plan.in_force(before, after)
    assert merged == msgspec.structs.replace(before, key_burst=7, channels=[WEB])


def test_what_changes_may_not_contradict_what_stays() -> None:
    """No two settings do so today; were one to, it would be refused."""
    before, after = configured().settings, configured().settings
    broken = msgspec.structs.replace(before, commit_s=10.0, drain_s=10.0)
    with pytest.raises(SettingsError, match="commit_s must be below drain_s"):
        reload_plan.in_force(broken, after)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (target("wms", "two"), "secrets"),
        (target("wms", "one", topics=["order.paid"]), "topics"),
        (target("wms", "one", url="https://other/", has_private=True), "url, has_private"),
    ],
)
def test_a_changed_target_is_named_with_what_changed(changed: ConfiguredTarget, what: str) -> None:
    before = Configuration(configured().settings, targets={"wms": target("wms", "one")})
    after = Configuration(before.settings, targets={"wms": changed, "erp": target("erp")})
    assert planned(before, after).text() == f"targets + erp, ~ wms ({what})"


def test_a_limit_that_the_process_does_not_use_is_not_named() -> None:
    plan = reload_plan.plan(configured(), configured(key_burst=7, port=1), limits=frozenset())
    assert (plan.limits, plan.needs_restart) == ([], ["port"])


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_changes_live_or_needs_a_restart(name: str) -> None:
    """No difference is passed over: each is named, as one or the other."""
    before = configured()
    value = getattr(before.settings, name)
    other: Any = f"{value}x"
    if isinstance(value, int | float):
        other = value + 1
    elif isinstance(value, list):
        rule = Rule(name="bad", kind="blocked", buyers=["b"])
        other = value[:1] or ([rule] if name == "rules" else ["another"])
    after = Configuration(settings=msgspec.structs.replace(before.settings, **{name: other}))
    after = msgspec.structs.replace(
        after, inventory_token=reload_plan.digest("t"), targets={"wms": target("wms")}
    )
    plan = planned(configured(account("main")), after)
    live = {"accounts": plan.accounts, "channels": plan.channels, "inventory_token": plan.secrets}
    live |= {"targets": plan.targets, "rules": plan.rules}
    found = bool(live.get(name)) or any(line.startswith(f"{name} ") for line in plan.limits)
    assert found == (name in reload_plan.LIVE)
    assert plan.needs_restart == ([] if name in reload_plan.LIVE else [name])


def test_rules_are_named_by_their_keys_and_never_by_what_they_hold() -> None:
    def of(*rules: Rule, **files: bytes) -> Configuration:
        return Configuration(
            msgspec.structs.replace(configured().settings, rules=list(rules)), rule_files=files
        )

    bad = Rule(name="bad", kind="blocked", phones=["+8613800138000"], phones_file="f")
    worse = msgspec.structs.replace(bad, phones=["+8613800138001"])
    west = Rule(name="west", kind="route", warehouse="w")
    for before, after, said in (
        (of(), of(bad), "rules + bad"),
        (of(bad), of(), "rules - bad"),
        (of(bad), of(worse), "rules ~ bad (phones)"),
        (of(bad, bad=b"1"), of(bad, bad=b"2"), "rules ~ bad (what its files hold)"),
        (of(bad, west), of(west, bad), "rules ~ their order"),
        (of(bad, west), of(bad, west), "nothing"),
    ):
        assert planned(before, after).text() == said
