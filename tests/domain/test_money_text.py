"""Money in text is read as it is written, and nothing else is taken for money."""

import unicodedata
from decimal import Decimal, InvalidOperation

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, defstruct

from gateway.domain import money_text

STRICT = ["0", "0.00", "199.00", "-1", "-0.5", "1000000000000", "0.005", "10"]
#: What ``Decimal`` takes beside.
ODD = [
    "+99.50", "9_9.50", "1_99", "0_0", "1_", "_1", " 99.50", "99.50 ", "\t1", "1\n", "\u00a01",
    "1\u2009", "\u30001", "\uff11\uff12.50", "1\uff12", "1.\uff12", "٣", "१", "\U0001d7d7",
    "1e2", "1E+2", "1.5e1", "150e-1", "0e0", "Infinity", "-Infinity", "inf", "+INF", "NaN",
    "nan12", "sNaN", "-nan", ".5", "5.", "-.5", "007.50", "00", "00.5", "-01", "01",
]  # fmt: skip
#: What not even ``Decimal`` takes.
WRONG = ["", "-+1", "-", ".", "1,5", "0x1", "1 2", "a", "1.2.3"]


@pytest.mark.parametrize("text", STRICT)
def test_a_plain_number_is_money(text: str) -> None:
    assert money_text.is_strict(text)
    assert money_text.parse(text) == Decimal(text)


@pytest.mark.parametrize("text", ODD + WRONG)
def test_nothing_else_is_money(text: str) -> None:
    assert not money_text.is_strict(text)
    with pytest.raises(ValueError, match="not a decimal number"):
        money_text.parse(text)


def test_the_odd_ones_are_what_decimal_takes() -> None:
    for text in ODD:
        assert Decimal(text.strip()) is not None
    for text in WRONG:
        with pytest.raises(InvalidOperation):
            Decimal(text)


class Line(Struct):
    price: Decimal
    name: str = ""
    tax: Decimal | None = None


class Bill(Struct):
    total: Decimal
    lines: list[Line] = []
    free: dict[str, object] = {}


DECODER = msgspec.json.Decoder(Bill)
KEYS = money_text.keys_of(Bill)


def is_taken(body: bytes) -> bool:
    DECODER.decode(body)
    if money_text.may_be_odd(body, KEYS):
        try:
            money_text.check(body, Bill)
        except msgspec.ValidationError:
            return False
    return True


def test_the_keys_of_money_are_found_at_every_depth() -> None:
    assert sorted(KEYS) == [b"price", b"tax", b"total"]


def test_money_in_a_list_would_be_missed_and_is_not_permitted() -> None:
    with pytest.raises(TypeError, match="no key of its own"):
        money_text.keys_of(defstruct("Shares", [("shares", list[Decimal])]))


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


#: Left to whoever checks the amount.
ENDLESS = ["Infinity", "inf", "NaN", "nan12", "sNaN"]


@pytest.mark.parametrize(
    "text", [text for text in ODD if text not in ("1\n", "\t1") and text not in ENDLESS]
)
def test_odd_money_is_refused_wherever_it_stands(text: str) -> None:
    for body in (
        f'{{"total":"{text}"}}',
        f'{{"total" : \r\n\t "{text}"}}',
        f'{{"total"{" " * 100}: "{text}"}}',
        f'{{"lines":[{{"price":"1"}},{{"name":"Tea: \\"+5\\"","price":"{text}"}}],"total":"1"}}',
        f'{{"total":"1","lines":[{{"price":"1","tax":"{text}"}}]}}',
        f'{{"t\\u006ftal":"{text}"}}',
        f'{{"total":"1","free":{{{",".join(f""" "k{n}": "+1" """ for n in range(300))}}},'
        f'"lines":[{{"price":"{text}"}}]}}',
    ):
        assert not is_taken(body.encode()), body
    if len(text) < 4 and ord(text[0]) < 0x10000:
        assert not is_taken(f'{{"total":"{escaped(text)}"}}'.encode())


def test_an_escaped_digit_is_the_digit() -> None:
    assert is_taken(b'{"total":"\\u0031"}')


def test_what_is_no_money_may_look_like_it() -> None:
    body = (
        b'{"total":"1.00","lines":[{"name":"+99.50","price":"1"}],"free":{"total":"+1","a":"007"}}'
    )
    assert is_taken(body)


def test_numbers_are_read_digit_for_digit() -> None:
    assert is_taken(b'{"total":1.50e2,"lines":[{"price":1e2,"tax":null}]}')


def test_every_digit_and_blank_of_every_script_is_suspect() -> None:
    """The scan looks at first bytes: a new script of Unicode must not pass it."""
    for code in range(0x80, 0x110000):
        text = chr(code)
        if unicodedata.category(text) == "Nd" or text.isspace():
            for body in (f'{{"total":"{text}1"}}', f'{{"total":"1{text}"}}'):
                assert money_text.may_be_odd(body.encode(), KEYS), hex(code)


def test_ordinary_values_are_not_suspect() -> None:
    """Whatever the text of a name, a time or a number is: the body is not read again for it."""
    body = (
        '{"placed_at":"2026-11-11T20:00:00+08:00","phone":"+8613800138000","zip":"01067",'
        '"name":"张三","other":"Nancy","street":"ﾄｳｷｮｳ 1","no":"0012_3","total":"199.00",'
        '"lines":[{"price":"0","tax":"0.50"},{"price":10.5}]}'
    ).encode()
    assert not money_text.may_be_odd(body, KEYS)


@given(st.text(alphabet="0123456789+-_. eE\u00a0\uff11٣infaNsy\\u", max_size=6))
def test_the_scan_finds_whatever_decimal_takes_and_is_not_strict(text: str) -> None:
    body = msgspec.json.encode({"total": text})
    try:
        DECODER.decode(body)
    except msgspec.ValidationError:
        return
    if DECODER.decode(body).total.is_finite():
        assert is_taken(body) is money_text.is_strict(text)
