"""Map WooCommerce's complete order: the order it places, and the events that its status proves.

All messages about an order must produce the same submission, so only fields that never change go
into it: neither refunds nor the status. Amounts are decimal strings in major units, before tax,
with the tax in a separate field.

- A line costs ``total`` + ``total_tax``; its unit price is the one before coupons, rounded up, and
  the excess is the line's discount.
- Fees are separate lines (``fee``), or a shop discount if negative; shipping is freight. All
  include their tax.
- The shop rounds each figure separately, but sums up the unrounded ones. The difference, at most
  half a unit per figure, is a line ``rounding`` or a shop discount. If it is larger, the order is
  parked, and its events are booked nevertheless.
"""

import functools
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from gateway.domain import events, money, orders
from gateway.providers import contract
from gateway.providers.shared import fields, shop_orders

_UNPAID = frozenset({"pending", "on-hold", "failed"})
_PAID = frozenset({"processing", "completed", "refunded"})


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


class _Refund(Struct):
    id: int
    total: Decimal


class _Head(Struct):
    id: int
    number: str | int
    status: str
    date_modified_gmt: str | None = None


class _Paid(_Head, kw_only=True):
    """What money, status and time need; read apart, so that no line costs a payment."""

    currency: str
    total: Decimal
    refunds: list[_Refund] = []
    date_paid_gmt: str | None = None
    date_completed_gmt: str | None = None


class _Order(_Head, kw_only=True):
    currency: str
    total: Decimal
    date_created_gmt: str
    line_items: list[_Line] = []
    shipping_lines: list[_Line] = []
    fee_lines: list[_Line] = []
    customer_id: int = 0
    customer_note: str | None = None
    billing: _Address | None = None
    shipping: _Address | None = None


_id = functools.partial(shop_orders.id_text, giver="a shop")
# Times of the shop are UTC without a zone.
_moment_or = functools.partial(shop_orders.moment_or, zone=UTC)
_HEAD = msgspec.json.Decoder(_Head)
_PAID_PART = msgspec.json.Decoder(_Paid)
_ORDER = msgspec.json.Decoder(_Order)


def items(
    body: bytes, *, digest: str, now: datetime, channel: str, country: str
) -> list[contract.Item]:
    """Return the order and its events. Raises ``Rejected`` if it names no order."""
    head = fields.decoded_leniently(_HEAD, body)
    if isinstance(head.number, int) and not 0 < head.number < 1 << 63:
        raise fields.malformed("the number is not one that a shop assigns")
    id_ = _id(head.id)
    message = shop_orders.OrderMessage(
        kind=fields.token(f"order.{head.status}", "the status", fields.KEY_MAX),
        key=f"order:{id_}",
        digest=digest,
        now=now,
        changed=head.date_modified_gmt,
        zone=UTC,
    )
    if head.status == "checkout-draft":
        # A shopping cart, not an order.
        return [message.whole(events.Noted(message.kind, now))]
    return shop_orders.items(
        message,
        str(head.number),
        id_=id_,
        report=lambda message: _Report(
            message, fields.decoded_leniently(_PAID_PART, body), body, now, channel, country
        ),
    )


class _Report(Struct, frozen=True):
    """One order as a message reports it."""

    message: shop_orders.OrderMessage
    order: _Paid
    body: bytes
    now: datetime
    channel: str
    country: str

    @property
    def transaction_id(self) -> str:
        """Return the transaction id: the channel and the order number.

        Refunds name the order only, and the number of a payment plug-in may arrive later or
        change. The channel is included, as order numbers of different shops overlap.
        """
        return f"{self.channel}:{self.message.order_no}"

    def submission(self) -> orders.Submission:
        order = fields.decoded_leniently(_ORDER, self.body)
        return _submission(order, self.message.order_no, self.channel, self.country)

    def happened(self) -> list[contract.Item]:
        order, message, status = self.order, self.message, self.order.status
        is_paid = order.date_paid_gmt is not None
        if status in _UNPAID and not is_paid:
            return []
        if status == "cancelled" and not is_paid:
            closed = events.Closed(message.order_no, "cancelled", message.at)
            return [message.item("closed", closed)]
        if status not in _PAID | _UNPAID | {"cancelled"}:
            # A status of a plug-in, or trash. Never treated as paid.
            return [message.notice("a status that WooCommerce itself does not use for orders")]
        if not is_paid:
            if status == "processing":
                return []  # to be paid on delivery
            return [message.notice(f"{status}, and never paid")]
        found = [message.item("paid", self._payment())]
        if status == "cancelled" or status in _UNPAID:
            found.append(message.notice(f"{status} after it was paid"))
        found.extend(self._refunds())
        if status == "completed":
            at = _moment_or(self.now, order.date_completed_gmt)
            found.append(message.item("completed", events.Delivered(message.order_no, at)))
        return found

    def _payment(self) -> events.Event:
        return events.PaymentSucceeded(
            transaction_id=self.transaction_id,
            order_no=self.message.order_no,
            amount=fields.amount(self.order.total, self.order.currency),
            currency=self.order.currency,
            occurred_at=_moment_or(self.now, self.order.date_paid_gmt),
        )

    def _refunds(self) -> list[contract.Item]:
        if not self.order.refunds and self.order.status == "refunded":
            return [self.message.notice("refunded, but the message names no amount")]
        return shop_orders.refunds(self.message, self.order.refunds, self._returned)

    def _returned(self, refund: _Refund) -> contract.Item | None:
        """Return the refund; None if only goods were returned."""
        amount = _signed(refund.total, self.order.currency)
        if amount > 0:
            raise fields.malformed("a refund with a positive total")
        if not amount:
            return None
        returned = events.RefundSucceeded(
            transaction_id=self.transaction_id,
            order_no=self.message.order_no,
            refund_no=_id(refund.id),
            amount=-amount,
            cumulative=False,
            currency=self.order.currency,
            occurred_at=self.message.at,
        )
        return self.message.item(f"refund:{refund.id}", returned)


def _submission(order: _Order, order_no: str, channel: str, country: str) -> orders.Submission:
    """Make the order. Raises ``Rejected`` or ``Unclear``."""
    currency = fields.currency(order.currency)
    lines = [_item(line, currency) for line in order.line_items]
    discount = freight = money.ZERO
    for fee in order.fee_lines:
        cost = _cost(fee, currency)
        if cost < 0:
            discount -= cost
        elif cost:
            lines.append(_single("fee", shop_orders.stripped(fee.name) or "fee", cost))
    for shipping in order.shipping_lines:
        cost = _cost(shipping, currency)
        if cost < 0:
            raise shop_orders.Unclear("a shipping line costs less than nothing")
        freight += cost
    payable = fields.amount(order.total, currency)
    goods = shop_orders.goods(lines)
    rest = payable - (goods - discount + freight)
    figures = 2 * (len(order.line_items) + len(order.fee_lines) + len(order.shipping_lines))
    if abs(rest) * 2 > money.UNITS[currency] * figures:
        raise shop_orders.Unclear("lines, fees, shipping and taxes do not add up to the total")
    if rest > 0:
        lines.append(_single("rounding", "rounding", rest))
        goods += rest
    elif rest:
        discount -= rest
    shop_orders.check_lines(lines)
    recipient, sealed = _recipient(order, country)
    note = shop_orders.stripped(order.customer_note)
    remark = shop_orders.remark(note, name="customer_note", sealed=sealed)
    is_known = 0 < order.customer_id < 1 << 63
    return orders.Submission(
        channel=channel,
        order_no=order_no,
        buyer_id=shop_orders.buyer_id(str(order.customer_id) if is_known else "", order_no),
        placed_at=shop_orders.moment(order.date_created_gmt, zone=UTC),
        currency=currency,
        items=lines,
        amounts=orders.Amounts(
            goods=goods, payable=payable, shop_discount=discount, freight=freight
        ),
        recipient=recipient,
        remark=remark,
        attributes=sealed or None,
    )


def _item(line: _Line, currency: str) -> orders.Item:
    name, quantity = shop_orders.stripped(line.name), 1
    if line.quantity == line.quantity.to_integral_value():
        shop_orders.check_quantity(line.quantity)
        quantity = int(line.quantity)
    else:
        # Part of a unit is sold as one piece; what it was stands in its name.
        name = f"{name[: shop_orders.NAME_MAX - 24]} ({line.quantity})"
    cost = _cost(line, currency)
    if cost < 0:
        raise shop_orders.Unclear("a line costs less than nothing")
    full = cost
    if line.subtotal is not None:
        before = _signed(line.subtotal, currency) + _signed(line.subtotal_tax, currency)
        full = max(cost, before)
    numbers = (line.sku, str(line.variation_id or ""), str(line.product_id or ""))
    return shop_orders.line(
        numbers=[
            shop_orders.stripped(number)
            for number in numbers
            if number and len(number) <= shop_orders.SKU_MAX
        ],
        name=name,
        quantity=quantity,
        full=full,
        cost=cost,
        currency=currency,
    )


def _single(sku: str, name: str, cost: Decimal) -> orders.Item:
    return orders.Item(sku=sku, name=name[: shop_orders.NAME_MAX], quantity=1, unit_price=cost)


def _cost(line: _Line, currency: str) -> Decimal:
    return _signed(line.total, currency) + _signed(line.total_tax, currency)


def _signed(value: Decimal, currency: str) -> Decimal:
    """Return an amount that may be negative. Raises ``Rejected``."""
    amount = fields.amount(value.copy_abs(), currency)
    return -amount if value.is_signed() else amount


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
