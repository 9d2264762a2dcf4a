"""Map WooCommerce's complete order to the Standard Order Model.

All messages about an order must produce the same submission, so only fields that never change go
into it: neither refunds nor the status. Amounts are decimal strings in major units, before tax,
with the tax in a separate field.

- A line costs ``total``; its unit price is ``subtotal``, the one before coupons, rounded up, and
  the excess is the line's discount. Fees are separate lines (``fee``), or a shop discount if
  negative; shipping is freight.
- ``total_tax`` is on top of each. Where the shop's own prices contain the tax
  (``prices_include_tax``), these are told: each with its tax.
- The total counts. A gift card that lowers it is a discount of the shop, and named where the shop
  names it.
"""

from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from gateway.domain import money, orders
from gateway.providers.shared import fields, shop_amounts, shop_orders


class _Line(Struct):
    total: Decimal
    name: str | None = None
    #: Plug-ins sell by weight or length: 0.5.
    quantity: Decimal = Decimal(1)
    subtotal: Decimal | None = None
    subtotal_tax: Decimal = money.ZERO
    total_tax: Decimal = money.ZERO
    sku: str | None = None
    product_id: int = 0
    variation_id: int = 0


class _GiftCard(Struct):
    amount: Decimal


class _Address(Struct):
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    address_1: str | None = None
    address_2: str | None = None
    city: str | None = None
    state: str | None = None
    postcode: str | None = None
    country: str | None = None
    phone: str | None = None


class _Order(Struct, kw_only=True):
    currency: str
    total: Decimal
    prices_include_tax: bool = False
    date_created_gmt: str
    line_items: list[_Line] = []
    shipping_lines: list[_Line] = []
    fee_lines: list[_Line] = []
    #: Of the plug-in Gift Cards.
    gift_cards: list[_GiftCard] = []
    customer_id: int = 0
    customer_note: str | None = None
    billing: _Address | None = None
    shipping: _Address | None = None


_ORDER = msgspec.json.Decoder(_Order)
_NEEDED = frozenset(
    {
        "currency", "total", "total_tax", "prices_include_tax", "quantity", "date_created_gmt",
        "line_items", "shipping_lines", "fee_lines",
    }
)  # fmt: skip


def submission(body: bytes, order_no: str, channel: str, country: str) -> orders.Submission:
    """Return the order. Raises ``Rejected`` or ``Unclear``."""
    order = fields.decoded_as_possible(_ORDER, body, needed=_NEEDED)
    currency = fields.currency(order.currency)
    is_included = order.prices_include_tax
    lines = [each for line in order.line_items if (each := _line(line, is_included)) is not None]
    discount = freight = tax = money.ZERO
    for fee in order.fee_lines:
        cost = _cost(fee, is_included)
        if cost > 0:
            name = shop_orders.stripped(fee.name) or "fee"
            lines.append(shop_amounts.charge("fee", name, cost, _tax(fee)))
        else:
            discount -= cost
            tax += _tax(fee)
    for shipping in order.shipping_lines:
        cost = _cost(shipping, is_included)
        freight += max(cost, money.ZERO)
        discount -= min(cost, money.ZERO)
        tax += _tax(shipping)
    items, amounts = shop_amounts.settled(
        lines,
        shop_amounts.Others(freight=freight, discount=discount, tax=tax, is_included=is_included),
        payable=shop_amounts.total(order.total, currency),
        currency=currency,
    )
    recipient, sealed = _recipient(order, country)
    note = shop_orders.stripped(order.customer_note)
    remark = shop_orders.remark(note, name="customer_note", sealed=sealed)
    if by_card := _by_gift_card(order.gift_cards, currency):
        sealed["paid_by_gift_card"] = money.text(by_card, currency)
    is_known = 0 < order.customer_id < 1 << 63
    return orders.Submission(
        channel=channel,
        order_no=order_no,
        buyer_id=shop_orders.buyer_id(str(order.customer_id) if is_known else "", order_no),
        placed_at=shop_orders.moment(order.date_created_gmt, zone=UTC),
        currency=currency,
        items=items,
        amounts=amounts,
        recipient=recipient,
        remark=remark,
        attributes=shop_orders.attributes(sealed),
    )


def _line(line: _Line, is_included: bool) -> shop_amounts.Line | None:
    """Return a line; None for one of nothing that costs nothing."""
    cost = _cost(line, is_included)
    if not line.quantity.is_finite():
        raise shop_orders.Unclear("a line has a quantity that is no number")
    if not line.quantity and not cost:
        return None
    name, quantity = shop_orders.stripped(line.name), 1
    if 1 <= line.quantity <= orders.QUANTITY_MAX and not line.quantity % 1:
        quantity = int(line.quantity)
    else:
        # Part of a unit is sold as one piece; what it was stands in its name.
        name = f"{name[: shop_orders.NAME_MAX - 24]} ({line.quantity:.6g})"
    full = cost
    if line.subtotal is not None:
        full = shop_amounts.figure(line.subtotal)
        if is_included:
            full += shop_amounts.figure(line.subtotal_tax)
    numbers = (line.sku, str(line.variation_id or ""), str(line.product_id or ""))
    return shop_amounts.Line(
        numbers=[shop_orders.stripped(number) for number in numbers],
        name=name,
        quantity=quantity,
        full=full,
        cost=cost,
        tax=_tax(line),
    )


def _cost(line: _Line, is_included: bool) -> Decimal:
    """Return what a line costs, as the shop tells its prices: with its tax, or without."""
    net = shop_amounts.figure(line.total)
    return net + _tax(line) if is_included else net


def _tax(line: _Line) -> Decimal:
    return shop_amounts.figure(line.total_tax)


def _by_gift_card(cards: Sequence[_GiftCard], currency: str) -> Decimal:
    return sum((shop_amounts.total(card.amount, currency) for card in cards), money.ZERO)


def _recipient(order: _Order, country: str) -> tuple[orders.Recipient, dict[str, Any]]:
    """Return the recipient and, by name, the texts that are too long for their columns."""
    billing, to = order.billing or _Address(), order.shipping or _Address()
    if not (to.address_1 or to.first_name or to.last_name or to.company):
        to = billing
    stripped, joined = shop_orders.stripped, shop_orders.joined
    texts = {
        "name": joined(" ", to.first_name, to.last_name) or stripped(to.company),
        "phone": stripped(to.phone) or stripped(billing.phone),
        "street": joined(", ", to.address_1, to.address_2),
        "province": stripped(to.state),
        "city": stripped(to.city),
        "postcode": stripped(to.postcode),
    }
    return shop_orders.recipient(shop_orders.country((to.country, billing.country), country), texts)
