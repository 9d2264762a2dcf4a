"""What Doudian's pushed messages mean: tag by tag, the event that an item proves."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events, money
from gateway.providers.shared import fields

_CURRENCY = "CNY"
_FEN_LIMIT = 10**14
_CARRIER_MAX = 64
_TRACKING_NO_MAX = 64
_ID_MAX = 64
_PIECES_MAX = 100_000
#: ``pay_type``: nothing was paid, the order was confirmed and is paid on delivery.
_CASH_ON_DELIVERY = 0
#: ``order_type``: goods that are sent. The others are vouchers, services and top-ups.
_SENT = 0

#: The meaning of a tag. ``noted``: recorded without an effect on an order.
Meaning = Literal["paid", "shipped", "completed", "cancelled", "refunded", "noted"]

# Confirmed are 101 and 103. The others are taken from public SDKs; an item that does not have the
# shape of its meaning is parked, so a wrong tag does no harm.
# 100 says that an order was created and contains only its number.
MEANINGS: Mapping[str, Meaning] = {
    "100": "noted",
    "101": "paid",
    "102": "shipped",  # all of it; the parcel is the last one
    "103": "completed",
    "104": "shipped",  # the logistics of a parcel were changed: its number, or its carrier
    "106": "cancelled",
    "108": "shipped",  # a part of it
    "206": "refunded",
    "225": "refunded",
}


#: The platform writes ids as text in some messages and as numbers in others.
Id = int | str


class Item(Struct):
    """One message of a push."""

    tag: Id
    msg_id: Id = ""
    data: msgspec.Raw = msgspec.Raw()


class _Data(Struct):
    shop_id: Id | None = None
    p_id: Id | None = None


class _Paid(_Data):
    pay_amount: int | None = None
    pay_type: int | None = None
    #: Read by itself: no odd time costs a payment.
    pay_time: msgspec.Raw = msgspec.Raw(b"null")


class _Content(Struct):
    sku_id: Id = ""
    product_id: Id = ""
    shipped_num: int = 0


class _Logistics(Struct):
    express_company_id: str = ""
    logistics_code: str = ""
    pack_id: Id = ""
    shipped_order_info: msgspec.Raw = msgspec.Raw(b"null")


class _Shipped(_Data):
    logistics_msg: _Logistics | None = None
    order_type: int | None = None
    update_time: msgspec.Raw = msgspec.Raw(b"null")


class _Completed(_Data, kw_only=True):
    #: That it is there shows what the tag means; an odd one costs nothing but the time.
    complete_time: msgspec.Raw


class _Cancelled(_Data, kw_only=True):
    cancel_time: msgspec.Raw


class _Refunded(_Data, kw_only=True):
    aftersale_id: Id
    refund_amount: int
    #: Only this field proves that the money was returned.
    success_time: int


_TEXT = msgspec.json.Decoder(str)
_DATA = msgspec.json.Decoder(_Data)
_PAID = msgspec.json.Decoder(_Paid)
_SHIPPED = msgspec.json.Decoder(_Shipped)
_CONTENTS = msgspec.json.Decoder(list[_Content] | None)
_SECONDS = msgspec.json.Decoder(int)
_COMPLETED = msgspec.json.Decoder(_Completed)
_CANCELLED = msgspec.json.Decoder(_Cancelled)
_REFUNDED = msgspec.json.Decoder(_Refunded)


class PushedMessage:
    """One item of a verified push. Raises ``Rejected`` if it has no tag or no id."""

    def __init__(self, item: Item, now: datetime) -> None:
        self.tag, self.key = check_ids(item)
        self.kind = f"tag:{self.tag}"
        self.now = now
        self.data = b""
        self.shop_id = self._p_id = ""
        try:
            content = bytes(item.data)
            if content.lstrip().startswith(b'"'):
                content = fields.decoded_leniently(_TEXT, content).encode()
            self.data = content
            data = fields.decoded_leniently(_DATA, self.data)
            self.shop_id, self._p_id = id_text(data.shop_id), id_text(data.p_id)
        except errors.Rejected:
            # Without a shop id it is parked.
            pass

    def order_no(self) -> str:
        """Return the order number. Raises ``Rejected`` where there is none."""
        return fields.order_no(self._p_id)

    def at(self, seconds: int) -> datetime:
        """Turn a time of the platform into ours. Raises ``Rejected``."""
        return fields.from_unix(seconds)

    def at_or_now(self, raw: msgspec.Raw) -> datetime:
        """Turn a time of the platform into ours; where it gives none that can be read, now."""
        try:
            return self.at(fields.decoded_leniently(_SECONDS, raw))
        except errors.Rejected:
            return self.now

    def unmapped(self, detail: str) -> events.Unmapped:
        """Return the event of an item that cannot be booked, with its order if it names one."""
        try:
            order_no = self.order_no()
        except errors.Rejected:
            order_no = ""
        return events.Unmapped(self.kind, order_no, detail, self.now)


def check_ids(item: Item) -> tuple[str, str]:
    """Return tag and id of a message. Raises ``Rejected`` if it has none."""
    tag = fields.token(id_text(item.tag), "the tag", 8)
    return tag, fields.token(id_text(item.msg_id), "msg_id", fields.KEY_MAX)


def id_text(number: Id | None) -> str:
    """Return an id as text, ``""`` for none."""
    if isinstance(number, int):
        # The platform's ids fit 64 bits, and Python does not format very long integers.
        return str(number) if 0 <= number < 1 << 64 else ""
    return number or ""


def _fen(minor: int) -> Decimal:
    if not 0 <= minor < _FEN_LIMIT:
        raise fields.malformed("the amount is negative or too large")
    # Exact, and with two decimals.
    return money.from_minor(minor, _CURRENCY)


def _paid(pushed: PushedMessage) -> events.Event:
    data = fields.decoded_leniently(_PAID, pushed.data)
    if data.pay_type == _CASH_ON_DELIVERY:
        # The order was confirmed; it is paid on delivery.
        return events.PaysOnDelivery(pushed.order_no(), pushed.at_or_now(data.pay_time))
    if data.pay_amount is None:
        raise fields.malformed("paid, but without an amount")
    order_no = pushed.order_no()
    return events.PaymentSucceeded(
        # The push names no payment. An order is paid once, and refunds name the order as well.
        transaction_id=order_no,
        order_no=order_no,
        amount=_fen(data.pay_amount),
        currency=_CURRENCY,
        occurred_at=pushed.at_or_now(data.pay_time),
    )


def _shipped(pushed: PushedMessage) -> events.Event:
    data = fields.decoded_leniently(_SHIPPED, pushed.data)
    logistics = data.logistics_msg or _Logistics()
    carrier, number = logistics.express_company_id, logistics.logistics_code
    if data.order_type in (None, _SENT) or carrier or number:
        number = fields.token(number, "the tracking number", _TRACKING_NO_MAX)
        if not (0 < len(carrier) <= _CARRIER_MAX and carrier.isprintable()):
            carrier = "unknown"
    return events.Shipped(
        order_no=pushed.order_no(),
        carrier=carrier,
        tracking_no=number,
        occurred_at=pushed.at_or_now(data.update_time),
        parcel_no=_known(logistics.pack_id),
        lines=_lines(logistics.shipped_order_info),
    )


def _lines(raw: msgspec.Raw) -> tuple[events.ParcelLine, ...]:
    """Return what the parcel holds; nothing where that is not told, or cannot be read."""
    try:
        contents = fields.decoded_leniently(_CONTENTS, raw) or []
    except errors.Rejected:
        return ()
    found = [
        (_known(each.sku_id) or _known(each.product_id), each.shipped_num) for each in contents
    ]
    if not all(sku and 0 < n <= _PIECES_MAX for sku, n in found):
        return ()
    return tuple(events.ParcelLine(sku, n) for sku, n in found)


def _known(number: Id) -> str:
    """Return an id as text; ``""`` for none, which the platform also writes as 0."""
    text = id_text(number)
    return text if text != "0" and fields.is_token(text, _ID_MAX) else ""


def _completed(pushed: PushedMessage) -> events.Event:
    data = fields.decoded_leniently(_COMPLETED, pushed.data)
    return events.Delivered(pushed.order_no(), pushed.at_or_now(data.complete_time))


def _cancelled(pushed: PushedMessage) -> events.Event:
    data = fields.decoded_leniently(_CANCELLED, pushed.data)
    return events.Closed(pushed.order_no(), "cancelled", pushed.at_or_now(data.cancel_time))


def _refunded(pushed: PushedMessage) -> events.Event:
    data = fields.decoded_leniently(_REFUNDED, pushed.data)
    order_no = pushed.order_no()
    refund_no = fields.token(id_text(data.aftersale_id), "aftersale_id", fields.REFUND_NO_MAX)
    return events.RefundSucceeded(
        transaction_id=order_no,
        order_no=order_no,
        refund_no=refund_no,
        amount=fields.refund_amount(_fen(data.refund_amount), _CURRENCY),
        cumulative=False,
        currency=_CURRENCY,
        occurred_at=pushed.at(data.success_time),
    )


READERS: Mapping[str, Callable[[PushedMessage], events.Event]] = {
    "paid": _paid,
    "shipped": _shipped,
    "completed": _completed,
    "cancelled": _cancelled,
    "refunded": _refunded,
}
