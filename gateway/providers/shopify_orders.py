"""Shopify's whole order: the order it places, and what its states say happened to it.

All messages about an order must make the same one, so only what stays goes into it: neither the
``current_…`` amounts nor refunds nor states. Amounts are the shop's own currency, decimal strings
in major units; what the buyer saw in another one is left aside.

- A line costs ``price`` x ``quantity`` less its discount allocations, plus its taxes where
  ``taxes_included`` is false. With taxes its price a piece is rounded up, and what is over is the
  line's discount.
- Shipping, less its allocations and with its taxes, is freight. Tips and duties are lines of their
  own, if the total holds them.
- All of it must be ``total_price`` to the cent. Where it is not the order is parked, and what
  happened to it is told nevertheless.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

import msgspec
from msgspec import Struct

from gateway.domain import errors, events, money, orders
from gateway.providers import contract
from gateway.providers.shared import fields

_NAME_MAX, _SKU_MAX, _CARRIER_MAX, _TRACKING_NO_MAX = 256, 64, 64, 64
_REFUNDS_MAX = 100

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


#: States of a transaction that is not over yet.
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


class _Order(_Head, kw_only=True):
    currency: str
    total_price: Decimal
    created_at: str
    line_items: list[_Line]
    taxes_included: bool = False
    shipping_lines: list[_Line] = []
    current_total_price: Decimal | None = None
    total_outstanding: Decimal | None = None
    total_tip_received: Decimal | None = None
    original_total_duties_set: _Money | None = None
    refunds: list[_Refund] = []
    fulfillments: list[_Fulfilment] = []
    fulfillment_status: str | None = None
    cancelled_at: str | None = None
    customer: _Customer | None = None
    note: str | None = None
    billing_address: _Address | None = None
    shipping_address: _Address | None = None


_HEAD = msgspec.json.Decoder(_Head)
_ORDER = msgspec.json.Decoder(_Order)


class _Unclear(Exception):
    """The order is well formed and can not be stored as one."""


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
    """Return the order and what happened to it. Raises ``Refused`` if it names no order."""
    head = fields.decoded(_HEAD, body)
    key = f"order:{_id(head.id)}"
    kind = fields.token(f"order.{head.financial_status}", "financial_status", fields.KEY_MAX)
    if head.test and not take_tests:
        return [contract.Item(f"{key}:{digest}", events.Noted("test", now))]
    try:
        order_no = fields.order_no(head.name)
    except errors.Refused as refused:
        # A shop chooses how its numbers look: a true message, that must not be refused for it.
        detail = f"{refused.hint}; order {_id(head.id)}"
        unmapped = events.Unmapped(kind, "", detail, _time(head.updated_at, now))
        return [contract.Item(f"{key}:{digest}", unmapped)]
    try:
        order = fields.decoded(_ORDER, body)
    except errors.Refused as refused:
        unmapped = events.Unmapped(kind, order_no, refused.hint, _time(head.updated_at, now))
        return [contract.Item(f"{key}:{digest}", unmapped)]
    told = _Told(order, order_no, kind, key, digest, now)
    found = [told.placed(channel, country)]
    try:
        found.extend(told.happened(park_untracked))
    except errors.Refused as refused:
        found.append(told.noticed(refused.hint))
    return found


class _Told(Struct, frozen=True):
    """One order as a message tells it."""

    order: _Order
    order_no: str
    kind: str
    key: str
    digest: str
    now: datetime

    def placed(self, channel: str, country: str) -> contract.Item:
        """Return the order, or that it can not be stored."""
        try:
            placed: events.Event | orders.Submission = _submission(
                self.order, self.order_no, channel, country
            )
        except errors.Refused as refused:
            placed = self._unmapped(refused.hint)
        except _Unclear as unclear:
            placed = self._unmapped(str(unclear))
        # Another content is another message, which must not pass for a repeat.
        return contract.Item(f"{self.key}:{self.digest}", placed)

    def happened(self, park_untracked: bool) -> list[contract.Item]:
        """Say what the states say, money first. Raises ``Refused``."""
        order, status = self.order, self.order.financial_status
        at = _time(order.updated_at, self.now)
        if status in _UNPAID:
            if order.cancelled_at is None:
                return self._refunds()
            closed = events.Closed(self.order_no, "cancelled", _time(order.cancelled_at, self.now))
            return [self._item("closed", closed)]
        if status == "partially_paid":
            return [self.noticed("paid in part")]
        if status not in _PAID:
            return [self.noticed("its financial_status is not documented")]
        refunds = self._refunds()
        found = self._paid(at, refunds) + refunds
        if status == "paid" and order.cancelled_at is not None and not order.refunds:
            found.append(self.noticed("cancelled after it was paid, and nothing went back"))
        if status != "paid" and not order.refunds:
            found.append(self.noticed(f"{status}, and the message does not say how much"))
        if order.fulfillment_status == "fulfilled":
            found.extend(self._shipped(park_untracked))
        return found

    def _paid(self, at: datetime, refunds: Sequence[contract.Item]) -> list[contract.Item]:
        """Say that the total was paid; a total that can not have been is for a person.

        Shopify does not say how much was paid. It is the total, unless the order was edited or
        a part of it is still owed, or what went back does not add up to what came.
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
            return [self.noticed(f"{status}, and how much was paid can not be told", "unclear")]
        payment = events.PaymentSucceeded(
            # Refunds name the order and no payment, so the order's id, unique at Shopify,
            # stands for its payment.
            transaction_id=_id(order.id),
            order_no=self.order_no,
            amount=total,
            currency=order.currency,
            occurred_at=at,
        )
        return [self._item("paid", payment)]

    def _has_pending(self) -> bool:
        return any(_is_pending(made) for made in self.order.refunds)

    def _refunds(self) -> list[contract.Item]:
        """Say what went back; one that is odd is parked and keeps nothing else from being told."""
        found: list[contract.Item] = []
        seen = set()
        for n, made in enumerate(self.order.refunds[:_REFUNDS_MAX]):
            try:
                event = self._returned(made)
                if made.id in seen:
                    raise fields.malformed("two refunds with one number")
            except errors.Refused as refused:
                found.append(self.noticed(refused.hint, f"refund_{n}"))
                continue
            seen.add(made.id)
            if event is not None:
                found.append(contract.Item(f"refund:{_id(made.id)}", event))
        if len(self.order.refunds) > _REFUNDS_MAX:
            found.append(self.noticed(f"more than {_REFUNDS_MAX} refunds", "refunds"))
        return found

    def _returned(self, made: _Refund) -> events.Event | None:
        """Return the money that went back; None where only goods did, or it is not over yet."""
        currency, refund_no = self.order.currency, _id(made.id)
        if _is_pending(made):
            return None
        done = [t for t in made.transactions if t.kind == "refund" and t.status == "success"]
        if any(t.currency not in (None, currency) for t in done):
            raise fields.malformed("a refund in another currency than the order's")
        amount = sum((fields.amount(t.amount, currency) for t in done), money.ZERO)
        if not amount:
            return None
        return events.RefundSucceeded(
            transaction_id=_id(self.order.id),
            order_no=self.order_no,
            refund_no=refund_no,
            amount=fields.refund_amount(amount, currency),
            cumulative=False,
            currency=currency,
            occurred_at=_time(made.created_at, self.now),
        )

    def _shipped(self, park_untracked: bool) -> list[contract.Item]:
        for parcel in self.order.fulfillments:
            # Staff paste numbers as they are printed, with blanks in them.
            number = "".join((parcel.tracking_number or "").split())
            if parcel.status != "success" or not number:
                continue
            carrier = (parcel.tracking_company or "").strip() or "unknown"
            try:
                shipped = events.Shipped(
                    self.order_no,
                    fields.label(carrier, "carrier", _CARRIER_MAX),
                    fields.token(number, "the tracking number", _TRACKING_NO_MAX),
                    _time(parcel.created_at, self.now),
                )
            except errors.Refused:
                continue
            return [self._item("shipped", shipped)]
        if not park_untracked:
            return []
        detail = "fulfilled, and no parcel has a number; see the option park_untracked"
        return [self._item("untracked", self._unmapped(detail))]

    def _item(self, what: str, event: events.Event) -> contract.Item:
        return contract.Item(f"{self.key}:{what}", event)

    def noticed(self, detail: str, what: str = "status") -> contract.Item:
        """Park what a person must see, beside the order itself."""
        return self._item(f"{what}:{self.digest}", self._unmapped(detail))

    def _unmapped(self, detail: str) -> events.Unmapped:
        return events.Unmapped(
            self.kind, self.order_no, detail, _time(self.order.updated_at, self.now)
        )


def _is_pending(made: _Refund) -> bool:
    # Told now, its key would be spent, and what is to follow never booked.
    return any(t.kind == "refund" and t.status in _UNDERWAY for t in made.transactions)


def _differs(amount: Decimal | None, expected: Decimal) -> bool:
    return amount is not None and (not amount.is_finite() or amount != expected)


def _id(number: int) -> str:
    if 0 < number < 1 << 63:
        return str(number)
    raise fields.malformed("an id is not a number that Shopify gives")


def _time(text: str | None, now: datetime) -> datetime:
    """Read a time with its zone; where there is none to be read, now."""
    try:
        return _moment(text or "")
    except errors.Refused:
        return now


def _moment(text: str) -> datetime:
    try:
        return fields.moment(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise fields.malformed("a time that is not one") from None


def _submission(order: _Order, order_no: str, channel: str, country: str) -> orders.Submission:
    """Make the order. Raises ``Refused`` or ``_Unclear``."""
    currency = fields.currency(order.currency)
    lines = [_item(line, currency, order.taxes_included) for line in order.line_items]
    freight = money.ZERO
    for shipping in order.shipping_lines:
        full, off, tax = _figures(shipping, currency, order.taxes_included)
        if off > full:
            raise _Unclear("shipping is reduced by more than it costs")
        freight += full - off + tax
    payable = fields.amount(order.total_price, currency)
    goods = sum((line.unit_price * line.quantity - line.discount for line in lines), money.ZERO)
    extras = _extras(order, payable - goods - freight, currency)
    lines += extras
    goods += sum((extra.unit_price for extra in extras), money.ZERO)
    if not 1 <= len(lines) <= orders.ITEMS_MAX:
        raise _Unclear(f"has not 1 to {orders.ITEMS_MAX} lines")
    recipient, sealed = _recipient(order, country)
    remark = _text(order.note)
    if len(remark) > 1024:
        remark, sealed["note"] = "", remark
    customer = order.customer.id if order.customer else None
    return orders.Submission(
        channel=channel,
        order_no=order_no,
        # A guest has no number; his order must not look like that of every other guest.
        buyer_id=_id(customer) if customer else f"order:{order_no}",
        placed_at=_moment(order.created_at),
        currency=currency,
        items=lines,
        amounts=orders.Amounts(goods=goods, payable=payable, freight=freight),
        recipient=recipient,
        remark=remark or None,
        is_test=order.test,
        attributes=sealed or None,
    )


def _extras(order: _Order, rest: Decimal, currency: str) -> list[orders.Item]:
    """Return tips and duties as lines, if they are what the total holds beside the goods."""
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
    raise _Unclear("lines, shipping, taxes, tips and duties do not add up to the total")


def _item(line: _Line, currency: str, taxes_included: bool) -> orders.Item:
    if not 1 <= line.quantity <= orders.QUANTITY_MAX:
        raise _Unclear("a line has no quantity that an order can have")
    full, off, tax = _figures(line, currency, taxes_included)
    if off > full:
        raise _Unclear("a line is reduced by more than it costs")
    price = ((full + tax) / line.quantity).quantize(money.UNITS[currency], ROUND_CEILING)
    numbers = (_text(line.sku), str(line.variant_id or ""), str(line.product_id or ""))
    sku = next((n for n in numbers if n and len(n) <= _SKU_MAX), "unknown")
    return orders.Item(
        sku=sku,
        name=(_text(line.name) or _text(line.title))[:_NAME_MAX] or sku,
        quantity=line.quantity,
        unit_price=price,
        discount=price * line.quantity - (full - off + tax),
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
    """Return the recipient, and under their names what does not fit its column."""
    billing = order.billing_address or _Address()
    to = order.shipping_address or billing
    name = " ".join(filter(None, (_text(to.first_name), _text(to.last_name))))
    street = ", ".join(filter(None, (_text(to.address1), _text(to.address2))))
    texts: Sequence[tuple[str, str, int]] = (
        ("name", name or _text(to.name) or _text(to.company), 128),
        ("phone", _text(to.phone) or _text(billing.phone), 32),
        ("street", street, 512),
        ("province", _text(to.province), 64),
        ("city", _text(to.city), 64),
        ("postcode", _text(to.zip), 16),
    )
    sealed: dict[str, Any] = {name: text for name, text, length in texts if len(text) > length}
    fit = {name: "" if name in sealed else text for name, text, _ in texts}
    codes = (to.country_code, billing.country_code)
    code = next((c for c in codes if c and len(c) == 2 and c.isascii() and c.isupper()), country)
    recipient = orders.Recipient(
        name=fit["name"],
        phone=fit["phone"],
        country=code,
        street=fit["street"],
        province=fit["province"],
        city=fit["city"],
        postcode=fit["postcode"] or None,
    )
    return recipient, sealed


def _text(value: str | None) -> str:
    return (value or "").strip()
