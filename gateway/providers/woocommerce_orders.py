"""WooCommerce's whole order: the order it places, and what its status says happened to it.

All messages about an order must make the same one, so only what stays goes into it: refunds and
status do not. Amounts are decimal strings in major units, before tax, with the tax beside them.

- A line costs ``total`` + ``total_tax``; its price a piece is that before coupons, rounded up, and
  what is over is the line's discount.
- Fees are lines of their own (``fee``), or a discount of the shop where they are negative;
  shipping is freight. All with their tax.
- The shop rounds every figure by itself, and its total is made of the unrounded ones. What that
  leaves, at most half a unit for each figure, is a line ``rounding`` or a discount of the shop.
  Where more is missing the order is parked, and what happened to it is told nevertheless.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

import msgspec
from msgspec import Struct

from gateway.domain import errors, events, money, orders
from gateway.providers import contract
from gateway.providers.shared import fields

_NAME_MAX, _SKU_MAX = 256, 64
_REFUNDS_MAX = 100

_UNPAID = frozenset({"pending", "on-hold", "failed"})
_PAID = frozenset({"processing", "completed", "refunded"})


class _Line(Struct):
    total: Decimal
    name: str | None = None
    quantity: int = 1
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


class _Order(_Head, kw_only=True):
    currency: str
    total: Decimal
    date_created_gmt: str
    line_items: list[_Line]
    shipping_lines: list[_Line] = []
    fee_lines: list[_Line] = []
    refunds: list[_Refund] = []
    date_paid_gmt: str | None = None
    date_completed_gmt: str | None = None
    customer_id: int = 0
    customer_note: str | None = None
    billing: _Address | None = None
    shipping: _Address | None = None


_HEAD = msgspec.json.Decoder(_Head)
_ORDER = msgspec.json.Decoder(_Order)


class _Unclear(Exception):
    """The order is well formed and can not be stored as one."""


def items(
    body: bytes, *, digest: str, now: datetime, channel: str, country: str
) -> list[contract.Item]:
    """Return the order and what happened to it. Raises ``Refused`` if it names no order."""
    head = fields.decoded(_HEAD, body)
    if isinstance(head.number, int) and not 0 < head.number < 1 << 63:
        raise fields.malformed("the number is not one that a shop gives")
    kind = fields.token(f"order.{head.status}", "the status", fields.KEY_MAX)
    if head.status == "checkout-draft":
        # A basket, not an order.
        return [contract.Item(f"order:{head.id}:{digest}", events.Noted(kind, now))]
    try:
        order_no = fields.order_no(str(head.number))
    except errors.Refused as refused:
        # Plug-ins choose how numbers look: a true message, that must not be refused for it.
        detail = f"{refused.hint}; order {_id(head.id)}"
        unmapped = events.Unmapped(kind, "", detail, _time(head.date_modified_gmt, now))
        return [contract.Item(f"order:{_id(head.id)}:{digest}", unmapped)]
    try:
        order = fields.decoded(_ORDER, body)
    except errors.Refused as refused:
        unmapped = events.Unmapped(kind, order_no, refused.hint, _time(head.date_modified_gmt, now))
        return [contract.Item(f"order:{head.id}:{digest}", unmapped)]
    told = _Told(order, order_no, kind, f"{channel}:{order_no}", digest, now)
    found = [told.placed(channel, country)]
    try:
        found.extend(told.happened())
    except errors.Refused as refused:
        found.append(told.noticed(refused.hint))
    return found


class _Told(Struct, frozen=True):
    """One order as a message tells it."""

    order: _Order
    order_no: str
    kind: str
    #: The order stands for its payment: refunds name the order alone, and the number that a
    #: payment plug-in notes may come later or change. With the channel, as shops count alike.
    transaction_id: str
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
        return contract.Item(f"order:{self.order.id}:{self.digest}", placed)

    def happened(self) -> list[contract.Item]:
        """Say what the status says, money first. Raises ``Refused``."""
        order, status = self.order, self.order.status
        is_paid = order.date_paid_gmt is not None
        if status in _UNPAID and not is_paid:
            return []
        if status == "cancelled" and not is_paid:
            closed = events.Closed(self.order_no, "cancelled", self._at(order.date_modified_gmt))
            return [self._item("closed", closed)]
        if status not in _PAID | _UNPAID | {"cancelled"}:
            # A plug-in's, or the bin. Never taken for paid.
            return [self.noticed("a status that WooCommerce itself does not use for orders")]
        if not is_paid:
            if status == "processing":
                return []  # to be paid at the door
            return [self.noticed(f"{status}, and never paid")]
        found = [self._item("paid", self._payment())]
        if status == "cancelled" or status in _UNPAID:
            found.append(self.noticed(f"{status} after it was paid"))
        found.extend(self._refunds())
        if status == "completed":
            done = events.Delivered(self.order_no, self._at(order.date_completed_gmt))
            found.append(self._item("completed", done))
        return found

    def _payment(self) -> events.Event:
        return events.PaymentSucceeded(
            transaction_id=self.transaction_id,
            order_no=self.order_no,
            amount=fields.amount(self.order.total, self.order.currency),
            currency=self.order.currency,
            occurred_at=self._at(self.order.date_paid_gmt),
        )

    def _refunds(self) -> list[contract.Item]:
        """Say what went back; one that is odd is parked and keeps nothing else from being told."""
        if not self.order.refunds and self.order.status == "refunded":
            return [self.noticed("refunded, and the message does not say how much")]
        found: list[contract.Item] = []
        seen = set()
        for n, refund in enumerate(self.order.refunds[:_REFUNDS_MAX]):
            try:
                event = self._returned(refund)
                if refund.id in seen:
                    raise fields.malformed("two refunds with one number")
            except errors.Refused as refused:
                found.append(self.noticed(refused.hint, f"refund_{n}"))
                continue
            seen.add(refund.id)
            if event is not None:
                found.append(self._item(f"refund:{refund.id}", event))
        if len(self.order.refunds) > _REFUNDS_MAX:
            found.append(self.noticed(f"more than {_REFUNDS_MAX} refunds", "refunds"))
        return found

    def _returned(self, refund: _Refund) -> events.Event | None:
        """Return the money that went back; None where only goods did."""
        amount = _signed(refund.total, self.order.currency)
        if amount > 0:
            raise fields.malformed("a refund that takes money")
        if not amount:
            return None
        return events.RefundSucceeded(
            transaction_id=self.transaction_id,
            order_no=self.order_no,
            refund_no=_id(refund.id),
            amount=-amount,
            cumulative=False,
            currency=self.order.currency,
            occurred_at=self._at(self.order.date_modified_gmt),
        )

    def _item(self, what: str, event: events.Event) -> contract.Item:
        return contract.Item(f"order:{self.order.id}:{what}", event)

    def noticed(self, detail: str, what: str = "status") -> contract.Item:
        """Park what a person must see, beside the order itself."""
        return self._item(f"{what}:{self.digest}", self._unmapped(detail))

    def _unmapped(self, detail: str) -> events.Unmapped:
        at = self._at(self.order.date_modified_gmt)
        return events.Unmapped(self.kind, self.order_no, detail, at)

    def _at(self, text: str | None) -> datetime:
        return _time(text, self.now)


def _id(number: int) -> str:
    if 0 < number < 1 << 63:
        return str(number)
    raise fields.malformed("an id is not a number that a shop gives")


def _time(text: str | None, now: datetime) -> datetime:
    """Read a time, which is UTC and does not say so; where there is none to be read, now."""
    try:
        return _utc(text or "")
    except errors.Refused:
        return now


def _utc(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        return fields.moment(at.replace(tzinfo=UTC) if at.tzinfo is None else at)
    except (ValueError, OverflowError):
        raise fields.malformed("a time that is not one") from None


def _submission(order: _Order, order_no: str, channel: str, country: str) -> orders.Submission:
    """Make the order. Raises ``Refused`` or ``_Unclear``."""
    currency = fields.currency(order.currency)
    lines = [_item(line, currency) for line in order.line_items]
    discount = freight = money.ZERO
    for fee in order.fee_lines:
        cost = _cost(fee, currency)
        if cost < 0:
            discount -= cost
        elif cost:
            lines.append(_single("fee", _text(fee.name) or "fee", cost))
    for shipping in order.shipping_lines:
        cost = _cost(shipping, currency)
        if cost < 0:
            raise _Unclear("a shipping line costs less than nothing")
        freight += cost
    payable = fields.amount(order.total, currency)
    goods = sum((line.unit_price * line.quantity - line.discount for line in lines), money.ZERO)
    rest = payable - (goods - discount + freight)
    figures = 2 * (len(order.line_items) + len(order.fee_lines) + len(order.shipping_lines))
    if abs(rest) * 2 > money.UNITS[currency] * figures:
        raise _Unclear("lines, fees, shipping and taxes do not add up to the total")
    if rest > 0:
        lines.append(_single("rounding", "rounding", rest))
        goods += rest
    elif rest:
        discount -= rest
    if not 1 <= len(lines) <= orders.ITEMS_MAX:
        raise _Unclear(f"has not 1 to {orders.ITEMS_MAX} lines")
    recipient, sealed = _recipient(order, country)
    remark = _text(order.customer_note)
    if len(remark) > 1024:
        remark, sealed["customer_note"] = "", remark
    is_known = 0 < order.customer_id < 1 << 63
    return orders.Submission(
        channel=channel,
        order_no=order_no,
        # A guest has no number; his order must not look like that of every other guest.
        buyer_id=str(order.customer_id) if is_known else f"order:{order_no}",
        placed_at=_utc(order.date_created_gmt),
        currency=currency,
        items=lines,
        amounts=orders.Amounts(
            goods=goods, payable=payable, shop_discount=discount, freight=freight
        ),
        recipient=recipient,
        remark=remark or None,
        attributes=sealed or None,
    )


def _item(line: _Line, currency: str) -> orders.Item:
    if not 1 <= line.quantity <= orders.QUANTITY_MAX:
        raise _Unclear("a line has no quantity that an order can have")
    cost = _cost(line, currency)
    if cost < 0:
        raise _Unclear("a line costs less than nothing")
    full = cost
    if line.subtotal is not None:
        before = _signed(line.subtotal, currency) + _signed(line.subtotal_tax, currency)
        full = max(cost, before)
    price = (full / line.quantity).quantize(money.UNITS[currency], ROUND_CEILING)
    numbers = (line.sku, str(line.variation_id or ""), str(line.product_id or ""))
    texts = [_text(number) for number in numbers if number and len(number) <= _SKU_MAX]
    sku = next(filter(None, texts), "unknown")
    return orders.Item(
        sku=sku,
        name=_text(line.name)[:_NAME_MAX] or sku,
        quantity=line.quantity,
        unit_price=price,
        discount=price * line.quantity - cost,
    )


def _single(sku: str, name: str, cost: Decimal) -> orders.Item:
    return orders.Item(sku=sku, name=name[:_NAME_MAX], quantity=1, unit_price=cost)


def _cost(line: _Line, currency: str) -> Decimal:
    return _signed(line.total, currency) + _signed(line.total_tax, currency)


def _signed(value: Decimal, currency: str) -> Decimal:
    """Return an amount that may be negative. Raises ``Refused``."""
    amount = fields.amount(value.copy_abs(), currency)
    return -amount if value.is_signed() else amount


def _recipient(order: _Order, country: str) -> tuple[orders.Recipient, dict[str, Any]]:
    """Return the recipient, and under their names what does not fit its column."""
    billing, to = order.billing or _Address(), order.shipping or _Address()
    if not (to.address_1 or to.first_name or to.last_name or to.company):
        to = billing
    texts: Sequence[tuple[str, str, int]] = (
        ("name", _joined(" ", to.first_name, to.last_name) or _text(to.company), 128),
        ("phone", _text(to.phone) or _text(billing.phone), 32),
        ("street", _joined(", ", to.address_1, to.address_2), 512),
        ("province", _text(to.state), 64),
        ("city", _text(to.city), 64),
        ("postcode", _text(to.postcode), 16),
    )
    sealed: dict[str, Any] = {name: text for name, text, length in texts if len(text) > length}
    fit = {name: "" if name in sealed else text for name, text, _ in texts}
    codes = (to.country, billing.country)
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


def _joined(between: str, *texts: str | None) -> str:
    return between.join(filter(None, map(_text, texts)))


def _text(value: str | None) -> str:
    return (value or "").strip()
