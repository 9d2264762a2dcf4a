"""Whatever country an order goes to, its buyer's number is read, and found in every spelling."""

# ruff: noqa: RUF001  # full-width characters are what is tested here

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from gateway.domain import countries, phones

_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
#: They have no numbers of their own.
_WITHOUT_NUMBERS = frozenset({"AQ", "BV", "GS", "HM", "PN", "TF", "UM"})
_TYPES = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
_EXAMPLES = [
    (country, number)
    for country in sorted(countries.CODES - _WITHOUT_NUMBERS)
    for kind in _TYPES
    if (number := phonenumbers.example_number_for_type(country, kind))
]
_ids = [f"{country}-{n}" for n, (country, _) in enumerate(_EXAMPLES)]


def _written(number: phonenumbers.PhoneNumber) -> dict[str, str]:
    """Return spellings of a number that mean it wherever the parcel goes."""
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    international = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    return {
        "E.164": e164,
        "international": international,
        "tel": phonenumbers.format_number(number, PhoneNumberFormat.RFC3966),
        "00": f"00{e164[1:]}",
        "full width": international.translate(_FULL_WIDTH),
        "direction marks": f"\u202a{international}\u202c",
        "no-break blanks": international.replace(" ", "\u00a0").replace("-", "\u2011"),
        "label": f"Tel: {international} (home)",
    }


def _dialled(country: str, number: phonenumbers.PhoneNumber) -> list[str]:
    """Return spellings that mean it within its country."""
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    digits = "".join(filter(str.isdecimal, national))
    return [national, digits, digits.translate(_FULL_WIDTH), national.replace(" ", "\u202f")]


def test_there_is_an_example_of_every_country() -> None:
    assert {country for country, _ in _EXAMPLES} | _WITHOUT_NUMBERS == countries.CODES


@pytest.mark.parametrize(("country", "number"), _EXAMPLES, ids=_ids)
def test_every_spelling_is_read_and_found_by_every_other(
    country: str, number: phonenumbers.PhoneNumber
) -> None:
    """Stored by one spelling, searched by another; sent home, and to somewhere else."""
    dialled = _dialled(country, number)
    everywhere = list(_written(number).values())
    stored = {(text, to): phones.normalised(text, to) for text in everywhere
              for to in (country, "CN", "US", "GB", "NL", "AQ")}  # fmt: skip
    stored |= {(text, country): phones.normalised(text, country) for text in dialled}
    for text, to in stored:
        assert not phones.is_unclear(text, to), (text, to)
    searches = [(text, country) for text in dialled + everywhere]
    if phonenumbers.region_code_for_number(number) == country:
        # Else it is one of the larger neighbour, which shares its calling code.
        searches += [(text, "CN") for text in everywhere]
    for text, to in searches:
        found = phones.spellings(text, to)
        assert len(found) <= 16
        missed = {key: by for key, by in stored.items() if by not in found}
        assert missed == {}, (text, to, found)


@pytest.mark.parametrize(("country", "number"), _EXAMPLES, ids=_ids)
def test_an_extension_is_read_and_distinguishes(
    country: str, number: phonenumbers.PhoneNumber
) -> None:
    plain = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    written = [f"{plain} ext. 57", f"{plain}转57", f"{plain} x57", f"{plain}_57", f"{plain};ext=57"]
    found = {phones.normalised(text, country) for text in written}
    assert len(found) == 1
    assert found.pop() in phones.spellings(f"{plain}#57", "CN")
    for other in (plain, f"{plain} ext. 58", f"{plain} ext. 057"):
        assert phones.normalised(other, country) not in phones.spellings(written[0], country)


_cn = st.from_regex(r"1(3[0-9]|5[0-35-9]|8[0-9])[0-9]{8}", fullmatch=True)
_marks = st.sampled_from([" ", "-", ".", "\u00a0", "\u200b", "\u202c", "\u2011", "\u3000", ""])
_front = st.sampled_from(
    ["", "+86", "86", "0086", "+86 ", "tel:+86", "\u202a+86", "(+86)", "＋８６"]
)


@given(_cn, _front, st.lists(_marks, min_size=11, max_size=11), st.booleans())
def test_a_mobile_with_anything_between_its_digits_is_that_mobile(
    mobile: str, front: str, between: list[str], is_wide: bool
) -> None:
    digits = mobile.translate(_FULL_WIDTH) if is_wide else mobile
    text = front + "".join(digit + mark for digit, mark in zip(digits, between, strict=True))
    assert phones.normalised(text, "CN") == f"+86{mobile}"


@given(
    _cn, st.from_regex(r"[0-9]{1,6}", fullmatch=True), st.sampled_from(["-", "_", "转", ",", "#"])
)
def test_a_virtual_number_is_one_number_in_every_spelling(
    mobile: str, suffix: str, between: str
) -> None:
    assert phones.normalised(f"{mobile}{between}{suffix}", "CN") == f"+86{mobile};ext={suffix}"


@given(_cn, st.integers(0, 7), st.integers(2, 8), st.sampled_from("*＊x•#"))
def test_a_hidden_number_is_never_taken_for_one(
    mobile: str, start: int, hidden: int, mask: str
) -> None:
    text = mobile[:start] + mask * hidden + mobile[start + hidden :]
    found_by = phones.normalised(text, "CN")
    assert found_by == text.replace(mask, "*")
    assert not phones.is_unclear(text, "CN")
