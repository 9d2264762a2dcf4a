"""Money is exact, finite, not negative, below the limit and in whole units of its currency."""

import time
from decimal import Decimal

import iso4217
import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import countries, money

FAULTS = [
    ("NaN", "finite"),
    ("sNaN", "finite"),
    ("-NaN", "finite"),
    ("Infinity", "finite"),
    ("-Infinity", "finite"),
    ("-0.01", "negative"),
    ("-1E+999999999", "negative"),
    ("1E+999999999", "below"),
    ("1000000000000", "below"),
    ("1" + "0" * 400, "below"),
    ("9" * 400 + ".99", "below"),
    ("0.001", "2 decimals"),
    ("1E-999999999", "2 decimals"),
    ("999999999999.991", "2 decimals"),
    ("999999999999." + "9" * 40, "2 decimals"),
]
NO_FAULTS = ["0", "-0", "-0.00", "0.01", "1", "1E+2", "1.10000", "999999999999.99"]

numbers = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True),
    st.decimals(min_value=-1, max_value=10**13, places=3),
    st.decimals(min_value=0, max_value=10**4, places=2),
    st.tuples(st.integers(-10, 10**16), st.integers(-40, 40)).map(
        lambda drawn: Decimal(drawn[0]).scaleb(drawn[1])
    ),
)


@pytest.mark.parametrize(("amount", "reason"), FAULTS)
def test_says_what_is_wrong_with_an_amount(amount: str, reason: str) -> None:
    assert reason in (money.fault(Decimal(amount), 2) or "nothing")


@pytest.mark.parametrize("amount", NO_FAULTS)
def test_finds_no_fault_in_an_amount_however_it_is_written(amount: str) -> None:
    assert money.fault(Decimal(amount), 2) is None


@pytest.mark.parametrize(
    ("currency", "fits", "is_too_fine"),
    [("JPY", "980", "980.5"), ("CNY", "9.80", "9.805"), ("KWD", "9.805", "9.8055")],
)
def test_each_currency_has_its_own_decimals(currency: str, fits: str, is_too_fine: str) -> None:
    decimals = money.DECIMALS[currency]
    assert money.fault(Decimal(fits), decimals) is None
    assert money.fault(Decimal(is_too_fine), decimals) == f"must have at most {decimals} decimals"
    assert money.is_exact(Decimal(fits), money.UNITS[currency])
    assert not money.is_exact(Decimal(is_too_fine), money.UNITS[currency])


@given(numbers, st.sampled_from(["JPY", "CNY", "KWD"]))
def test_the_quick_check_agrees_with_the_explanation(amount: Decimal, currency: str) -> None:
    """Whatever the number: ``is_exact`` says yes exactly where ``fault`` finds nothing."""
    is_exact = money.is_exact(amount, money.UNITS[currency])
    assert is_exact == (money.fault(amount, money.DECIMALS[currency]) is None)


@pytest.mark.parametrize(
    "amount", ["0E-999999999", "0E-17000", "1." + "0" * 17_000, "0." + "0" * 17_000]
)
def test_rejects_a_number_with_more_zeros_than_a_database_takes(amount: str) -> None:
    assert money.fault(Decimal(amount), 2) == "must have at most 2 decimals"
    assert not money.is_exact(Decimal(amount), money.UNITS["CNY"])


@pytest.mark.parametrize("amount", ["1E+999999999", "-1E+999999999", "1E-999999999", "9" * 4000])
def test_a_monstrous_exponent_costs_nothing(amount: str) -> None:
    number = Decimal(amount)
    before = time.thread_time()
    money.fault(number, 2)
    money.is_exact(number, money.UNITS["CNY"])
    assert time.thread_time() - before < 0.05


@given(st.integers(0, 10**14), st.sampled_from(["JPY", "CNY", "KWD"]))
def test_minor_units_and_text_lead_back_to_each_other(minor: int, currency: str) -> None:
    amount = money.from_minor(minor, currency)
    decimals = money.DECIMALS[currency]
    assert Decimal(money.text(amount, currency)) * 10**decimals == minor


def test_an_amount_is_written_with_the_decimals_of_its_currency() -> None:
    written = [money.text(Decimal("10.0000"), currency) for currency in ("JPY", "CNY", "KWD")]
    assert written == ["10", "10.00", "10.000"]


def test_a_currency_out_of_use_has_no_minor_unit() -> None:
    with pytest.raises(KeyError):
        money.from_minor(1, "DEM")


#: In ISO 4217, and nobody pays in them: units of account, funds, and codes for no currency.
NOT_PAID_IN = frozenset("BOV CHE CHW CLF COU MXV USN UYI UYW XAD XTS XXX".split())


def test_the_currencies_and_their_decimals_are_those_of_iso_4217() -> None:
    """A code that ISO adds or withdraws fails here once the library knows it: change the table."""
    published = {
        each.code: each.exponent
        for each in iso4217.Currency
        if each.exponent is not None and each.code not in NOT_PAID_IN
    }
    assert published == money.DECIMALS


def test_the_countries_are_those_of_iso_3166_and_kosovo() -> None:
    published = {country.alpha_2 for country in pycountry.countries}
    assert published | {"XK"} == countries.CODES


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("10.0000", "CNY", "10.00 CNY"),
        ("1E+2", "CNY", "100.00 CNY"),
        ("980", "JPY", "980 JPY"),
        ("0.005", "CNY", "0.005 CNY"),
        ("0.0000", "XXX", "0.00 XXX"),
    ],
)
def test_people_read_an_amount_with_its_currency_and_all_its_digits(
    amount: str, currency: str, written: str
) -> None:
    assert money.named(Decimal(amount), currency) == written
