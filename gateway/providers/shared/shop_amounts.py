"""The amounts of a shop's order: its total is money, its lines are figures.

A shop computes with more decimals than its currency has, leaves out of its lines what a plug-in
took off, and rounds where it pleases. What the buyer pays is the total. Each figure is rounded to
the currency's unit. What then is more than the total is a discount of the shop: a gift card, a
store credit, a rounding down. What is less by a rounding is a line ``rounding``; by more, goods may
be missing, and the order is for a person.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from msgspec import UNSET, Struct
from msgspec.structs import replace

from gateway.domain import money, orders
from gateway.providers.shared import fields, shop_orders

#: Figures are cut after so many decimals; floats of a shop have up to 17 digits.
_DECIMALS_MAX = 12
_FINEST = Decimal(1).scaleb(-_DECIMALS_MAX)
#: What cash is rounded by at most, in major units: to a whole crown, or to ten yen.
_CASH, _CASH_WITHOUT_DECIMALS = Decimal("0.5"), Decimal(5)


class Line(Struct, frozen=True, kw_only=True):
    """One line as a shop tells it, all of it for the whole quantity.

    ``full`` is its price before reductions, ``cost`` the one after them, and ``tax`` the tax on the
    latter: contained in both, or on top of both. ``price`` is that of one piece, where the shop
    tells it in whole units. ``is_charge``: a fee or a tip, of which nothing is taken off.
    """

    numbers: Sequence[str]
    name: str
    quantity: int
    full: Decimal
    cost: Decimal
    tax: Decimal = money.ZERO
    price: Decimal | None = None
    is_charge: bool = False


class Others(Struct, frozen=True, kw_only=True):
    """What a shop tells of the whole order; ``tax`` is that on these, less than none on a discount.

    ``is_included``: the prices contain the taxes.
    """

    freight: Decimal
    discount: Decimal = money.ZERO
    tax: Decimal = money.ZERO
    is_included: bool = False


def charge(sku: str, name: str, cost: Decimal, tax: Decimal = money.ZERO) -> Line:
    """Return the line of a charge of ``cost``."""
    return Line(
        numbers=(sku,), name=name, quantity=1, full=cost, cost=cost, tax=tax, is_charge=True
    )


def figure(value: Decimal) -> Decimal:
    """Return a figure that may be negative and of many decimals. Raises ``Rejected``."""
    if not value.is_finite() or value.adjusted() >= 12:
        raise fields.malformed("an amount is not a number below 1000000000000")
    return round(value, _DECIMALS_MAX) if value.adjusted() > -_DECIMALS_MAX else money.ZERO


def rounded(value: Decimal, currency: str) -> Decimal:
    """Return a figure in whole units of its currency. Raises ``Rejected``."""
    return _rounded(figure(value), money.UNITS[fields.currency(currency)])


def total(value: Decimal, currency: str) -> Decimal:
    """Return what is paid or refunded: not negative, in whole units. Raises ``Rejected``."""
    return fields.amount(rounded(value, currency), currency)


def parts(values: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Return the figures in whole units, so that they add up to their own sum, rounded.

    Two refunds of 15.0025 are 30.01 together. Raises ``Rejected``.
    """
    found, exact, so_far = [], money.ZERO, money.ZERO
    for value in values:
        exact += figure(value)
        found.append(rounded(exact, currency) - so_far)
        so_far += found[-1]
    return found


def settled(
    lines: Sequence[Line], others: Others, *, payable: Decimal, currency: str
) -> tuple[list[orders.Item], orders.Amounts]:
    """Return the items and the amounts of an order whose total is ``payable``.

    Raises ``Unclear`` for what the model cannot hold.
    """
    unit = money.UNITS[currency]
    discount, items = others.discount, []
    for line in lines:
        item, below = _item(line, unit)
        items.append(item)
        discount += below
    discount, freight = _rounded(discount, unit), _rounded(others.freight, unit)
    goods = shop_orders.goods(items)
    tax = _tax(lines, others, unit)
    if others.is_included:
        tax = min(tax, goods + freight)
    rest = payable - (goods - discount + freight + (money.ZERO if others.is_included else tax))
    if rest > _rounding_max(len(lines) + 2, unit):
        raise shop_orders.Unclear("lines, fees, shipping and taxes do not add up to the total")
    if rest > 0:
        _add_rest(items, rest)
        goods += rest
    elif rest:
        discount -= rest
    shop_orders.check_lines(items)
    amounts = orders.Amounts(goods=goods, payable=payable, shop_discount=discount, freight=freight)
    if tax:
        amounts = replace(amounts, tax=tax, tax_included=others.is_included or UNSET)
    return _shared(items, [_rounded(line.tax, unit) for line in lines], tax), amounts


def _tax(lines: Sequence[Line], others: Others, unit: Decimal) -> Decimal:
    """Return the tax of the order: that of the lines, each rounded, and of the rest."""
    of_lines = sum((_rounded(line.tax, unit) for line in lines), money.ZERO)
    return max(of_lines + _rounded(others.tax, unit), money.ZERO)


def _shared(
    items: Sequence[orders.Item], shares: Sequence[Decimal], tax: Decimal
) -> list[orders.Item]:
    """Return the items with their shares of the tax; together these are no more than it is."""
    found = list(items)
    for n, share in enumerate(shares):
        if part := min(max(share, money.ZERO), tax):
            found[n] = replace(found[n], tax=part)
            tax -= part
    return found


def _item(line: Line, unit: Decimal) -> tuple[orders.Item, Decimal]:
    """Return the item, and by how much the line costs less than nothing."""
    cost = max(_rounded(line.cost, unit), money.ZERO)
    full = max(_rounded(line.full, unit), cost)
    price = line.price
    if price is None or price * line.quantity != full:
        price = (full / line.quantity).quantize(unit, ROUND_CEILING)
    sku = shop_orders.first_fitting(line.numbers, shop_orders.SKU_MAX) or "unknown"
    item = orders.Item(
        sku=sku,
        name=line.name[: shop_orders.NAME_MAX] or sku,
        quantity=line.quantity,
        unit_price=price,
        discount=money.ZERO if line.is_charge else price * line.quantity - cost,
    )
    return item, max(-line.cost, money.ZERO)


def _rounding_max(figures: int, unit: Decimal) -> Decimal:
    """Return what roundings explain: of each figure half a unit, and again of its tax."""
    return max(figures * unit, _CASH if unit < 1 else _CASH_WITHOUT_DECIMALS)


def _add_rest(items: list[orders.Item], rest: Decimal) -> None:
    if len(items) < orders.ITEMS_MAX:
        items.append(orders.Item(sku="rounding", name="rounding", quantity=1, unit_price=rest))
        return
    # No further line fits: one of a single piece costs so much more.
    for n, item in enumerate(items):
        if item.quantity == 1:
            items[n] = replace(item, unit_price=item.unit_price + rest)
            return
    raise shop_orders.Unclear("has no room for a line with the rest of the total")


def _rounded(value: Decimal, unit: Decimal) -> Decimal:
    return value.quantize(unit, ROUND_HALF_UP) if value else money.ZERO
