"""A telephone number has one spelling, no order is lost for it, and hardly any of it is shown."""

# ruff: noqa: RUF001  # full-width characters are what is tested here

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import phones

#: What stored orders are found by already. None of these may ever change.
PINNED = [
    ("CN", "+8613800138000", ["13800138000", "+86 138-0013-8000", "8613800138000"]),
    ("CN", "+8601012345678", ["010-12345678", "(010) 1234 5678", "+86 010 12345678"]),
    ("CN", "+864001234567", ["400-123-4567"]),
    ("HK", "+85291234567", ["9123 4567", "+852 9123 4567"]),
    ("MO", "+85366123456", ["6612 3456", "+853 6612 3456"]),
    ("TW", "+886912345678", ["0912-345-678", "+886 912 345 678", "912345678"]),
    ("US", "+14155552671", ["(415) 555-2671", "+1 415 555 2671", "1.415.555.2671"]),
    ("CA", "+16135550123", ["613-555-0123"]),
    ("JP", "+819012345678", ["090-1234-5678", "+81 90 1234 5678"]),
    ("KR", "+821023456789", ["010-2345-6789", "82 10 2345 6789"]),
    ("SG", "+6591234567", ["9123 4567", "6591234567"]),
    ("GB", "+442079460958", ["020 7946 0958", "+44 20 7946 0958"]),
    ("DE", "+4930123456", ["030 123456", "+49 30 123456"]),
    ("FR", "+33142685300", ["01 42 68 53 00", "+33\u00a01\u00a042685300"]),
    ("AU", "+61412345678", ["0412 345 678", "+61 412 345 678"]),
    ("BR", "+5511987654321", ["+55 11 98765-4321", "5511987654321"]),
    # Without a pattern for the country the digits stay as they were written.
    ("BR", "+11987654321", ["(11) 98765-4321"]),
    ("NL", "+0612345678", ["06-12345678", "(06) 1234.5678"]),
    ("RU", "+84951234567", ["8 (495) 123-45-67"]),
    ("XX", "+12345", ["12345", "+12345"]),
]


@pytest.mark.parametrize(("country", "found_by", "spellings"), PINNED)
def test_what_plain_numbers_are_found_by_stays(
    country: str, found_by: str, spellings: list[str]
) -> None:
    assert {phones.normalised(spelling, country) for spelling in spellings} == {found_by}
    assert not any(phones.is_unclear(spelling, country) for spelling in spellings)


#: Spellings that no pattern of plain numbers knows, by kind: the country, and what finds them.
READ = {
    "E.164 whatever the country": [
        ("CN", "+14155552671", ["+14155552671", "+1 415 555 2671"]),
        ("US", "+8613800138000", ["+8613800138000", "+86 138 0013 8000"]),
        ("CN", "+5511987654321", ["+55 (11) 98765-4321"]),
        ("GB", "+390212345678", ["+39 02 1234 5678"]),
        ("JP", "+4915112345678", ["+49 151 12345678"]),
        ("DE", "+80012345678", ["+800 1234 5678"]),
        ("CN", "+85291234567", ["+852-9123-4567"]),
        ("HK", "+8601012345678", ["+86 10 1234 5678", "+86 (010) 1234 5678"]),
    ],
    "national spellings": [
        ("CN", "+868008101234", ["800 810 1234"]),
        ("CN", "+8601012345678", ["010/12345678", "[010] 1234-5678"]),
        ("DE", "+492211234567", ["0221/1234567", "(0221) 123 45 67", "+49 (0)221 1234567"]),
        ("GB", "+442079460958", ["+44 (0)20 7946 0958", "020\u20137946\u20110958"]),
        ("KR", "+8215881234", ["1588-1234"]),
        ("AU", "+611300123456", ["1300 123 456"]),
        ("FR", "+33142685300", ["01~42~68~53~00", "01\u202f42\u202f68\u202f53\u202f00"]),
        ("CN", "+8613800138000", ["138\u00b70013\u00b78000", "138\u30000013\u30008000"]),
    ],
    "00 for plus": [
        ("CN", "+8613800138000", ["0086 138 0013 8000", "0086-13800138000"]),
        ("GB", "+442079460958", ["0044 20 7946 0958", "00 44 (0)20 7946 0958"]),
        ("US", "+4930123456", ["0049 30 123456", "011 49 30 123456"]),
        ("AU", "+8613800138000", ["0086 138 0013 8000", "0011 86 138 0013 8000"]),
    ],
    "a calling code without plus": [
        ("CN", "+85291234567", ["852 9123 4567"]),
        ("HK", "+8613800138000", ["13800138000", "8613800138000"]),
        ("CN", "+442079460958", ["442079460958"]),
    ],
    "extensions": [
        (
            "US",
            "+14155552671;ext=5",
            [
                "(415) 555-2671 ext. 5", "415-555-2671 x5", "+1 415 555 2671 X 5",
                "415.555.2671 Ext 5", "+14155552671;ext=5", "4155552671#5", "4155552671,5",
                "415 555 2671 (ext. 5)", "415 555 2671 extension 5", "tel:+1-415-555-2671;ext=5",
            ],
        ),
        (
            "CN",
            "+8601012345678;ext=123",
            [
                "010-12345678-123", "010-12345678转123", "010-12345678 转 123",
                "(010)12345678轉123", "010-12345678分机123", "010-12345678 分機：123",
                "010-12345678（转123）", "+86 10 12345678 ext 123", "010-12345678,123",
                "010-12345678-分机123", "010-12345678p123", "010-12345678 - ext 123",
            ],
        ),
        ("RU", "+74951234567;ext=12", ["+7 495 123-45-67 доб. 12"]),
        ("FR", "+33142685300;ext=12", ["01 42 68 53 00 poste 12"]),
        ("JP", "+81312345678;ext=12", ["03-1234-5678 内線12"]),
        ("KR", "+82212345678;ext=12", ["02-1234-5678 내선 12"]),
        ("BR", "+551123456789;ext=12", ["+55 11 2345-6789 ramal 12"]),
    ],
    "virtual numbers of platforms": [
        (
            "CN",
            "+8618412345678;ext=1234",
            [
                "18412345678-1234", "18412345678转1234", "18412345678 转 1234",
                "18412345678_1234", "18412345678,1234", "18412345678#1234",
                "18412345678[1234]", "18412345678转接1234", "+86 184 1234 5678 - 1234",
                "18412345678－1234", "18412345678＿1234", "18412345678;1234",
            ],
        ),
        ("HK", "+8618412345678;ext=0012", ["18412345678-0012"]),
    ],
    "tel: URIs": [
        ("CN", "+8613800138000", ["tel:+86-138-0013-8000", "TEL:13800138000"]),
        ("US", "+8613800138000", ["tel:13800138000;phone-context=+86"]),
        ("US", "+14155552671", ["tel:+1-415-555-2671;isub=12", "tel:(415)555-2671"]),
    ],
    "digits of other scripts": [
        ("CN", "+8613800138000", ["１３８００１３８０００", "＋８６　１３８－００１３－８０００"]),
        ("CN", "+8613800138000", ["١٣٨٠٠١٣٨٠٠٠", "१३८००१३८०००", "𝟏𝟑𝟖𝟎𝟎𝟏𝟑𝟖𝟎𝟎𝟎"]),
        ("NL", "+0612345678", ["０６１２３４５６７８"]),
        ("CN", "+8618412345678;ext=1234", ["１８４１２３４５６７８转１２３４"]),
    ],
    "what is unseen": [
        (
            "CN",
            "+8613800138000",
            [
                "\u202a13800138000\u202c", "\u202d+86 138 0013 8000\u202c",
                "\u200e13800138000", "\u2066138\u20690013\u200f8000", "138\u200b0013\u200b8000",
                "\ufeff13800138000", "138\u00ad0013\u00ad8000", "138\u00a00013\u00a08000",
                "138\u20600013\u200d8000", "13800138000\n", "\t13800138000", " 13800138000 ",
                "138\u20280013 8000", "138\u20090013\u20078000",
            ],
        ),
    ],
    "words around it": [
        (
            "CN",
            "+8613800138000",
            ["电话：13800138000", "手机13800138000（家）", "Mob. +86 138 0013 8000 (home)"],
        ),
        ("GB", "+442079460958", ["Phone: 020 7946 0958", "call 020 7946 0958 please"]),
    ],
    "spellings of other times": [
        ("CN", "+525512345678", ["+52 1 55 1234 5678"]),
        ("CN", "+8613800138000", ["+13800138000"]),
    ],
}  # fmt: skip
_READ = [
    pytest.param(country, found_by, text, id=f"{kind}-{text.encode('unicode_escape').decode()}")
    for kind, rows in READ.items()
    for country, found_by, texts in rows
    for text in texts
]


@pytest.mark.parametrize(("country", "found_by", "text"), _READ)
def test_a_number_is_read_however_it_is_written(country: str, found_by: str, text: str) -> None:
    assert phones.normalised(text, country) == found_by
    assert not phones.is_unclear(text, country)
    assert found_by in phones.spellings(text, country)


def test_what_was_misread_once_is_still_found() -> None:
    """The patterns took a short number with 00 in front for a landline of China."""
    assert phones.normalised("0065 9123 4567", "CN") == "+6591234567"
    assert "+86006591234567" in phones.spellings("+65 9123 4567", "CN")
    assert "+86006591234567" in phones.spellings("0065-91234567", "CN")


HIDDEN = [
    ("138****8000", ["138****8000", "138 **** 8000", "138-****-8000", "138xxxx8000",
                     "138XXXX8000", "１３８＊＊＊＊８０００", "138••••8000", "138####8000",
                     "138····8000", "\u200e138****8000"]),
    ("138****8000;ext=1234", ["138****8000-1234", "138****8000转1234", "138****8000_1234"]),
    ("+86138****8000", ["+86 138 **** 8000"]),
    ("****8000", ["****8000", "xxxx 8000"]),
    ("138********", ["138********"]),
    ("*******67", ["*******67"]),
    ("0571-****1234".replace("-", ""), ["0571-****1234"]),
]  # fmt: skip


@pytest.mark.parametrize("country", ["CN", "US", "NL"])
@pytest.mark.parametrize(("found_by", "texts"), HIDDEN)
def test_a_hidden_number_is_found_as_written_and_nobody_is_asked(
    found_by: str, texts: list[str], country: str
) -> None:
    for text in texts:
        assert phones.normalised(text, country) == found_by
        assert phones.spellings(text, country) == [found_by]
        assert not phones.is_unclear(text, country)


UNCLEAR = [
    ("CN", "12800138000", "12800138000"),
    ("CN", "1380013800", "1380013800"),
    ("CN", "138001380000", "138001380000"),
    ("CN", "12345", "12345"),
    ("CN", "12345678901", "12345678901"),
    ("CN", "138-0013-800", "1380013800"),
    ("CN", "13800138000/13900139000", "1380013800013900139000"),
    ("CN", "13800138000 or 13900139000", "13800138000or13900139000"),
    ("CN", "1" * 64, "1" * 64),
    ("US", "0155552671", "0155552671"),
    ("US", "+1 415 555 267", "+1415555267"),
    ("US", "+999 123 4567", "+9991234567"),
    ("NL", "0612345", "+0612345"),
    ("NL", "12345", "+12345"),
    ("BR", "55 11 9876", "+55119876"),
    ("XX", "1234", "1234"),
    ("XX", "1" * 16, "1" * 16),
    ("XX", "++12345678", "++12345678"),
    ("CN", "n/a", "na"),
    ("CN", "无", "无"),
    ("CN", "Ask My Husband", "askmyhusband"),
    ("CN", "a|b", "a|b"),
    ("CN", "***", "***"),
    ("CN", "-----", ""),
    ("CN", "\u200b", ""),
    ("CN", "\ufdfa" * 64, None),
]


@pytest.mark.parametrize(("country", "text", "found_by"), UNCLEAR)
def test_what_is_no_number_is_marked_and_found_as_written(
    country: str, text: str, found_by: str | None
) -> None:
    assert phones.is_unclear(text, country)
    if found_by is not None:
        assert phones.normalised(text, country) == found_by
        assert phones.spellings(text, country) == ([found_by] if found_by else [])


@pytest.mark.parametrize(
    ("country", "text"),
    [
        ("NL", "0612345678"), ("NL", "31612345678"), ("NL", "0612345678-12"), ("BR", "11987654321"),
        ("RU", "+8 495 123-45-67"), ("BE", "31612345678"), ("AQ", "12345"), ("XX", "123456"),
        ("MX", "+52 1 55 1234 5678"), ("JM", "8765551234"), ("VA", "+390669812345"),
    ],
)  # fmt: skip
def test_without_a_pattern_the_numbers_of_the_country_are_known(country: str, text: str) -> None:
    assert not phones.is_unclear(text, country)


def test_no_number_is_not_an_unclear_one() -> None:
    assert phones.normalised("", "CN") == ""
    assert phones.spellings("", "CN") == []
    assert not phones.is_unclear("", "CN")


DIFFERENT = [
    ("18412345678", "18412345678-1234"),
    ("18412345678-1234", "18412345678-1235"),
    ("18412345678-1234", "18412345678-01234"),
    ("138****8000", "138****8001"),
    ("138****8000", "138****8000转1"),
    ("+14155552671", "+14155552671 ext. 5"),
    ("+8613800138000", "+8613800138001"),
    ("010-12345678", "010-12345678-123"),
    ("+442079460958", "020-79460958"),
    ("12345", "123456"),
    ("ask me", "ask him"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_numbers_and_extensions_are_not_found(one: str, other: str) -> None:
    assert phones.normalised(other, "CN") not in phones.spellings(one, "CN")
    assert phones.normalised(one, "CN") not in phones.spellings(other, "CN")


_odd = st.text(
    st.sampled_from("0123456789+*x-_ ().#,;/转分机ext=\u200e\u202a\uff11\u0661[]tel:·"), max_size=64
)
_countries = st.sampled_from(["CN", "US", "HK", "DE", "BR", "RU", "MX", "AQ", "XX", ""])


@given(st.one_of(st.text(max_size=64), _odd), _countries)
def test_whatever_is_written_is_found_as_it_is_written(text: str, country: str) -> None:
    found_by = phones.normalised(text, country)
    assert found_by == "" or found_by in phones.spellings(text, country)
    assert found_by.encode() is not None  # it can be indexed
    if text and not phones.is_unclear(text, country):
        number, _, extension = found_by.partition(";ext=")
        assert "*" in number or (number[0] == "+" and number[1:].isdecimal())
        assert extension == "" or extension.isdecimal()


@pytest.mark.servers
def test_plain_numbers_never_load_the_library() -> None:
    """A gateway that never sees an unusual number starts and works without it."""
    code = (
        "import sys; from gateway.domain import phones, validation, views; import gateway.wiring;"
        "phones.normalised('13800138000', 'CN'); phones.normalised('+14155552671', 'US');"
        "phones.normalised('', 'DE'); phones.is_unclear('020 7946 0958', 'GB');"
        "assert 'phonenumbers' not in sys.modules;"
        "phones.normalised('13800138000 ext 1', 'CN'); assert 'phonenumbers' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_three_digits_before_and_four_after_are_shown() -> None:
    assert phones.masked("13800138000") == "138****8000"


@pytest.mark.parametrize(
    "phone",
    ["", "1234567", "91234567", "912345678", "+8613800138000", "18412345678-1234", "138****8000"],
)
def test_no_number_is_so_short_that_its_mask_reveals_it(phone: str) -> None:
    """Four digits at least stay hidden: an eight-digit number is not shown but for one."""
    shown = sum(character.isdecimal() for character in phones.masked(phone))
    assert shown <= max(0, len(phone) - 4)


@pytest.mark.parametrize("phone", ["13800138000 Li", "张三13800138000", "13800138000张小明"])
def test_a_mask_shows_no_part_of_a_name(phone: str) -> None:
    assert phones.masked(phone) == "****"
