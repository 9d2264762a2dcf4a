"""Map Shopify's complete order to the Standard Order Model.

All messages about an order must produce the same submission, so only fields that never change go
into it: neither refunds nor states. Where the order was edited, ``current_total_price`` and the
``current_quantity`` of its lines are told instead; both also fall with refunds and cancellations,
so they count only before any. Amounts are decimal strings in major units of the shop's own
currency; what the buyer saw in theirs, ``presentment_money``, is ignored.

- A line costs ``price`` x ``quantity`` less its discount allocations. Taxes are contained in the
  prices or on top of them, as ``taxes_included`` says.
- Shipping, less its allocations, is freight. Tips, duties and further fees are separate lines, if
  the total includes them.
- The total counts (``shop_amounts``).
"""

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.domain import money, orders
from gateway.providers.shared import fields, shop_amounts, shop_orders


class Sum(Struct):
    """An amount in one currency."""

    amount: Decimal
    currency_code: str | None = None


class Money(Struct):
    """An amount in the shop's currency and in the buyer's: a ``*_set`` of Shopify."""

    shop_money: Sum | None = None
    presentment_money: Sum | None = None


class _Amount(Struct):
    amount: Decimal
    amount_set: Money | None = None


class _Tax(Struct):
    price: Decimal
    price_set: Money | None = None


class _Line(Struct):
    price: Decimal
    price_set: Money | None = None
    quantity: int = 1
    current_quantity: int | None = None
    name: str | None = None
    title: str | None = None
    sku: str | None = None
    variant_id: int | None = None
    product_id: int | None = None
    discount_allocations: list[_Amount] = []
    tax_lines: list[_Tax] = []


class _Address(Struct):
    first_name: str | None = None
    last_name: str | None = None
    name: str | None = None
    company: str | None = None
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    province: str | None = None
    zip: str | None = None
    country_code: str | None = None
    phone: str | None = None


class _Customer(Struct):
    id: int | None = None


class _Order(Struct, kw_only=True):
    currency: str
    total_price: Decimal
    total_price_set: Money | None = None
    current_total_price: Decimal | None = None
    current_total_price_set: Money | None = None
    cancelled_at: str | None = None
    refunds: list[msgspec.Raw] = []
    created_at: str
    line_items: list[_Line] = []
    taxes_included: bool = False
    shipping_lines: list[_Line] = []
    total_tip_received: Decimal | None = None
    original_total_duties_set: Money | None = None
    original_total_additional_fees_set: Money | None = None
    customer: _Customer | None = None
    note: str | None = None
    billing_address: _Address | None = None
    shipping_address: _Address | None = None
    test: bool = False


_ORDER = msgspec.json.Decoder(_Order)
_NEEDED = frozenset(
    {
        "currency", "total_price", "created_at", "line_items", "taxes_included", "shipping_lines",
        "price", "quantity", "discount_allocations", "tax_lines", "amount", "test", "refunds",
        "cancelled_at", "current_total_price",
    }
)  # fmt: skip


def currency(code: str, total: Money | None) -> str:
    """Return the shop's currency. Raises ``Rejected``."""
    shop = total.shop_money if total else None
    return fields.currency(shop.currency_code if shop and shop.currency_code else code)


def shop_amount(plain: Decimal, told: Money | None) -> Decimal:
    """Return an amount in the shop's currency."""
    return told.shop_money.amount if told and told.shop_money else plain


def edited_total(order: "Edited") -> Decimal | None:
    """Return the total of an order that was edited, in the shop's currency; None: it was not."""
    told, total = order.current_total_price, order.total_price
    if told is None or shop_orders.is_time(order.cancelled_at) or order.refunds:
        return None
    if not told.is_finite() or told <= 0 or told == total:
        return None
    return shop_amount(told, order.current_total_price_set)


class Edited(Protocol):
    """What shows whether an order was edited."""

    total_price: Decimal
    current_total_price: Decimal | None
    current_total_price_set: Money | None
    cancelled_at: str | None
    refunds: list[msgspec.Raw]


def submission(body: bytes, order_no: str, channel: str, country: str) -> orders.Submission:
    """Return the order. Raises ``Rejected`` or ``Unclear``."""
    order = fields.decoded_as_possible(_ORDER, body, needed=_NEEDED)
    unit = currency(order.currency, order.total_price_set)
    is_included = order.taxes_included
    edited = edited_total(order)
    if edited is not None:
        order.line_items = [_current(line) for line in order.line_items if _is_left(line)]
    lines = [_line(line) for line in order.line_items]
    freight = sum((_cost(line) for line in order.shipping_lines), money.ZERO)
    on_freight = sum((_tax(line) for line in order.shipping_lines), money.ZERO)
    total = shop_amount(order.total_price, order.total_price_set) if edited is None else edited
    payable = shop_amounts.total(total, unit)
    on_top = money.ZERO if is_included else sum((line.tax for line in lines), on_freight)
    rest = payable - sum((line.cost for line in lines), freight) - on_top
    lines += _extras(order, rest)
    others = shop_amounts.Others(
        freight=max(freight, money.ZERO),
        discount=max(-freight, money.ZERO),
        tax=on_freight,
        is_included=is_included,
    )
    items, amounts = shop_amounts.settled(lines, others, payable=payable, currency=unit)
    recipient, sealed = _recipient(order, country)
    remark = shop_orders.remark(shop_orders.stripped(order.note), name="note", sealed=sealed)
    customer = (order.customer.id if order.customer else None) or 0
    return orders.Submission(
        channel=channel,
        order_no=order_no,
        buyer_id=shop_orders.buyer_id(str(customer) if 0 < customer < 1 << 63 else "", order_no),
        placed_at=shop_orders.moment(order.created_at),
        currency=unit,
        items=items,
        amounts=amounts,
        recipient=recipient,
        remark=remark,
        is_test=order.test,
        attributes=shop_orders.attributes(sealed),
    )


def numbers(sku: str | None, variant_id: int | None, product_id: int | None) -> list[str]:
    """Return the numbers of an article, the shop's own first."""
    return [shop_orders.stripped(sku), str(variant_id or ""), str(product_id or "")]


def _extras(order: _Order, rest: Decimal) -> list[shop_amounts.Line]:
    """Return tips, duties and fees as lines, if they explain the rest of the total."""
    duties, fees = order.original_total_duties_set, order.original_total_additional_fees_set
    figures = {
        "tip": order.total_tip_received or money.ZERO,
        "duties": shop_amount(money.ZERO, duties),
        "fees": shop_amount(money.ZERO, fees),
    }
    known = {name: shop_amounts.figure(value) for name, value in figures.items()}
    known = {name: value for name, value in known.items() if value > 0}
    for n in range(len(known)):
        for names in itertools.combinations(known, n + 1):
            if sum((known[name] for name in names), money.ZERO) == rest:
                return [shop_amounts.charge(name, name, known[name]) for name in names]
    return []


def _is_left(line: _Line) -> bool:
    return line.current_quantity != 0


def _current(line: _Line) -> _Line:
    """Return the line with the pieces that an edit left."""
    return line if line.current_quantity is None else replace(line, quantity=line.current_quantity)


def _line(line: _Line) -> shop_amounts.Line:
    shop_orders.check_quantity(line.quantity)
    cost = _cost(line)
    return shop_amounts.Line(
        numbers=numbers(line.sku, line.variant_id, line.product_id),
        name=shop_orders.stripped(line.name) or shop_orders.stripped(line.title),
        quantity=line.quantity,
        full=cost + _reductions(line),
        cost=cost,
        tax=_tax(line),
    )


def _cost(line: _Line) -> Decimal:
    """Return what a line costs after its reductions."""
    price = shop_amounts.figure(shop_amount(line.price, line.price_set)) * line.quantity
    return price - _reductions(line)


def _tax(line: _Line) -> Decimal:
    return _sum([shop_amount(tax.price, tax.price_set) for tax in line.tax_lines])


def _reductions(line: _Line) -> Decimal:
    return _sum([shop_amount(part.amount, part.amount_set) for part in line.discount_allocations])


def _sum(amounts: Sequence[Decimal]) -> Decimal:
    return sum((shop_amounts.figure(amount) for amount in amounts), money.ZERO)


def _recipient(order: _Order, country: str) -> tuple[orders.Recipient, dict[str, Any]]:
    """Return the recipient and, by name, the texts that are too long for their columns."""
    billing = order.billing_address or _Address()
    to = order.shipping_address or billing
    stripped, joined = shop_orders.stripped, shop_orders.joined
    name = joined(" ", to.first_name, to.last_name)
    texts = {
        "name": name or stripped(to.name) or stripped(to.company),
        "phone": stripped(to.phone) or stripped(billing.phone),
        "street": joined(", ", to.address1, to.address2),
        "province": stripped(to.province),
        "city": stripped(to.city),
        "postcode": stripped(to.zip),
    }
    code = shop_orders.country((to.country_code, billing.country_code), country)
    return shop_orders.recipient(code, texts)
