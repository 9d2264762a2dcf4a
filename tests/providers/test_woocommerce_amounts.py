"""WooCommerce: the total counts, and figures of lines, taxes and fees are brought to it."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.domain import errors, events, money, orders, validation

from .support import NOW
from .woocommerce_samples import LINE, changed, placed, read_order


def test_prices_that_contain_the_tax() -> None:
    order = placed(prices_include_tax=True)
    assert order.items == [
        orders.Item("WA-1", "Woo Album", 3, Decimal("11.90"), Decimal("3.57"), Decimal("5.13")),
        orders.Item("fee", "Gift wrap", 1, Decimal("2.38"), tax=Decimal("0.38")),
    ]
    assert order.amounts == orders.Amounts(
        goods=Decimal("34.51"),
        payable=Decimal("39.46"),
        shop_discount=Decimal("1.00"),
        freight=Decimal("5.95"),
        tax=Decimal("6.46"),
        tax_included=True,
    )


PLAIN: dict[str, Any] = {"shipping_lines": [], "fee_lines": []}


NO_TAX: dict[str, Any] = {"total_tax": "0.00", "subtotal_tax": ""}


@pytest.mark.parametrize("is_included", [True, False, "true", "false", 1])
def test_without_tax_it_does_not_matter_what_prices_contain(is_included: Any) -> None:
    changes = PLAIN | {"line_items": [LINE | NO_TAX], "total": "27.00"}
    order = placed(**changes, prices_include_tax=is_included)
    assert order == placed(**changes)
    assert (order.amounts.tax, order.items[0].tax) == (UNSET, UNSET)


def test_tax_on_shipping_alone_and_a_voucher_with_tax() -> None:
    """The shares of the items are never more than the tax of the order."""
    shipping = [{"total": "5.00", "total_tax": "0.95"}]
    order = placed(**PLAIN | {"shipping_lines": shipping, "line_items": [LINE | NO_TAX]},
                   total="32.95")  # fmt: skip
    assert (order.amounts.freight, order.amounts.tax, order.items[0].tax) == (
        Decimal("5.00"), Decimal("0.95"), UNSET,
    )  # fmt: skip
    voucher = [{"name": "Voucher", "total": "-10.00", "total_tax": "-1.90"}]
    order = placed(**PLAIN | {"fee_lines": voucher, "line_items": [LINE]}, total="20.23")
    assert (order.amounts.shop_discount, order.amounts.tax, order.items[0].tax) == (
        Decimal("10.00"), Decimal("3.23"), Decimal("3.23"),
    )  # fmt: skip


@pytest.mark.parametrize("quantity", [0.5, "0.5", 0, -1, 100_001, 2.25])
def test_what_is_no_number_of_pieces_is_one_piece(quantity: Any) -> None:
    order, happened = read_order(changed(line_items=[LINE | {"quantity": quantity}]))
    assert isinstance(order, orders.Submission)
    item = order.items[0]
    assert (item.quantity, item.name) == (1, f"Woo Album ({quantity})")
    assert item.unit_price * item.quantity - item.discount == Decimal("27.00")
    assert [type(event) for event in happened] == [events.PaymentSucceeded]


def lines_of(*figures: tuple[str, str]) -> list[dict[str, Any]]:
    """Return lines of one piece each, with a total and its tax."""
    return [
        {"name": "Tea", "sku": "TEA", "quantity": 1, "total": net, "total_tax": tax,
         "subtotal": net, "subtotal_tax": tax}
        for net, tax in figures
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("currency", "total", "figures", "payable", "rest", "discount"),
    [
        ("JPY", "100", [("92.59", "7.41")], "100", None, "0"),
        ("JPY", "99", [("91.67", "7.33")], "99", None, "0"),
        ("EUR", "30.00", [("25.2101", "4.7899")], "30.00", None, "0"),
        ("EUR", "30.0050", [("25.2101", "4.7899")], "30.01", "0.01", "0"),
        ("EUR", "30.0049", [("25.2101", "4.7899")], "30.00", None, "0"),
        ("EUR", "60.00", [("25.2101", "4.7899")] * 2, "60.00", None, "0"),
        ("KWD", "1.0005", [("1.0005", "0")], "1.001", None, "0"),
        ("EUR", 29.999999999999996, [("25.210084033613445", "4.7899")], "30.00", None, "0"),
        # Cash is rounded to five cents, to a whole crown.
        ("CHF", "10.05", [("9.32", "0.71")], "10.05", "0.02", "0"),
        ("SEK", "10", [("8.00", "1.60")], "10.00", "0.40", "0"),
        ("SEK", "10", [("8.00", "2.40")], "10.00", None, "0.40"),
        # A gift card, a store credit.
        ("EUR", "20.00", [("30.00", "0")], "20.00", None, "10.00"),
        ("EUR", "0.00", [("30.00", "0")], "0.00", None, "30.00"),
        # A line that is a reduction.
        ("EUR", "20.00", [("30.00", "0"), ("-10.00", "0")], "20.00", None, "10.00"),
    ],
)
def test_the_total_counts_and_lines_are_figures(
    currency: str, total: Any, figures: Any, payable: str, rest: str | None, discount: str
) -> None:
    changes: Any = PLAIN | {"currency": currency, "total": total, "line_items": lines_of(*figures)}
    order = placed(**changes)
    _, (paid,) = read_order(changed(**changes))
    assert order.amounts.payable == paid.amount == Decimal(payable)
    assert order.amounts.shop_discount == Decimal(discount)
    names = [item.sku for item in order.items]
    assert names == ["TEA"] * len(figures) + ["rounding"] * (rest is not None)
    if rest is not None:
        assert order.items[-1].unit_price == Decimal(rest)


def test_refunds_of_odd_fractions_add_up_to_the_total() -> None:
    """In whichever order the shop lists them, and however many are there yet."""
    refunds = [{"id": n, "total": "-15.0025"} for n in (1, 2)]
    for listed in (refunds, refunds[::-1]):
        _, happened = read_order(changed(total="30.0050", status="refunded", refunds=listed))
        found = {each.refund_no: each.amount for each in happened[1:]}
        assert found == {"1": Decimal("15.00"), "2": Decimal("15.01")}
    _, (paid, first) = read_order(changed(total="30.0050", refunds=refunds[:1]))
    assert (paid.amount, first.amount) == (Decimal("30.01"), Decimal("15.00"))


def test_two_hundred_lines_and_a_rounding() -> None:
    changes = PLAIN | {"line_items": lines_of(*[("1.004", "0")] * 200), "total": "200.80"}
    order = placed(**changes)
    assert (len(order.items), order.amounts.payable) == (200, Decimal("200.80"))
    assert order.items[0].unit_price == Decimal("1.80")


def test_a_gift_card_is_named_where_the_shop_names_it() -> None:
    cards = [{"id": 1, "code": "SECRET-1", "amount": "7.50"}, {"amount": "2.50"}]
    changes: Any = PLAIN | {"total": "20.00", "line_items": lines_of(("30.00", "0"))}
    order = placed(**changes, gift_cards=cards)
    amounts = order.amounts
    assert (amounts.payable, amounts.shop_discount) == (Decimal(20), Decimal(10))
    assert order.attributes == {"paid_by_gift_card": "10.00"}


cents = st.integers(0, 10**7).map(lambda n: Decimal(n).scaleb(-2))


rates = st.sampled_from([Decimal(0), Decimal("0.07"), Decimal("0.19"), Decimal("0.2125")])


@st.composite
def figures(draw: st.DrawFn, *, is_signed: bool = False) -> tuple[dict[str, Any], Decimal]:
    """Draw a line as the shop rounds it, and what it really costs."""
    net = draw(cents) * (-1 if is_signed and draw(st.booleans()) else 1)
    tax = net * draw(rates)
    shown = tax.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return {"total": str(net), "total_tax": str(shown)}, net + tax


@settings(max_examples=200)
@given(
    st.lists(st.tuples(figures(), st.integers(1, 99), cents), min_size=1, max_size=8),
    st.lists(figures(is_signed=True), max_size=3),
    st.lists(figures(), max_size=2),
    st.sampled_from(["", "missing", "credit"]),
    st.booleans(),
)
def test_whatever_adds_up_at_the_shop_adds_up_here(
    lines: Any, fees: Any, shipping: Any, off: str, is_included: bool
) -> None:
    """The shop's own total, to the cent; lines that are worth less than it are for a person."""
    exact = sum((cost for (_, cost), _, _ in lines), Decimal(0))
    exact += sum((cost for _, cost in [*fees, *shipping]), Decimal(0))
    total = exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
    total += {"": Decimal(0), "missing": Decimal("0.75"), "credit": Decimal("-0.75")}[off]
    order, _ = read_order(
        changed(
            total=str(total),
            line_items=[
                LINE | shown | {"quantity": n, "subtotal": str(Decimal(shown["total"]) + coupon)}
                for (shown, _), n, coupon in lines
            ],
            fee_lines=[shown for shown, _ in fees],
            shipping_lines=[shown for shown, _ in shipping],
            prices_include_tax=is_included,
        )
    )
    # A voucher that takes off more tax than there is explains some of what is missing.
    is_clear = not any(cost < 0 for _, cost in fees)
    if total < 0 or (off == "missing" and is_clear):
        assert isinstance(order, events.Unmapped)
        return
    if off == "missing" and isinstance(order, events.Unmapped):
        return
    if isinstance(order, events.Unmapped):
        pytest.fail(order.detail)
    assert order.amounts.payable == total
    try:
        validation.check(order, channels={"web"}, now=NOW, is_from_shop=True)
    except errors.Invalid as invalid:
        # Nothing is stored that is not right: the gateway parks it.
        assert all("amounts" in fault.field for fault in invalid.faults)
        assert total >= money.AMOUNT_LIMIT
