"""Expressions of rules: exact money, characters, absent fields, and a cost bounded when read."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import expressions, screening_facts
from gateway.domain.expressions import Name, WrongExpression
from gateway.domain.placing import Placement
from tests.domain.support import placement, submission

_ITEM = {"sku": "TEA-1", "name": "Tea", "quantity": 2, "unit_price": "9.95"}


def order(**changes: Any) -> Placement:
    """Return an order over 19.90 CNY, or a changed one."""
    fields: dict[str, Any] = {"items": [_ITEM], "amounts": {"freight": "0"}, "remark": None}
    fields |= changes
    return placement(submission(1, **fields))


def is_true(text: str, of: Placement | None = None) -> bool:
    return expressions.read(text, screening_facts.FACTS).is_true(of or order())


@pytest.mark.parametrize("text", ["19.9", "19.90", "19.900"])
def test_money_is_what_it_is_however_it_is_written(text: str) -> None:
    amounts = {"goods": text, "payable": text, "freight": "0"}
    of = order(items=[{**_ITEM, "quantity": 1, "unit_price": text}], amounts=amounts)
    assert is_true("payable_minor <= 1990 and payable_minor >= 1990 and payable_minor == 1990", of)
    assert not is_true("payable_minor < 1990 or payable_minor > 1990 or payable_minor != 1990", of)


@pytest.mark.parametrize(
    ("currency", "amount", "minor"), [("JPY", "500", 500), ("KWD", "1.234", 1234), ("CNY", "0", 0)]
)
def test_minor_units_are_those_of_the_currency(currency: str, amount: str, minor: int) -> None:
    assert screening_facts.minor(Decimal(amount), currency) == minor


def test_length_is_in_characters() -> None:
    to = {"province": "重庆市", "city": "重庆市", "district": "渝中区", "street": "解放碑1号"}
    assert is_true(
        "city.length == 3 and street_chars == 5 and street.length == 5", order(recipient=to)
    )


@pytest.mark.parametrize(
    "text",
    [
        "weight_g > 5", "weight_g <= 5", "weight_g == 5", "weight_g != 5", "5 > weight_g",
        "weight_g == weight_g", "weight_g + 1 > 0", "-weight_g < 1", "weight_g * 0 == 0",
        'remark == "x"', 'remark != "x"', 'remark.length > 0', 'remark.starts_with("x")',
        '"x" in remark', 'remark in ["x"]', 'attributes["gift"] == true', 'attributes["n"] > 1',
    ],
)  # fmt: skip
def test_what_is_absent_makes_a_comparison_false_and_no_error(text: str) -> None:
    assert not is_true(text)
    assert is_true(f"not ({text})")
    assert is_true(f'({text}) or currency == "CNY"'), "the rest is still asked"


def test_null_asks_for_what_is_absent_and_empty_is_absent() -> None:
    assert is_true('weight_g == null and remark == null and attributes["gift"] == null')
    assert is_true("(weight_g ?? 7) == 7 and currency != null")
    assert is_true("remark == null", order(remark=""))
    of = order(attributes={"gift": True, "n": 19.9, "deep": {"a": 1}, "blank": ""})
    assert is_true('attributes["gift"] == true and attributes["n"] == 19.9', of)
    assert is_true('attributes["deep"] == null and attributes["blank"] == null', of)
    assert not is_true('attributes["gift"] == "true" or attributes["n"] == "19.9"', of)


def test_weight_is_known_where_every_line_or_the_order_says_it() -> None:
    light = {**_ITEM, "weight_g": 250}
    assert is_true("weight_g == 500", order(items=[light]))
    assert is_true("weight_g == null", order(items=[light, {**_ITEM, "sku": "B"}]))
    assert is_true("weight_g == 900", order(attributes={"weight_g": 900}))
    assert is_true("weight_g == null", order(attributes={"weight_g": True}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("payable <= 19.9", "there is no payable; is it payable_minor?"),
        ("wieght_g > 5", "there is no wieght_g; is it weight_g?"),
        ('country == "CN" or "HK"', "both sides"),
        ("payable_minor", "must be true or false"),
        ("city > 5", "another kind"),
        ('payable_minor == "1990"', "another kind"),
        ("5 in skus", "another kind"),
        ("skus > 3", "another kind"),
        ("payable_minor >", "ends too early"),
        ("payable_minor > 1 1", "character 19"),
        ("attributes.gift == true", 'write attributes["key"]'),
        ("city.to_int > 1", "to_int"),
        ("$now > 1", "character 1"),
        ("", "ends too early"),
        ("payable_minor > null", "another kind"),
        ('city + "x" == "y"', "cannot be added"),
    ],
)
def test_a_wrong_expression_is_refused_when_it_is_read(text: str, says: str) -> None:
    with pytest.raises(WrongExpression) as caught:
        is_true(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "payable_minor > 2 ** 9 ** 9 ** 9", "1 << 9999999999 > 1", "1 >> 1 > 0", "1 / 0 > 1",
        "lines % 2 == 0", 'city =~ "^(a+)+$"', 'city =~~ "a"', 'city !~ "a"', "1e999999999 > 1",
        "9999999999999999 > 1", "[x for x in skus] == skus", "inf > 1", "nan != 1", "lines if 1",
        'd"2026-01-01" > 1', 'b"x" == b"y"', '"\\x41" == "A"', "skus[0:1].length == 1",
        "(" * 21 + "is_test" + ")" * 21, "not " * 200 + "is_test", "is_test or " * 60 + "is_test",
        "lines > 1 # why",
    ],
)  # fmt: skip
def test_what_could_cost_much_is_refused_before_the_library_sees_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rule_engine

    def seen(*_: object, **__: object) -> None:
        raise AssertionError("the library was asked")

    monkeypatch.setattr(rule_engine, "Rule", seen)
    with pytest.raises(WrongExpression):
        is_true(text)


_WORDS = st.sampled_from(
    ["lines", "pieces", "skus", "city", "is_test", "weight_g", "null", "true", "1", "19.9", '"x"',
     "and", "or", "not", "(", ")", "[", "]", "==", "!=", "<", "<=", "+", "-", "*", "??", "in", ",",
     ".length", ".", "**", "<<", "=~", "/", "for"]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=40))
def test_whatever_is_written_is_refused_in_words_or_is_true_or_false(words: list[str]) -> None:
    try:
        read = expressions.read(" ".join(words), screening_facts.FACTS)
    except WrongExpression as exc:
        assert str(exc)
        return
    assert read.is_true(order()) in (True, False)


@pytest.mark.parametrize("count", [1, 20, 39])
def test_no_field_is_looked_up_more_often_than_it_is_written(count: int) -> None:
    looked_up = 0

    def value(_: object) -> int:
        nonlocal looked_up
        looked_up += 1
        return 1

    text = " and ".join(["n == 1"] * count)
    read = expressions.read(text, {"n": Name("number", value)})
    assert read.is_true(object())
    assert looked_up == count <= expressions.TOKENS_MAX
