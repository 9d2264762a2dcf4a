"""Settings are read again from the file they came from, and never from none in its place."""

from pathlib import Path

import pytest

from gateway.runtime import settings_source
from gateway.runtime.settings import SettingsError
from gateway.runtime.settings_source import SettingsSource

BASE = {"TIDEGATE_DATABASE_URL": "postgresql://nowhere"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["by default", "named"])
def source(request: pytest.FixtureRequest) -> SettingsSource:
    """A source that has read a file once."""
    settings_source.DEFAULT_FILE.write_text("key_burst = 7\n")
    named = (
        {"TIDEGATE_CONFIG": str(settings_source.DEFAULT_FILE)} if request.param == "named" else {}
    )
    made = SettingsSource({**BASE, **named})
    assert made.load().key_burst == 7
    return made


def test_the_file_is_read_again(source: SettingsSource) -> None:
    settings_source.DEFAULT_FILE.write_text("key_burst = 8\n")
    assert source.load().key_burst == 8


def test_a_file_that_is_gone_is_wrong_until_it_is_back(source: SettingsSource) -> None:
    settings_source.DEFAULT_FILE.unlink()
    for _ in range(2):
        with pytest.raises(SettingsError, match=r"tidegate\.toml cannot be read"):
            source.load()
    settings_source.DEFAULT_FILE.write_text("key_burst = 9\n")
    assert source.load().key_burst == 9


@pytest.mark.parametrize("content", [b"", b" \n\n", b"\xff", b"key_burst = "])
def test_a_file_that_is_being_written_is_wrong(source: SettingsSource, content: bytes) -> None:
    settings_source.DEFAULT_FILE.write_bytes(content)
    with pytest.raises(SettingsError, match=r"tidegate\.toml is (empty|not valid TOML)"):
        source.load()


def test_a_process_that_is_started_later_needs_the_file_too(source: SettingsSource) -> None:
    settings_source.DEFAULT_FILE.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        settings_source.load(source.environ)


def test_without_a_file_one_may_come() -> None:
    source = SettingsSource(BASE)
    assert source.load().key_burst == 100
    settings_source.DEFAULT_FILE.write_text("key_burst = 7\n")
    assert source.load().key_burst == 7
    settings_source.DEFAULT_FILE.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        source.load()


ACCOUNT = """
[[accounts]]
provider = "stripe"
name = "{}"
channels = ["web"]
secrets = ["env:S"]
"""
TARGET = """
[[targets]]
name = "{}"
kind = "webhook"
url = "https://wms.example.com/hand-off"
secrets = ["env:S"]
"""


def with_added(first: str, second: str) -> SettingsSource:
    settings_source.DEFAULT_FILE.write_text(first)
    added = Path("added.toml")
    added.write_text(second)
    return SettingsSource({**BASE, "TIDEGATE_CONFIG_ADDED": str(added)})


def test_a_second_file_adds_accounts_and_targets() -> None:
    first, second = ACCOUNT.format("a") + TARGET.format("a"), ACCOUNT.format("b")
    loaded = with_added(first, second + TARGET.format("b")).load()
    assert [account.name for account in loaded.accounts] == ["a", "b"]
    assert [target.name for target in loaded.targets] == ["a", "b"]


def test_a_second_file_stands_alone_too() -> None:
    loaded = with_added("key_burst = 7\n", TARGET.format("b")).load()
    assert (loaded.key_burst, [target.name for target in loaded.targets]) == (7, ["b"])


def test_a_name_of_both_files_is_wrong() -> None:
    with pytest.raises(SettingsError, match="targets: a is listed twice"):
        with_added(TARGET.format("a"), TARGET.format("a")).load()


def test_a_second_file_holds_nothing_else() -> None:
    with pytest.raises(SettingsError, match=r"added\.toml may hold .* only, not key_burst"):
        with_added("", "key_burst = 7\n").load()


def test_a_second_file_that_is_gone_is_wrong() -> None:
    source = with_added("key_burst = 7\n", TARGET.format("b"))
    source.load()
    Path("added.toml").unlink()
    with pytest.raises(SettingsError, match=r"added\.toml cannot be read"):
        source.load()


@pytest.mark.parametrize("first", ["accounts = 3", 'accounts = "a"'])
def test_what_is_no_list_is_reported_as_without_a_second_file(first: str) -> None:
    with pytest.raises(SettingsError, match="accounts"):
        with_added(first, ACCOUNT.format("b")).load()
