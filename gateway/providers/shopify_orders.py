"""Map Shopify's complete order: the order it places, and the events that its states prove.

All messages about an order must produce the same submission, so only fields that never change go
into it: neither the ``current_…`` amounts nor refunds nor states. Amounts are decimal strings in
major units of the shop's own currency; the buyer's presentment currency is ignored.

- A line costs ``price`` x ``quantity`` less its discount allocations, plus its taxes where
  ``taxes_included`` is false. With taxes its unit price is rounded up, and the excess is the line's
  discount.
- Shipping, less its allocations and with its taxes, is freight. Tips and duties are separate lines,
  if the total includes them.
- The sum must be ``total_price`` to the cent. Otherwise the order is parked, and its events are
  booked nevertheless.
"""

import functools
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from gateway.domain import errors, events, money, orders
from gateway.providers import contract
from gateway.providers.shared import fields, shop_orders

_UNPAID = frozenset({None, "pending", "authorized", "voided", "expired", "unpaid"})
_PAID = frozenset({"paid", "partially_refunded", "refunded"})


class _Amount(Struct):
    amount: Decimal


class _Tax(Struct):
    price: Decimal


class _Line(Struct):
    price: Decimal
    quantity: int = 1
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


#: States of a transaction that is not finished.
_UNDERWAY = frozenset({"pending", "awaiting_response", "unknown"})


class _Transaction(Struct):
    kind: str
    status: str
    amount: Decimal
    currency: str | None = None


class _Refund(Struct):
    id: int
    transactions: list[_Transaction] = []
    created_at: str | None = None


class _Fulfilment(Struct):
    status: str | None = None
    tracking_company: str | None = None
    tracking_number: str | None = None
    created_at: str | None = None


class _Customer(Struct):
    id: int | None = None


class _Money(Struct):
    shop_money: _Amount | None = None


class _Head(Struct):
    id: int
    name: str
    financial_status: str | None = None
    updated_at: str | None = None
    test: bool = False


class _Paid(_Head, kw_only=True):
    """What money, status and time need; read apart, so that no line costs a payment."""

    currency: str
    total_price: Decimal
    current_total_price: Decimal | None = None
    total_outstanding: Decimal | None = None
    refunds: list[_Refund] = []
    fulfillments: list[_Fulfilment] = []
    fulfillment_status: str | None = None
    cancelled_at: str | None = None


class _Order(_Head, kw_only=True):
    currency: str
    total_price: Decimal
    created_at: str
    line_items: list[_Line] = []
    taxes_included: bool = False
    shipping_lines: list[_Line] = []
    total_tip_received: Decimal | None = None
    original_total_duties_set: _Money | None = None
    customer: _Customer | None = None
    note: str | None = None
    billing_address: _Address | None = None
    shipping_address: _Address | None = None


_id = functools.partial(shop_orders.id_text, giver="Shopify")
_HEAD = msgspec.json.Decoder(_Head)
_PAID_PART = msgspec.json.Decoder(_Paid)
_ORDER = msgspec.json.Decoder(_Order)


def items(
    body: bytes,
    *,
    digest: str,
    now: datetime,
    channel: str,
    country: str,
    park_untracked: bool,
    take_tests: bool,
) -> list[contract.Item]:
    """Return the order and its events. Raises ``Rejected`` if it names no order."""
    head = fields.decoded_leniently(_HEAD, body)
    id_ = _id(head.id)
    message = shop_orders.OrderMessage(
        kind=fields.token(f"order.{head.financial_status}", "financial_status", fields.KEY_MAX),
        key=f"order:{id_}",
        digest=digest,
        now=now,
        changed=head.updated_at,
    )
    if head.test and not take_tests:
        return [message.whole(events.Noted("test", now))]
    return shop_orders.items(
        message,
        head.name,
        id_=id_,
        report=lambda message: _Report(
            message,
            fields.decoded_leniently(_PAID_PART, body),
            body,
            now,
            channel,
            country,
            park_untracked,
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
    park_untracked: bool

    def submission(self) -> orders.Submission:
        order = fields.decoded_leniently(_ORDER, self.body)
        return _submission(order, self.message.order_no, self.channel, self.country)

    def happened(self) -> list[contract.Item]:
        order, message, status = self.order, self.message, self.order.financial_status
        if status in _UNPAID:
            if order.cancelled_at is None:
                return self._refunds()
            at = shop_orders.moment_or(self.now, order.cancelled_at)
            return [message.item("closed", events.Closed(message.order_no, "cancelled", at))]
        if status == "partially_paid":
            return [message.notice("paid in part")]
        if status not in _PAID:
            return [message.notice("its financial_status is not documented")]
        refunds = self._refunds()
        found = self._paid(refunds) + refunds
        if status == "paid" and order.cancelled_at is not None and not order.refunds:
            found.append(message.notice("cancelled after it was paid, and nothing was refunded"))
        if status != "paid" and not order.refunds:
            found.append(message.notice(f"{status}, but the message names no amount"))
        if order.fulfillment_status == "fulfilled":
            found.extend(self._shipped())
        return found

    def _paid(self, refunds: Sequence[contract.Item]) -> list[contract.Item]:
        """Return the payment of the total, or park a total that cannot have been paid.

        Shopify does not report the paid amount. It is the total, unless the order was edited, an
        amount is outstanding, or the refunds of a refunded order do not add up to the total.
        """
        order, status = self.order, self.order.financial_status
        total = fields.amount(order.total_price, order.currency)
        back = sum(
            (i.event.amount for i in refunds if isinstance(i.event, events.RefundSucceeded)),
            money.ZERO,
        )
        is_edited = not order.refunds and _differs(order.current_total_price, total)
        is_all_back = status != "refunded" or back == total or self._has_pending()
        if is_edited or not is_all_back or _differs(order.total_outstanding, money.ZERO):
            detail = f"{status}, but the paid amount is unclear"
            return [self.message.notice(detail, "unclear")]
        payment = events.PaymentSucceeded(
            # Refunds name the order and no payment, so the order's id, unique at Shopify, is the
            # transaction id.
            transaction_id=_id(order.id),
            order_no=self.message.order_no,
            amount=total,
            currency=order.currency,
            occurred_at=self.message.at,
        )
        return [self.message.item("paid", payment)]

    def _has_pending(self) -> bool:
        return any(_is_pending(made) for made in self.order.refunds)

    def _refunds(self) -> list[contract.Item]:
        return shop_orders.refunds(self.message, self.order.refunds, self._returned)

    def _returned(self, made: _Refund) -> contract.Item | None:
        """Return the refund; None if only goods were returned, or if it is not finished."""
        currency, refund_no = self.order.currency, _id(made.id)
        if _is_pending(made):
            return None
        done = [t for t in made.transactions if t.kind == "refund" and t.status == "success"]
        if any(t.currency not in (None, currency) for t in done):
            raise fields.malformed("a refund in another currency than the order's")
        amount = sum((fields.amount(t.amount, currency) for t in done), money.ZERO)
        if not amount:
            return None
        returned = events.RefundSucceeded(
            transaction_id=_id(self.order.id),
            order_no=self.message.order_no,
            refund_no=refund_no,
            amount=fields.refund_amount(amount, currency),
            cumulative=False,
            currency=currency,
            occurred_at=shop_orders.moment_or(self.now, made.created_at),
        )
        return contract.Item(f"refund:{refund_no}", returned)

    def _shipped(self) -> list[contract.Item]:
        for parcel in self.order.fulfillments:
            # Staff paste tracking numbers as printed, with blanks.
            number = "".join((parcel.tracking_number or "").split())
            if parcel.status != "success" or not number:
                continue
            carrier = shop_orders.stripped(parcel.tracking_company) or "unknown"
            try:
                shipped = events.Shipped(
                    self.message.order_no,
                    fields.label(carrier, "carrier", shop_orders.CARRIER_MAX),
                    fields.token(number, "the tracking number", shop_orders.TRACKING_NO_MAX),
                    shop_orders.moment_or(self.now, parcel.created_at),
                )
            except errors.Rejected:
                continue
            return [self.message.item("shipped", shipped)]
        if not self.park_untracked:
            return []
        detail = "fulfilled, but no parcel has a tracking number; see the option park_untracked"
        return [self.message.item("untracked", self.message.unmapped(detail))]


def _is_pending(made: _Refund) -> bool:
    # Booked now, its key would be used up and the pending amount never booked.
    return any(t.kind == "refund" and t.status in _UNDERWAY for t in made.transactions)


def _differs(amount: Decimal | None, expected: Decimal) -> bool:
    return amount is not None and (not amount.is_finite() or amount != expected)


def _submission(order: _Order, order_no: str, channel: str, country: str) -> orders.Submission:
    """Make the order. Raises ``Rejected`` or ``Unclear``."""
    currency = fields.currency(order.currency)
    lines = [_item(line, currency, order.taxes_included) for line in order.line_items]
    freight = money.ZERO
    for shipping in order.shipping_lines:
        full, off, tax = _figures(shipping, currency, order.taxes_included)
        if off > full:
            raise shop_orders.Unclear("shipping is reduced by more than it costs")
        freight += full - off + tax
    payable = fields.amount(order.total_price, currency)
    goods = shop_orders.goods(lines)
    extras = _extras(order, payable - goods - freight, currency)
    lines += extras
    goods += sum((extra.unit_price for extra in extras), money.ZERO)
    shop_orders.check_lines(lines)
    recipient, sealed = _recipient(order, country)
    remark = shop_orders.remark(shop_orders.stripped(order.note), name="note", sealed=sealed)
    customer = order.customer.id if order.customer else None
    return orders.Submission(
        channel=channel,
        order_no=order_no,
        buyer_id=shop_orders.buyer_id(_id(customer) if customer else "", order_no),
        placed_at=shop_orders.moment(order.created_at),
        currency=currency,
        items=lines,
        amounts=orders.Amounts(goods=goods, payable=payable, freight=freight),
        recipient=recipient,
        remark=remark,
        is_test=order.test,
        attributes=sealed or None,
    )


def _extras(order: _Order, rest: Decimal, currency: str) -> list[orders.Item]:
    """Return tips and duties as lines, if they explain the rest of the total."""
    if not rest:
        return []
    duties = order.original_total_duties_set
    amounts = {
        "tip": order.total_tip_received or money.ZERO,
        "duties": duties.shop_money.amount if duties and duties.shop_money else money.ZERO,
    }
    known = {name: fields.amount(amount, currency) for name, amount in amounts.items()}
    for names in (("tip",), ("duties",), ("tip", "duties")):
        if sum((known[name] for name in names), money.ZERO) == rest:
            return [orders.Item(name, name, 1, known[name]) for name in names if known[name]]
    raise shop_orders.Unclear("lines, shipping, taxes, tips and duties do not add up to the total")


def _item(line: _Line, currency: str, taxes_included: bool) -> orders.Item:
    shop_orders.check_quantity(line.quantity)
    full, off, tax = _figures(line, currency, taxes_included)
    if off > full:
        raise shop_orders.Unclear("a line is reduced by more than it costs")
    return shop_orders.line(
        numbers=(
            shop_orders.stripped(line.sku),
            str(line.variant_id or ""),
            str(line.product_id or ""),
        ),
        name=shop_orders.stripped(line.name) or shop_orders.stripped(line.title),
        quantity=line.quantity,
        full=full + tax,
        cost=full - off + tax,
        currency=currency,
    )


def _figures(line: _Line, currency: str, taxes_included: bool) -> tuple[Decimal, Decimal, Decimal]:
    """Return what a line costs before reductions, its reductions, and the tax on top."""
    full = fields.amount(line.price, currency) * line.quantity
    off = _sum([part.amount for part in line.discount_allocations], currency)
    tax = money.ZERO if taxes_included else _sum([t.price for t in line.tax_lines], currency)
    return full, off, tax


def _sum(amounts: Sequence[Decimal], currency: str) -> Decimal:
    return sum((fields.amount(amount, currency) for amount in amounts), money.ZERO)


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
