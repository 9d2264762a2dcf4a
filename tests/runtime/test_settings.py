"""Settings: read from file and environment, refused when they contradict, secrets never shown."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.runtime import settings, settings_source
from gateway.runtime.settings import Account, Channel, Settings, SettingsError
from ops import effective

_URL = "postgresql://tidegate:Tr0ub4dor@db/tidegate"
_BASE = {"TIDEGATE_DATABASE_URL": _URL}
_ACCOUNT = """
[[accounts]]
provider = "stripe"
name = "main"
channels = ["web"]
secrets = ["env:STRIPE"]
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _load(text: str | None = None, **variables: str) -> Settings:
    environ = {**_BASE, **variables}
    if text is not None:
        Path("some.toml").write_text(text, "utf-8")
        environ["TIDEGATE_CONFIG"] = "some.toml"
    return settings_source.load(environ)


def test_the_environment_alone_is_enough() -> None:
    assert _load() == Settings(database_url=_URL)


def test_the_environment_beats_the_file_and_the_file_the_default() -> None:
    loaded = _load("port = 9000\ndrain_s = 20\n", TIDEGATE_PORT="9001")
    assert (loaded.port, loaded.drain_s, loaded.host) == (9001, 20.0, "127.0.0.1")


def test_the_file_beside_us_is_read_without_being_named() -> None:
    settings_source.DEFAULT_FILE.write_text("port = 9000\n")
    assert settings_source.load(_BASE).port == 9000
    Path("named.toml").write_text("port = 9001\n")
    assert settings_source.load({**_BASE, "TIDEGATE_CONFIG": "named.toml"}).port == 9001


def test_channels_and_accounts_come_from_the_file_only() -> None:
    text = f'[[channels]]\nname = "web"\nlookalike = "replay"\n{_ACCOUNT}'
    loaded = _load(text, TIDEGATE_CHANNELS="nonsense", TIDEGATE_ACCOUNTS="nonsense")
    assert loaded.channels == [Channel("web", "replay")]
    assert loaded.accounts == [Account("stripe", "main", ["web"], ["env:STRIPE"])]


@pytest.mark.parametrize(
    ("line", "is_right"),
    [
        ('parts = "accept"', True),
        ('parts = "single"', True),
        ('parts = "several"', False),
        ("parts = true", False),
        ('recipient = "optional"', True),
        ('recipient = "none"', False),
        ('paid_by = "platform"', True),
        ('paid_by = "shop"', False),
        ("lookalike_window_s = 0", True),
        ("lookalike_window_s = 600", True),
        ("lookalike_window_s = 601", False),
        ("lookalike_window_s = -1", False),
        ("unpaid_timeout_s = 0", True),
        ("unpaid_timeout_s = 1800", True),
        ("unpaid_timeout_s = -1", False),
        ("unpaid_timeout_s = 99999999", False),
    ],
)
def test_the_rules_of_a_channel_have_bounds(line: str, is_right: bool) -> None:
    text = f'[[channels]]\nname = "web"\n{line}\n'
    if is_right:
        name, value = (part.strip().strip('"') for part in line.split("="))
        assert str(getattr(_load(text).channels[0], name)) == value
    else:
        with pytest.raises(
            SettingsError, match=f"channel 1: {line.split(' ', maxsplit=1)[0]} must be"
        ):
            _load(text)


def test_variables_of_others_are_left_alone() -> None:
    assert _load(TIDEGATE_PG_BIN="/x", HOST="example.org").host == "127.0.0.1"


def test_without_a_database_there_is_nothing_to_run() -> None:
    with pytest.raises(SettingsError, match="TIDEGATE_DATABASE_URL=postgresql://"):
        settings_source.load({})


@pytest.mark.parametrize(
    ("text", "variables", "complaint"),
    [
        ("channels = []", {}, "at least one"),
        ('[[channels]]\nname = "web"\n[[channels]]\nname = "web"', {}, "each named once"),
        (_ACCOUNT + _ACCOUNT, {}, "stripe/main is listed twice"),
        (_ACCOUNT.replace('"web"', '"wbe"'), {}, "unknown channels wbe"),
        ("", {"DATABASE_POOL_MAX": "4"}, "database_pool_max is 4"),
        ("", {"BATCHES_IN_FLIGHT": "4"}, "need 11"),
        ("", {"BUSINESS_ZONE": "Asia/Nowhere"}, "business_zone: 'Asia/Nowhere' is no time zone"),
        ("", {"NIGHTLY_AT": "2:00"}, "NIGHTLY_AT must"),
        ("", {"COMMIT_S": "10"}, "commit_s must be below drain_s"),
        ("", {"REDIS_URL": "http://r"}, "redis_url must be written redis://"),
        *(
            ("", {"INVENTORY_URL": url}, "inventory_url must be written https://")
            for url in (
                "stock.example/ask",
                "ftp://h/x",
                "http://",
                "http://:80/x",
                "http://h:99999/x",
                "http://[::1/x",
                "http://a b/x",
                "http://u:hush@h/x",
            )
        ),
        *(
            ("", {"PUBLIC_URL": url}, "public_url must be written https://")
            for url in ("h.example", "ftp://h", "https://h/", "https://h?a=b", "https://u:p@h")
        ),
        ("", {"REPLICA_URLS": "postgresql://r", "REPLICA_WAIT_S": "3"}, "replica_wait_s"),
    ],
)
def test_a_contradiction_is_refused(
    text: str, variables: Mapping[str, str], complaint: str
) -> None:
    named = {f"TIDEGATE_{name}": value for name, value in variables.items()}
    with pytest.raises(SettingsError, match=complaint):
        _load(text, **named)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "-1"),
        ("port", "65536"),
        ("port", "http"),
        ("drain_s", "0"),
        ("drain_s", "-3"),
        ("batch_rows_max", "0"),
        ("batches_in_flight", "9"),
        ("connections_max", "many"),
        ("log_level", "loud"),
        ("raw_months", "1.5"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(name: str, value: str) -> None:
    variable = f"TIDEGATE_{name.upper()}"
    with pytest.raises(SettingsError, match=f"^{variable} must be (a|one of) ") as refused:
        _load(**{variable: value})
    assert "`" not in str(refused.value)


def test_all_wrong_values_are_named_at_once_where_they_stand() -> None:
    with pytest.raises(SettingsError) as refused:
        _load('drain_s = "soon"\nport = 1\n', TIDEGATE_PORT="http", TIDEGATE_LOG_LEVEL="loud")
    assert str(refused.value) == (
        "TIDEGATE_PORT must be a whole number from 0 to 65535; "
        "drain_s must be a number above 0 and up to 604800; "
        "TIDEGATE_LOG_LEVEL must be one of debug, error, info, warning"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prot = 9000", "there is no prot: is it misspelt"),
        ("accounts = 3", "accounts must be a list"),
        ('[[channels]]\nname = "Web!"', r"channel 1: name must be written as \[a-z0-9_\]\{1,32\}$"),
        ('[[channels]]\nname = "web"\nlook_alike = "hold"', "channel 1: there is no look_alike"),
        ('[[channels]]\nname = "a"\n[[channels]]\nlookalike = "off"', "channel 2: name is missing"),
        (
            '[[channels]]\nname = "a"\nlookalike = "no"',
            "channel 1: lookalike must be one of hold, off, replay",
        ),
        (_ACCOUNT.replace('["env:STRIPE"]', "[]"), "account 1: secrets must be a list of 1 to 2"),
        (_ACCOUNT.replace('["env:STRIPE"]', '["env:A", "env:B", "env:C"]'), "secrets"),
        (_ACCOUNT.replace('["env:STRIPE"]', "[1]"), "account 1: secret 1 must be text in quotes"),
        (_ACCOUNT.replace('channels = ["web"]', "channels = []"), "channels"),
    ],
)
def test_what_the_file_may_not_say_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        _load(text)


def test_a_file_that_is_named_must_be_there() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml cannot be read"):
        settings_source.load({**_BASE, "TIDEGATE_CONFIG": "nowhere.toml"})


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2\n"])
def test_a_file_that_is_no_toml_is_named(content: bytes) -> None:
    Path("broken.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"broken\.toml is not valid TOML") as refused:
        settings_source.load({**_BASE, "TIDEGATE_CONFIG": "broken.toml"})
    assert "codec" not in str(refused.value)


def test_a_secret_comes_from_the_environment_or_a_file() -> None:
    Path("secret").write_text("hush\n")
    assert settings.secret("env:A", {"A": "hush"}) == "hush"
    assert settings.secret("file:secret") == "hush"


@pytest.mark.parametrize("reference", ["env:NOT_SET", "env:EMPTY", "file:nowhere", "file:empty"])
def test_a_secret_that_is_not_there_is_named(reference: str) -> None:
    Path("empty").write_text("\n")
    with pytest.raises(SettingsError, match=reference):
        settings.secret(reference, {"EMPTY": ""})


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ("/dev/zero", "has more than 1048576 characters"),
        ("/", "cannot be read: Is a directory$"),
        ("a\x00b", "cannot be read: embedded null byte$"),
        ("latin", "cannot be read: its byte 2 is not UTF-8$"),
        ("nowhere/at/all", "cannot be read: No such file or directory$"),
    ],
)
def test_a_file_that_holds_no_secret_is_named(where: str, complaint: str) -> None:
    Path("latin").write_bytes(b"ab\xff")
    with pytest.raises(SettingsError, match=complaint) as refused:
        settings.secret(f"file:{where}")
    assert str(refused.value).startswith(f"secret file:{where} ")


def test_a_secret_written_as_it_is_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="env:NAME or file:PATH") as refused:
        settings.secret("whsec_hush", {})
    assert "hush" not in str(refused.value)


def test_shown_settings_hold_no_secret_and_nothing_else_is_hidden() -> None:
    loaded = Settings(
        database_url=_URL,
        replica_urls="postgresql://u:hush1@r",
        redis_url="redis://:hush2@r",
        journal_url="redis://:hush5@j",
        accounts=[Account("stripe", "main", ["web"], ["env:HUSH3", "file:/hush4"])],
        inventory_token="hush6",
    )
    shown = settings.shown(loaded)
    complaint = str(shown).lower()
    assert "hush" not in complaint
    assert "tr0ub4dor" not in complaint
    assert shown["accounts"][0]["secrets"] == ["configured", "configured"]
    plain: dict[str, Any] = msgspec.to_builtins(loaded)
    hidden = {
        "database_url", "replica_urls", "redis_url", "journal_url", "accounts", "inventory_token",
    }  # fmt: skip
    assert {name for name in plain if plain[name] != shown[name]} == hidden
    assert settings.shown(Settings(database_url=_URL))["redis_url"] == "not set"


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_says_why_it_is_as_it_is(name: str) -> None:
    assert len(effective.reasons()[name]) > 20


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_a_setting_in_seconds_or_bytes_says_so_in_its_name(name: str) -> None:
    first = effective.reasons()[name].partition(" ")[0]
    assert (first == "Seconds") == name.endswith("_s")


def test_every_setting_is_declared_once() -> None:
    source = inspect.getsource(Settings)
    for name in Settings.__struct_fields__:
        assert source.count(f"\n    {name}: ") == 1
