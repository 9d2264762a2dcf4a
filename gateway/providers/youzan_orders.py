"""Map Youzan's complete order: the order it places, and the events that its status proves.

Many messages hold the complete order, and all of them must produce the same submission
(``youzan_lines``). If the amounts do not add up, the order is parked and its events are booked
nevertheless.

- An order is paid in one payment, under its own number, or in phases: a deposit, then the rest.
- One that is paid on delivery never proves a payment.
- A completed order is delivered, whether or not there was a parcel. One that was closed after it
  was paid is cancelled; its refunds have their own messages.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers import contract, youzan_lines, youzan_parcels
from gateway.providers.shared import fields, shop_orders

CURRENCY = youzan_lines.CURRENCY

_UNPAID = "WAIT_BUYER_PAY"
_SHIPPED = "WAIT_BUYER_CONFIRM_GOODS"
_COMPLETED = "TRADE_SUCCESS"
#: Paid. For an order paid in phases the first two may mean the deposit.
_PAID = frozenset({"TRADE_PAID", "WAIT_CONFIRM"})
_PAID_IN_FULL = frozenset({"WAIT_SELLER_SEND_GOODS", _SHIPPED, _COMPLETED})
_CLOSED = frozenset({"TRADE_CLOSED", "TRADE_REFUND"})
#: ``pay_type``: the courier takes the money.
_ON_DELIVERY = frozenset({"9", "9.0", "CODPAY"})

#: Makes the event of what cannot be booked: kind, order number, detail, when.
Hint = Callable[[str, str, str, datetime], events.Event]


class _OrderInfo(Struct):
    tid: str
    status: str
    update_time: str | None = None
    pay_time: str | None = None
    consign_time: str | None = None
    success_time: str | None = None
    pay_type: youzan_lines.Id | None = None
    close_type: youzan_lines.Id | None = None


class _Phase(Struct):
    """One part of the payment: the deposit, or the rest. It is paid once it has a number."""

    phase: int
    real_price: Decimal
    inner_transaction_no: str | None = None
    outer_transaction_no: str | None = None


class _PayInfo(Struct):
    payment: Decimal
    phase_payments: list[msgspec.Raw] = []


class _Head(Struct):
    order_info: _OrderInfo


class _Paid(_Head, kw_only=True):
    """What money, status and time need; read apart, so that no line costs a payment."""

    pay_info: _PayInfo


class _Content(Struct):
    full_order_info: msgspec.Raw
    delivery_order: msgspec.Raw = msgspec.Raw(b"null")


_CONTENT = msgspec.json.Decoder(_Content)
_HEAD = msgspec.json.Decoder(_Head)
_PAID_PART = msgspec.json.Decoder(_Paid)
_PHASE = msgspec.json.Decoder(_Phase)
#: Fields that money, number and status need; any other that is odd is left out.
_NEEDED = frozenset(
    {"order_info", "tid", "status", "pay_time", "pay_type", "pay_info", "payment", "phase_payments"}
)


def items(
    key: str, kind: str, content: bytes, *, now: datetime, channel: str, hint: Hint
) -> list[contract.Item]:
    """Return the order and its events. Raises ``Rejected`` if it names no order."""
    message = fields.decoded_leniently(_CONTENT, content)
    order = message.full_order_info
    info = fields.decoded_as_possible(_HEAD, order, needed=_NEEDED).order_info
    report = _Report(key, kind, fields.order_no(info.tid), info, order, now, hint)
    try:
        placed = youzan_lines.submission(order, report.order_no, channel)
        found = [contract.Item(f"{key}:placed", placed)]
    except (errors.Rejected, shop_orders.Unclear) as why:
        detail = why.hint if isinstance(why, errors.Rejected) else str(why)
        found = [report.unread(detail, report.at(info.update_time))]
    try:
        paid = fields.decoded_as_possible(_PAID_PART, order, needed=_NEEDED)
        found.extend(report.happened(paid.pay_info, message.delivery_order))
    except errors.Rejected as rejected:
        notice = report.unread(rejected.hint, now)
        if notice.key != found[0].key:
            found.append(notice)
    return found


class _Report(Struct, frozen=True):
    """The head of a message and what its items share."""

    key: str
    kind: str
    order_no: str
    info: _OrderInfo
    order: msgspec.Raw
    now: datetime
    hint: Hint

    @property
    def _is_paid(self) -> bool:
        return shop_orders.is_time(self.info.pay_time)

    def at(self, text: str | None) -> datetime:
        """Parse a time; ``now`` if it is missing or invalid."""
        try:
            return fields.from_china(text or "", "a time")
        except errors.Rejected:
            return self.now

    def happened(self, pay_info: _PayInfo, deliveries: msgspec.Raw) -> list[contract.Item]:
        """Return the events that the status proves, the payment first."""
        status = self.info.status
        if status not in _PAID | _PAID_IN_FULL | _CLOSED | {_UNPAID}:
            detail = f"its status {fields.kind(status)} is not documented"
            return [self.unread(detail, self.now)]
        found = self._payments(pay_info)
        if status in _CLOSED:
            found.append(self._item("closed", self._closed()))
        if status in (_SHIPPED, _COMPLETED):
            found.extend(self._parcels(deliveries))
        if status == _COMPLETED:
            done = events.Delivered(self.order_no, self.at(self.info.success_time))
            found.append(self._item("delivered", done))
        return found

    def unread(self, detail: str, at: datetime) -> contract.Item:
        """Park what cannot be read of an order: once for each reason, however often it is told."""
        unmapped = events.Unmapped(self.kind, self.order_no, detail, at)
        return contract.Item(
            f"order:{self.order_no}:unread:{shop_orders.short_digest(detail)}", unmapped
        )

    def _item(self, what: str, event: events.Event) -> contract.Item:
        return contract.Item(f"{self.key}:{what}", event)

    def _payments(self, pay_info: _PayInfo) -> list[contract.Item]:
        """Return what was paid: nothing of an order that is to be paid, or is paid on delivery."""
        status = self.info.status
        if str(self.info.pay_type) in _ON_DELIVERY:
            if status not in _PAID | _PAID_IN_FULL:
                return []
            on_delivery = events.PaysOnDelivery(self.order_no, self.at(self.info.pay_time))
            return [self._item("on_delivery", on_delivery)]
        total = fields.amount(pay_info.payment, CURRENCY)
        if phases := _phases(pay_info, total):
            return self._parts(phases)
        if status == _UNPAID or (status in _CLOSED and not self._is_paid):
            return []
        if pay_info.phase_payments and status in _PAID:
            detail = "paid in instalments, of which this may be the first"
            at = self.at(self.info.pay_time)
            return [self._item("paid", self.hint(self.kind, self.order_no, detail, at))]
        return [self._item("paid", self._payment(self.order_no, total))]

    def _parts(self, phases: Sequence[_Phase]) -> list[contract.Item]:
        """Return the phases that are paid.

        Refunds name the order and no payment: the first phase has the order's number, as a payment
        of the whole has it.
        """
        found = []
        for n, each in enumerate(phases):
            number = each.inner_transaction_no or each.outer_transaction_no
            if not number and self.info.status not in _PAID_IN_FULL:
                continue
            amount = fields.amount(each.real_price, CURRENCY)
            transaction_id = f"{self.order_no}:{n + 1}" if n else self.order_no
            what = f"paid:{n + 1}" if n else "paid"
            found.append(self._item(what, self._payment(transaction_id, amount)))
        return found

    def _payment(self, transaction_id: str, amount: Decimal) -> events.Event:
        return events.PaymentSucceeded(
            transaction_id=transaction_id,
            order_no=self.order_no,
            amount=amount,
            currency=CURRENCY,
            occurred_at=self.at(self.info.pay_time),
        )

    def _closed(self) -> events.Event:
        at = self.at(self.info.update_time)
        if shop_orders.is_time(self.info.consign_time):
            detail = "closed after it was shipped; refunds have their own messages"
            return self.hint(self.kind, self.order_no, detail, at)
        is_late = not self._is_paid and str(self.info.close_type) == "1"
        return events.Closed(self.order_no, "timed_out" if is_late else "cancelled", at)

    def _parcels(self, deliveries: msgspec.Raw) -> list[contract.Item]:
        at = self.at(self.info.consign_time or self.info.update_time)
        parcels: Sequence[events.Event] = ()
        try:
            parcels = youzan_parcels.shipped(deliveries, self.order, order_no=self.order_no, at=at)
        except errors.Rejected as rejected:
            parcels = [events.Unmapped(self.kind, self.order_no, rejected.hint, at)]
        if not parcels and self.info.status == _SHIPPED:
            # In the city, or by a courier whose number the shop did not enter.
            parcels = [events.Shipped(self.order_no, "", "", at)]
        names = [f"shipped:{n + 1}" if n else "shipped" for n in range(len(parcels))]
        return [self._item(name, each) for name, each in zip(names, parcels, strict=True)]


def _phases(pay_info: _PayInfo, total: Decimal) -> list[_Phase]:
    """Return the parts of the payment in their sequence; none if they are not all of it."""
    try:
        phases = [fields.decoded_leniently(_PHASE, raw) for raw in pay_info.phase_payments]
        amounts = [fields.amount(each.real_price, CURRENCY) for each in phases]
    except errors.Rejected:
        return []
    return sorted(phases, key=lambda each: each.phase) if sum(amounts) == total else []
