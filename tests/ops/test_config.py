"""``tidegate config``: the effective settings, their sources, and an example file."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.runtime import settings, settings_source
from ops import effective
from tests.ops.conftest import Cli

_URL = "postgresql://tidegate:Tr0ub4dor@db/tidegate"


def _by_name(output: str) -> dict[str, dict[str, Any]]:
    return {line["name"]: line for line in json.loads(output)}


def test_each_setting_is_shown_with_its_source(bare: Cli) -> None:
    Path("tidegate.toml").write_text("port = 9000\ndrain_s = 20\n")
    lines = _by_name(bare("config", "--json", TIDEGATE_PORT="9001").stdout)
    assert (lines["port"]["value"], lines["port"]["source"]) == (9001, "environment")
    assert (lines["drain_s"]["value"], lines["drain_s"]["source"]) == (20.0, "file")
    assert (lines["host"]["value"], lines["host"]["source"]) == ("127.0.0.1", "default")
    assert lines["port"]["default"] == 8080
    assert lines["drain_s"]["reason"].startswith("Seconds to finish")


def test_the_role_is_shown_and_a_wrong_one_is_an_error(bare: Cli) -> None:
    line = _by_name(bare("config", "--json", TIDEGATE_ROLE="core").stdout)["role"]
    assert (line["value"], line["default"], line["source"]) == ("core", "all", "environment")
    wrong = bare("config", TIDEGATE_ROLE="both")
    assert wrong.exit_code == 2
    assert wrong.stderr == "Error: TIDEGATE_ROLE must be one of all, core, query\n"


def test_the_table_names_every_setting(bare: Cli) -> None:
    run = bare("config", TIDEGATE_DATABASE_URL=_URL)
    assert run.exit_code == 0
    for name in settings.Settings.__struct_fields__:
        assert re.search(rf"^{name} ", run.stdout, re.MULTILINE)


def test_every_setting_is_printed_with_its_unit_default_and_reason(bare: Cli) -> None:
    run = bare("config", TIDEGATE_DRAIN_S="20", TIDEGATE_DATABASE_URL=_URL)
    assert run.exit_code == 0
    text = " ".join(run.stdout.split())
    for name, reason in effective.reasons().items():
        assert f"{name} = " in text
        assert " ".join(reason.split()) in text
    assert "drain_s = 20 s (from TIDEGATE_DRAIN_S, default 10)" in text
    assert "order_bytes_max = 262144 bytes (default)" in text
    assert "--- lifecycle ---" in text


@pytest.mark.parametrize("name", settings.Settings.__struct_fields__)
def test_a_number_has_a_unit_and_nothing_else_has(name: str) -> None:
    default = effective.defaults().get(name)
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    assert bool(effective.unit(name)) == is_number


def test_some_settings_alone(bare: Cli) -> None:
    run = bare("config", "TIDEGATE_DRAIN_S", "journal_s")
    assert re.findall(r"^(\w+) = ", run.stdout, re.MULTILINE) == ["journal_s", "drain_s"]
    found = bare("config", "replica").stdout
    assert re.findall(r"^(\w+) = ", found, re.MULTILINE) == [
        "replica_urls", "replica_pool_max", "replica_wait_s", "replica_lag_max_s",
    ]  # fmt: skip
    unknown = bare("config", "drian")
    assert (unknown.exit_code, "no setting has 'drian'" in unknown.stderr) == (2, True)


def test_what_is_not_at_its_default_alone(bare: Cli) -> None:
    run = bare("config", "--changed", TIDEGATE_PORT="9001")
    assert re.findall(r"^(\w+) = ", run.stdout, re.MULTILINE) == ["port"]
    assert bare("config", "--changed").stdout == ""
    assert bare("config", "--changed", "--json").stdout == "[]\n"


@pytest.mark.parametrize("width", [50, 80, 120])
def test_it_fits_the_terminal(bare: Cli, width: int) -> None:
    for form in ([], ["--short"]):
        run = bare("config", *form, COLUMNS=str(width))
        assert max(map(len, run.stdout.splitlines())) <= width


def test_secrets_read_configured(bare: Cli) -> None:
    for form in ([], ["--json"]):
        run = bare(
            "config",
            *form,
            TIDEGATE_DATABASE_URL=_URL,
            TIDEGATE_REDIS_URL="redis://:hush@r",
            TIDEGATE_JOURNAL_URL="redis://:hush@j",
            TIDEGATE_INVENTORY_URL="http://stock/ask",
            TIDEGATE_INVENTORY_TOKEN="hush",
        )
        assert "configured" in run.stdout
        assert "http://stock/ask" in run.stdout
        assert "Tr0ub4dor" not in run.stdout
        assert "hush" not in run.stdout


def test_a_database_that_is_not_set_is_shown_as_such(bare: Cli) -> None:
    lines = _by_name(bare("config", "--json").stdout)
    assert (lines["database_url"]["value"], lines["database_url"]["source"]) == (
        "not set",
        "default",
    )


def test_a_contradiction_is_reported_in_one_sentence(bare: Cli) -> None:
    run = bare("config", TIDEGATE_DRAIN_S="1")
    assert run.exit_code == 2
    assert run.stderr.startswith("Error: commit_s must be below drain_s")


def test_the_example_loads_as_it_is(bare: Cli, tmp_path: Path) -> None:
    example = tmp_path / "example.toml"
    example.write_text(bare("config", "--example").stdout)
    loaded = settings_source.load({"TIDEGATE_CONFIG": str(example)})
    assert loaded == settings.Settings(database_url=loaded.database_url)


def test_the_example_shows_the_true_default_of_every_setting(bare: Cli, tmp_path: Path) -> None:
    shown = bare("config", "--example").stdout
    # Prose has a space after its `#`, settings have none.
    live = re.sub(r"^#(?! [A-Z`a-z])", "", shown, flags=re.MULTILINE)
    example = tmp_path / "example.toml"
    example.write_text(live)
    loaded = settings_source.load({"TIDEGATE_CONFIG": str(example)})
    account = loaded.accounts.pop()
    assert (account.provider, account.name) == ("stripe", "main")
    target = loaded.targets.pop()
    assert (target.name, target.kind) == ("warehouse", "webhook")
    assert (loaded.alert_channels.pop().kind, loaded.alerts.pop().name) == ("feishu", "parked")
    policy = loaded.exceptions.pop()
    assert (policy.name, policy.owner) == ("dispute", "finance")
    rules = {rule.name: rule.kind for rule in loaded.rules}
    assert rules == {"blocked-phones": "blocked", "five-an-hour": "limit"}
    loaded.rules.clear()
    assert loaded == settings.Settings(database_url=loaded.database_url)
    for name in effective.defaults():
        assert name in live
