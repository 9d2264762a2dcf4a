"""Amounts add up to the last digit, tax included or added; what does not is named."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import money, orders, sums
from gateway.domain.orders import Submission
from tests.domain.support import submission


def order(*lines: dict[str, Any], currency: str = "USD", **amounts: Any) -> Submission:
    """Return an order of these lines, 100.00 each where they say nothing."""
    line = {"sku": "TEA-1", "name": "Tea", "quantity": 1, "unit_price": "100.00"}
    return submission(
        currency=currency, items=[line | each for each in lines or ({},)], amounts=amounts
    )


def faults(sent: Submission) -> dict[str, str]:
    decimals = money.DECIMALS[sent.currency]
    return {fault.field: fault.reason for fault in sums.faults(sent, decimals)}


RIGHT = {
    "none": order(goods="100.00", payable="100.00"),
    "zero": order(goods="100.00", payable="100.00", tax="0", tax_included=False),
    "zero and included": order(goods="100.00", payable="100.00", tax="0.00", tax_included=True),
    "included without saying how much": order(goods="100.00", payable="100.00", tax_included=True),
    "added, without shares": order(goods="100.00", payable="108.88", tax="8.88"),
    "added, all in a share": order({"tax": "8.88"}, goods="100.00", payable="108.88", tax="8.88"),
    "the rest is that on freight": order(
        {"tax": "8.00"}, goods="100.00", freight="10.00", payable="118.80", tax="8.80"
    ),
    "with discounts": order(
        {"tax": "4.00"}, goods="100.00", shop_discount="30.00", platform_subsidy="20.00",
        payable="54.00", tax="4.00",
    ),
    "some lines are taxed": order(
        {"tax": "8.25"}, {}, {"tax": "0"}, goods="300.00", payable="308.25", tax="8.25"
    ),
    "included": order(
        {"tax": "15.97"}, goods="100.00", payable="100.00", tax="15.97", tax_included=True
    ),
    "included, all of it": order(goods="100.00", payable="100.00", tax="100", tax_included=True),
    "included in the freight": order(
        {"unit_price": "0"}, goods="0", freight="5.00", payable="5.00", tax="0.80",
        tax_included=True,
    ),
    "only tax is due": order(
        goods="100.00", shop_discount="100.00", payable="8.00", tax="8.00"
    ),
    "no decimals": order(
        {"unit_price": "93", "tax": "7"}, currency="JPY", goods="93", payable="100", tax="7"
    ),
    "three decimals": order(
        {"unit_price": "10.000", "tax": "0.505"}, currency="BHD", goods="10.000",
        payable="10.505", tax="0.505",
    ),
}  # fmt: skip


@pytest.mark.parametrize("sent", RIGHT.values(), ids=RIGHT)
def test_adds_up(sent: Submission) -> None:
    assert faults(sent) == {}


WRONG: dict[str, tuple[Submission, dict[str, str]]] = {
    "tax is due and not in payable": (
        order(goods="100.00", payable="100.00", tax="8.00"),
        {
            "amounts.payable": "is 100.00 USD, but goods - shop_discount - platform_subsidy "
            "+ freight + tax is 108.00 USD"
        },
    ),
    "included tax is added": (
        order(goods="100.00", payable="108.00", tax="8.00", tax_included=True),
        {
            "amounts.payable": "is 108.00 USD, but goods - shop_discount - platform_subsidy "
            "+ freight is 100.00 USD"
        },
    ),
    "shares without tax": (
        order({"tax": "1.00"}, goods="100.00", payable="100.00"),
        {"amounts.tax": "is 0.00 USD, but the items have 1.00 USD of it"},
    ),
    "shares are more": (
        order({"tax": "5.00"}, {"tax": "3.01"}, goods="200.00", payable="208.00", tax="8.00"),
        {"amounts.tax": "is 8.00 USD, but the items have 8.01 USD of it"},
    ),
    "more than the prices": (
        order(goods="100.00", payable="100.00", tax="100.01", tax_included=True),
        {"amounts.tax": "is more than the prices that contain it"},
    ),
    "a negative share": (
        order({"tax": "-1"}, goods="100.00", payable="100.00"),
        {"items[0].tax": "must not be negative"},
    ),
    "a negative tax": (
        order(goods="100.00", payable="99.00", tax="-1.00"),
        {"amounts.tax": "must not be negative"},
    ),
    "too many decimals": (
        order({"tax": "0.005"}, goods="100.00", payable="100.005", tax="0.005"),
        {
            "items[0].tax": "must have at most 2 decimals",
            "amounts.tax": "must have at most 2 decimals",
            "amounts.payable": "must have at most 2 decimals",
        },
    ),
    "no number": (
        order({"tax": "NaN"}, goods="100.00", payable="100.00", tax="sNaN"),
        {
            "items[0].tax": "must be a finite number",
            "amounts.tax": "must be a finite number",
        },
    ),
    "beyond all money": (
        order({"tax": "1E+999999999"}, goods="100.00", payable="100.00", tax="1E+12"),
        {
            "items[0].tax": "must be below 1000000000000",
            "amounts.tax": "must be below 1000000000000",
        },
    ),
}


@pytest.mark.parametrize(("sent", "expected"), WRONG.values(), ids=WRONG)
def test_says_what_does_not_add_up(sent: Submission, expected: dict[str, str]) -> None:
    assert faults(sent) == expected


_NAMES = ("goods", "shop_discount", "platform_subsidy", "freight", "tax", "payable")


@pytest.mark.parametrize("text", ["sNaN", "NaN", "-Infinity", "Infinity", "1E+999999999", "-1"])
@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("is_included", [False, True])
def test_no_number_breaks_the_sums(name: str, text: str, is_included: bool) -> None:
    amounts = {"goods": "100.00", "payable": "108.00", "tax": "8.00", name: text}
    found = faults(order({"tax": "8.00"}, **amounts, tax_included=is_included))
    assert f"amounts.{name}" in found


_CENTS = st.integers(0, 10**6).map(lambda cents: Decimal(cents).scaleb(-2))


@given(
    lines=st.lists(st.tuples(_CENTS, st.integers(1, 9), st.none() | _CENTS), min_size=1),
    freight=_CENTS,
    more=_CENTS,
    is_included=st.booleans(),
    off_by=st.sampled_from([0, 0, 1, -1]),
)
def test_any_order_adds_up_exactly_or_is_found_out(
    lines: list[tuple[Decimal, int, Decimal | None]],
    freight: Decimal,
    more: Decimal,
    is_included: bool,
    off_by: int,
) -> None:
    """To a cent, whatever is taxed: ``payable`` alone is wrong where it is off."""
    items = [
        orders.Item("A", "A", quantity, price) if tax is None
        else orders.Item("A", "A", quantity, price, tax=tax)
        for price, quantity, tax in lines
    ]  # fmt: skip
    goods = sum((price * quantity for price, quantity, _ in lines), Decimal(0))
    tax = sum((share or Decimal(0) for *_, share in lines), more)
    if is_included and tax > goods + freight:
        return
    payable = goods + freight + (0 if is_included else tax) + Decimal(off_by).scaleb(-2)
    amounts = orders.Amounts(goods, payable, freight=freight, tax=tax, tax_included=is_included)
    sent = orders.Submission(
        "web", "W-1", "b", submission().placed_at, "USD", items, amounts, submission().recipient
    )
    assert list(faults(sent)) == ([] if not off_by else ["amounts.payable"])


@pytest.mark.parametrize("sent", RIGHT.values(), ids=RIGHT)
def test_an_order_that_a_shop_reported_is_read_as_it_was_written(sent: Submission) -> None:
    assert orders.decode_shop_order(orders.encode_shop_order(sent)) == sent
