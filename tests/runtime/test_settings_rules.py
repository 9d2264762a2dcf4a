"""Rules are refused when they are read, each fault with the rule, the key and the way out."""

from pathlib import Path
from typing import Any

import pytest

from gateway.intake import screening
from gateway.runtime import settings, settings_source
from gateway.runtime.settings import Settings, SettingsError

_DATABASE = "postgresql://nowhere"


def load(text: str, tmp_path: Path) -> Settings:
    path = tmp_path / "tidegate.toml"
    path.write_text(text)
    return settings_source.load({"TIDEGATE_DATABASE_URL": _DATABASE, "TIDEGATE_CONFIG": str(path)})


def rule(kind: str, *lines: str, name: str = "mine") -> str:
    return "\n".join(["[[rules]]", f'name = "{name}"', f'kind = "{kind}"', *lines, ""])


_FINE = [
    rule("blocked", 'phones = ["+8613800138000", "+86170*"]'),
    rule("blocked", 'buyers = ["#7"]', "stops_hand_off = false"),
    rule("limit", "orders_max = 4", "window_s = 3600"),
    rule("limit", 'per = "buyer_or_phone"', "pieces_max = 2", 'skus = ["TEA-*", "X"]'),
    rule("address", 'countries = ["CN"]', 'postcodes = { CN = ["999999"] }'),
    rule("route", 'warehouse = "a"', 'regions = ["CN/广东省/深圳市"]', "weight_g_max = 5000"),
    rule("route", 'carrier = "sf"', 'attributes = { temperature = ["frozen"] }'),
    rule("release", 'below = ["CNY 50.00", "JPY 500"]', 'releases = ["lookalike"]'),
    rule("expression", "when = 'payable_minor > 1 and country == \"CN\"'"),
    rule("expression", "when = 'is_test'", 'then = "route"', 'warehouse = "t"'),
]


@pytest.mark.parametrize("text", _FINE)
def test_a_rule_that_is_right_is_read(text: str, tmp_path: Path) -> None:
    assert screening.load(load(text, tmp_path)).rules.names == ["mine"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (rule("frob"), "rule 1: kind must be one of address, blocked"),
        (rule("limit", "orders_max = 0"), "rule 1: orders_max must be a whole number from 1"),
        (rule("limit"), "mine (rule 1): orders_max or pieces_max is missing"),
        (rule("limit", "orders_max = 1", 'phones = ["+1"]'), "phones is not for the kind limit"),
        (rule("limit", "max = 1"), "there is no max: is it misspelt?"),
        (rule("blocked"), "phones, buyers or a file of them is missing"),
        (rule("blocked", 'phones = ["+86138", "13912345678"]'), "phone 2 must be written"),
        (rule("blocked", 'phones = ["+1"]', 'channels = ["wbe"]'), "unknown channels wbe"),
        (rule("limit", "orders_max = 1", 'skus = ["A*B"]'), "* stands at the end"),
        (rule("address", 'countries = ["China"]'), "a country is written CN"),
        (rule("address", 'postcodes = { CN = ["[0-9]+"] }'), "postcodes of CN"),
        (rule("route"), "warehouse or carrier is missing"),
        (rule("route", 'warehouse = "a"', 'regions = ["CN / 广东省"]'), "a region is written"),
        (rule("route", 'carrier = "a"', "weight_g_min = 2", "weight_g_max = 1"), "weight_g_min"),
        (rule("release", 'below = ["50"]', 'releases = ["lookalike"]'), "below must have"),
        (rule("release", 'below = ["CNY 5", "CNY 6"]', 'releases = ["lookalike"]'), "two amounts"),
        (rule("release", 'below = ["CNY 5"]', 'releases = ["dear"]'), "no such rule"),
        (rule("release", 'below = ["CNY 5"]', 'releases = ["suspected_brushing"]'), "no such rule"),
        (rule("release", 'below = ["CNY 5"]'), "releases is missing"),
        (rule("expression"), "when is missing"),
        (rule("expression", "when = 'is_test'", 'warehouse = "a"'), 'then = "route"'),
        (_FINE[0] + _FINE[1], "mine (rule 2) is listed twice"),
        (rule("limit", "orders_max = 1", name="lookalike"), "the name of a hold"),
        ("".join(rule("limit", "orders_max = 1", name=f"r{n}") for n in range(101)), "100 at most"),
    ],
)
def test_a_rule_that_is_wrong_is_named_with_the_way_out(
    text: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(text, tmp_path)
    assert says in str(caught.value)
    assert "13912345678" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (rule("expression", "when = 'payable > 1'"), "is it payable_minor?"),
        (rule("release", 'below = ["XXX 5"]', 'releases = ["lookalike"]'), "not an ISO 4217"),
        (rule("release", 'below = ["JPY 5.5"]', 'releases = ["lookalike"]'), "JPY 5.5"),
        (rule("blocked", 'phones_file = "nowhere.txt"'), "nowhere.txt cannot be read"),
    ],
)
def test_what_only_reading_it_finds_is_named_too(text: str, says: str, tmp_path: Path) -> None:
    loaded = load(text, tmp_path)
    with pytest.raises(SettingsError, match=r"rules: mine \(rule 1\): ") as caught:
        screening.load(loaded)
    assert says in str(caught.value)


def _listed(tmp_path: Path, content: bytes) -> Any:
    file = tmp_path / "phones.txt"
    file.write_bytes(content)
    return screening.load(load(rule("blocked", f'phones_file = "{file}"'), tmp_path))


def test_a_file_has_a_number_a_line_and_says_why_behind_it(tmp_path: Path) -> None:
    found = _listed(tmp_path, b"\xef\xbb\xbf# bad ones\r\n+8613800138000  # twice\r\n\r\n+86170*\n")
    assert list(found.files) == ["mine"]
    other = _listed(tmp_path, b"+8613800138001\n")
    assert other.files != found.files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"+8613800138000\n13912345678\n", "line 2 of"),
        (b"+86\xff", "not UTF-8"),
        (b"+1\n" * (screening.FILE_LINES_MAX + 1), "lines"),
        (b"#" * (screening.FILE_BYTES_MAX + 1), "bytes"),
    ],
)
def test_a_file_that_is_wrong_or_too_long_is_refused_without_its_numbers(
    content: bytes, says: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        _listed(tmp_path, content)
    assert says in str(caught.value) and "13912345678" not in str(caught.value)


def test_what_is_shown_has_no_numbers_and_no_defaults(tmp_path: Path) -> None:
    shown = settings.shown(load(_FINE[0], tmp_path))["rules"]
    assert shown == [{"name": "mine", "kind": "blocked", "phones": "2 configured"}]
