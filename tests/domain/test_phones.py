"""A telephone number has one spelling, and hardly any of it is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import phones

SPELLINGS = [
    ("CN", "+8613800138000", ["13800138000", "+86 138-0013-8000", "8613800138000"]),
    ("CN", "+8601012345678", ["010-12345678", "(010) 1234 5678"]),
    ("HK", "+85291234567", ["9123 4567", "+852 9123 4567"]),
    ("TW", "+886912345678", ["0912-345-678", "+886 912 345 678"]),
    ("US", "+14155552671", ["(415) 555-2671", "+1 415 555 2671", "1.415.555.2671"]),
    ("JP", "+819012345678", ["090-1234-5678", "+81 90 1234 5678"]),
    ("GB", "+442079460958", ["020 7946 0958", "+44 20 7946 0958"]),
    ("FR", "+33142685300", ["01 42 68 53 00", "+33\u00a01\u00a042685300"]),
    ("BR", "+5511987654321", ["+55 11 98765-4321", "5511987654321"]),
]


@pytest.mark.parametrize(("country", "normalised", "spellings"), SPELLINGS)
def test_all_spellings_of_a_number_are_one(
    country: str, normalised: str, spellings: list[str]
) -> None:
    assert {phones.normalised(spelling, country) for spelling in spellings} == {normalised}


@pytest.mark.parametrize(
    ("country", "text"),
    [
        ("CN", ""),
        ("CN", "12800138000"),
        ("CN", "1380013800"),
        ("CN", "138001380000"),
        ("CN", "\uff11\uff13\uff18\uff10\uff10\uff11\uff13\uff18\uff10\uff10\uff10"),
        ("CN", "13800138000\n"),
        ("CN", "13800138000 ext 1"),
        ("US", "0155552671"),
        ("XX", "1234"),
        ("XX", "1" * 16),
        ("XX", "++12345678"),
    ],
)
def test_what_is_no_number_is_rejected(country: str, text: str) -> None:
    assert phones.normalised(text, country) is None


@given(st.text(max_size=40), st.sampled_from(["CN", "US", "HK", "DE", "BR"]))
def test_whatever_is_taken_for_a_number_is_plus_and_digits(text: str, country: str) -> None:
    normalised = phones.normalised(text, country)
    assert normalised is None or (normalised[0] == "+" and normalised[1:].isdecimal())


def test_three_digits_before_and_four_after_are_shown() -> None:
    assert phones.masked("13800138000") == "138****8000"


@pytest.mark.parametrize("phone", ["", "1234567", "91234567", "912345678", "+8613800138000"])
def test_no_number_is_so_short_that_its_mask_reveals_it(phone: str) -> None:
    """Four digits at least stay hidden: an eight-digit number is not shown but for one."""
    shown = sum(character.isdecimal() for character in phones.masked(phone))
    assert shown <= max(0, len(phone) - 4)
