"""The reference pages are what the code says now, and name everything there is."""

import importlib
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client import REGISTRY

from gateway.runtime.settings import Settings
from gateway.web.problem_kinds import KINDS
from ops import cli
from ops.reference import commands, comments, errors, metrics, pages, settings


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_is_as_the_code_is(name: str) -> None:
    assert name not in pages.outdated(), f"run `{pages.COMMAND}` and commit what it writes"


def test_a_page_that_is_missing_or_was_edited_is_outdated(tmp_path: Path) -> None:
    pages.write(tmp_path)
    assert pages.outdated(tmp_path) == []
    (tmp_path / "errors.md").unlink()
    (tmp_path / "settings.md").write_text("# Settings\n")
    assert pages.outdated(tmp_path) == ["settings.md", "errors.md"]


def test_a_comment_behind_code_may_take_two_lines() -> None:
    source = "A = [\n    1,  # one\n    # and only\n    2,  # two\n]\n#: The next.\nB = 3\n"
    assert comments.trailing(source) == {2: "one and only", 4: "two"}
    assert comments.trailing("A = 1  # one\n#: Of B.\nB = 2\n") == {1: "one"}


def test_every_setting_has_its_reason() -> None:
    page = settings.page()
    for name in Settings.__struct_fields__:
        head, _, rest = page.partition(f"### `{name}`\n\n")
        assert head != page, name
        assert rest.partition("\n\n")[0].endswith((".", "`")), name


def test_every_metric_is_named() -> None:
    """Also one that is registered without being a name of its module."""
    for described in metrics.described():
        importlib.import_module(described.module)
    registered = {
        family.name for family in REGISTRY.collect() if family.name.startswith("tidegate_")
    }
    named = {each.name.removesuffix("_total") for each in metrics.described()}
    assert registered == named


def test_every_kind_of_problem_says_what_to_do() -> None:
    page = errors.page()
    for name, kind in KINDS.items():
        assert f"### `{name}`\n\n**{kind.status} {kind.title}**" in page
        assert kind.meaning.endswith(".")
        assert kind.remedy.endswith(".")


def test_the_help_is_what_the_command_prints() -> None:
    shown = dict(commands.helps(cli.main, ("tidegate",)))
    assert {("tidegate", "keys", "create"), ("tidegate", "serve")} <= shown.keys()
    runner = CliRunner()
    for path, help_ in shown.items():
        printed = runner.invoke(
            cli.main, [*path[1:], "--help"], prog_name="tidegate", terminal_width=commands.COLUMNS
        )
        assert printed.stdout == f"{help_}\n", path
