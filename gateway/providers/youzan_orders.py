"""Map Youzan's complete order: the order it places, and the events that its status proves.

Many messages hold the complete order, and all of them must produce the same submission: only
fields that never change go into it. If the amounts do not add up, the order is parked and its
events are booked nevertheless.

- A line is ``price`` x ``num``, less its own discount, which leaves ``total_fee``.
- ``pay_info.payment`` is what the buyer owes: the lines, less the discount of the whole order,
  plus ``post_fee``.
- Some shops receive names, numbers and addresses encrypted. Texts that are therefore too long for
  their column go, sealed, into the attributes under their own names.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from gateway.domain import errors, events, money, orders
from gateway.providers import contract
from gateway.providers.shared import fields, shop_orders

CURRENCY = "CNY"
_COUNTRY = "CN"

_UNPAID = "WAIT_BUYER_PAY"
_SHIPPED = "WAIT_BUYER_CONFIRM_GOODS"
_COMPLETED = "TRADE_SUCCESS"
#: Paid. For an order paid in instalments (deposit, then rest) the first two may mean the deposit.
_PAID = frozenset({"TRADE_PAID", "WAIT_CONFIRM"})
_PAID_IN_FULL = frozenset({"WAIT_SELLER_SEND_GOODS", _SHIPPED, _COMPLETED})
_CLOSED = frozenset({"TRADE_CLOSED", "TRADE_REFUND"})

_Id = int | str
#: Makes the event of what cannot be booked: kind, order number, detail, when.
Hint = Callable[[str, str, str, datetime], events.Event]


class _OrderInfo(Struct):
    tid: str
    status: str
    created: str
    update_time: str | None = None
    pay_time: str | None = None
    success_time: str | None = None
    close_type: _Id | None = None


class _PayInfo(Struct):
    payment: Decimal
    post_fee: Decimal | None = None
    phase_payments: list[msgspec.Raw] | None = None


class _Line(Struct):
    num: int
    price: Decimal
    total_fee: Decimal | None = None
    title: str | None = None
    outer_sku_id: str | None = None
    outer_item_id: str | None = None
    sku_id: _Id | None = None
    item_id: _Id | None = None
    oid: _Id | None = None


class _Address(Struct):
    receiver_name: str | None = None
    receiver_tel: str | None = None
    delivery_province: str | None = None
    delivery_city: str | None = None
    delivery_district: str | None = None
    delivery_address: str | None = None
    delivery_postal_code: str | None = None


#: Youzan's names of a recipient's columns, under which too long texts are stored.
_COLUMNS: Mapping[str, str] = {
    "name": "receiver_name",
    "phone": "receiver_tel",
    "street": "delivery_address",
    "province": "delivery_province",
    "city": "delivery_city",
    "district": "delivery_district",
    "postcode": "delivery_postal_code",
}


class _Buyer(Struct):
    buyer_id: _Id | None = None
    yz_open_id: str | None = None
    fans_id: _Id | None = None


class _Remark(Struct):
    buyer_message: str | None = None


class _Head(Struct):
    order_info: _OrderInfo


class _Paid(_Head, kw_only=True):
    """What money, status and time need; read apart, so that no line costs a payment."""

    pay_info: _PayInfo


class _Order(_Paid, kw_only=True):
    orders: list[_Line] = []
    address_info: _Address | None = None
    buyer_info: _Buyer | None = None
    remark_info: _Remark | None = None


class _Content(Struct):
    full_order_info: msgspec.Raw
    delivery_order: msgspec.Raw = msgspec.Raw(b"null")


class _Express(Struct):
    express_id: _Id | None = None
    express_no: str | None = None


class _Parcel(Struct):
    express_info: _Express | None = None


class _Delivery(Struct):
    dists: list[_Parcel] | None = None


_CONTENT = msgspec.json.Decoder(_Content)
_HEAD = msgspec.json.Decoder(_Head)
_PAID_PART = msgspec.json.Decoder(_Paid)
_ORDER = msgspec.json.Decoder(_Order)
_DELIVERIES = msgspec.json.Decoder(list[_Delivery] | None)


def items(
    key: str, kind: str, content: bytes, *, now: datetime, channel: str, hint: Hint
) -> list[contract.Item]:
    """Return the order and its events. Raises ``Rejected`` if it names no order."""
    message = fields.decoded_leniently(_CONTENT, content)
    info = fields.decoded_leniently(_HEAD, message.full_order_info).order_info
    report = _Report(key, kind, fields.order_no(info.tid), info, now, hint)
    placed: events.Event | orders.Submission
    try:
        order = fields.decoded_leniently(_ORDER, message.full_order_info)
        placed = _submission(order, report.order_no, channel)
    except (errors.Rejected, shop_orders.Unclear) as why:
        detail = why.hint if isinstance(why, errors.Rejected) else str(why)
        placed = events.Unmapped(kind, report.order_no, detail, report.at(info.update_time))
    found = [contract.Item(f"{key}:placed", placed)]
    try:
        paid = fields.decoded_leniently(_PAID_PART, message.full_order_info)
        found.extend(report.happened(paid, message.delivery_order))
    except errors.Rejected as rejected:
        unmapped = events.Unmapped(kind, report.order_no, rejected.hint, now)
        found.append(contract.Item(f"{key}:status", unmapped))
    return found


class _Report(Struct, frozen=True):
    """The head of a message and what its items share."""

    key: str
    kind: str
    order_no: str
    info: _OrderInfo
    now: datetime
    hint: Hint

    def at(self, text: str | None) -> datetime:
        """Parse a time; ``now`` if it is missing or invalid."""
        try:
            return fields.from_china(text or "", "a time")
        except errors.Rejected:
            return self.now

    def happened(self, order: _Paid, deliveries: msgspec.Raw) -> list[contract.Item]:
        """Return the events that the status proves, the payment first."""
        status = self.info.status
        is_closed_paid = status in _CLOSED and bool(self.info.pay_time)
        if status == _UNPAID:
            return []
        if status in _CLOSED and not is_closed_paid:
            return [self._item("closed", self._closed_unpaid())]
        if status not in _PAID | _PAID_IN_FULL | _CLOSED:
            unknown = events.Unmapped(
                self.kind, self.order_no, "its status is not documented", self.now
            )
            return [self._item("status", unknown)]
        if order.pay_info.phase_payments and status in _PAID:
            detail = "paid in instalments, of which this may be the first"
            at = self.at(self.info.pay_time)
            return [self._item("paid", self.hint(self.kind, self.order_no, detail, at))]
        found = [self._item("paid", self._payment(order))]
        if is_closed_paid:
            detail = "closed after it was paid; refunds have their own messages"
            at = self.at(self.info.update_time)
            found.append(self._item("closed", self.hint(self.kind, self.order_no, detail, at)))
        if status in (_SHIPPED, _COMPLETED):
            found.extend(self._delivery(status, deliveries))
        return found

    def _item(self, what: str, event: events.Event) -> contract.Item:
        return contract.Item(f"{self.key}:{what}", event)

    def _payment(self, order: _Paid) -> events.Event:
        return events.PaymentSucceeded(
            # Refunds name the order and no payment, so the order number is the transaction id.
            transaction_id=self.order_no,
            order_no=self.order_no,
            amount=fields.amount(order.pay_info.payment, CURRENCY),
            currency=CURRENCY,
            occurred_at=self.at(self.info.pay_time),
        )

    def _closed_unpaid(self) -> events.Event:
        cause = "timed_out" if str(self.info.close_type) == "1" else "cancelled"
        return events.Closed(self.order_no, cause, self.at(self.info.update_time))

    def _delivery(self, status: str, raw: msgspec.Raw) -> list[contract.Item]:
        at, found = self.at(self.info.update_time), []
        if parcel := _parcel(raw):
            carrier, tracking_no = parcel
            shipped = events.Shipped(self.order_no, carrier, tracking_no, at)
            found.append(self._item("shipped", shipped))
        elif status == _SHIPPED:
            detail = "shipped; the message has no tracking number"
            shipped_hint = self.hint(self.kind, self.order_no, detail, at)
            found.append(self._item("shipped", shipped_hint))
        if status == _COMPLETED:
            done = events.Delivered(self.order_no, self.at(self.info.success_time))
            found.append(self._item("delivered", done))
        return found


def _parcel(raw: msgspec.Raw) -> tuple[str, str] | None:
    """Return carrier and number of the first parcel that has both."""
    for delivery in fields.decoded_leniently(_DELIVERIES, raw) or ():
        for parcel in delivery.dists or ():
            express = parcel.express_info
            if express and express.express_id and express.express_no:
                carrier = fields.token(
                    str(express.express_id), "the carrier", shop_orders.CARRIER_MAX
                )
                number = fields.token(express.express_no, "express_no", shop_orders.TRACKING_NO_MAX)
                return carrier, number
    return None


def _submission(order: _Order, order_no: str, channel: str) -> orders.Submission:
    """Make the order. Raises ``Rejected`` or ``Unclear``."""
    lines = [_item(line) for line in order.orders]
    shop_orders.check_lines(lines)
    goods = shop_orders.goods(lines)
    payable = fields.amount(order.pay_info.payment, CURRENCY)
    freight = fields.amount(order.pay_info.post_fee or money.ZERO, CURRENCY)
    reduced = goods + freight - payable
    if not money.ZERO <= reduced <= goods:
        raise shop_orders.Unclear("lines, freight and payment do not add up")
    recipient, sealed = _recipient(order.address_info or _Address())
    message = _known(order.remark_info.buyer_message if order.remark_info else None)
    remark = shop_orders.remark(message, name="buyer_message", sealed=sealed)
    return orders.Submission(
        channel=channel,
        order_no=order_no,
        buyer_id=_buyer_id(order.buyer_info or _Buyer(), order_no),
        placed_at=fields.from_china(order.order_info.created, "created"),
        currency=CURRENCY,
        items=lines,
        amounts=orders.Amounts(
            goods=goods, payable=payable, shop_discount=reduced, freight=freight
        ),
        recipient=recipient,
        remark=remark,
        attributes=sealed or None,
    )


def _item(line: _Line) -> orders.Item:
    shop_orders.check_quantity(line.num)
    price = fields.amount(line.price, CURRENCY)
    full = price * line.num
    left = full if line.total_fee is None else fields.amount(line.total_fee, CURRENCY)
    if left > full:
        raise shop_orders.Unclear("a line costs more than its price")
    numbers = (line.outer_sku_id, line.outer_item_id, line.sku_id, line.item_id, line.oid)
    sku = shop_orders.first_fitting(map(_known, numbers), shop_orders.SKU_MAX) or "unknown"
    name = _known(line.title)[: shop_orders.NAME_MAX] or sku
    return orders.Item(
        sku=sku, name=name, quantity=line.num, unit_price=price, discount=full - left
    )


def _recipient(address: _Address) -> tuple[orders.Recipient, dict[str, Any]]:
    """Return the recipient and, by name, the texts that are too long for their columns."""
    texts = {column: _known(getattr(address, name)) for column, name in _COLUMNS.items()}
    return shop_orders.recipient(_COUNTRY, texts, names=_COLUMNS)


def _buyer_id(buyer: _Buyer, order_no: str) -> str:
    numbers: Sequence[_Id | None] = (buyer.buyer_id, buyer.yz_open_id, buyer.fans_id)
    known = shop_orders.first_fitting(map(_known, numbers), shop_orders.BUYER_MAX)
    return shop_orders.buyer_id(known, order_no)


def _known(value: _Id | None) -> str:
    """Return a field as text; ``""`` if empty, which Youzan also writes as ``0`` or ``"null"``."""
    if isinstance(value, int):
        return str(value) if 0 < value < 1 << 64 else ""
    return "" if value in (None, "null", "0") else value
