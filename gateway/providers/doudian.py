"""Doudian (Douyin shop): message push.

Protocol: https://op.jinritemai.com, "message push", and the source of doudian (PyPI).

- ``event-sign`` is the lower-case hex MD5 of app_key + raw body + app_secret; ``app-id`` is
  our app. The algorithm is fixed: a request cannot choose another.
- The body is a list. Each item has a ``tag``, a ``msg_id`` that stays the same on a repeat, and
  ``data`` as JSON text or as an object. Every item is read; the push is acknowledged as a whole.
- When the address is saved, the platform sends tag ``0``: a greeting, acknowledged as usual.
- Amounts are in fen, times in unix seconds.

Buyer and address are encrypted and the lines of an order are not included, so no push can place
an order. It can only prove: paid, to be paid on delivery, shipped, completed, cancelled, refunded.
The order itself comes from another source; events that arrive earlier wait for it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors, events, money
from gateway.providers import contract
from gateway.providers.shared import fields, md5

_CURRENCY = "CNY"
_ITEMS_MAX = 1000
_FEN_LIMIT = 10**14
_CARRIER_MAX = 64
_TRACKING_NO_MAX = 64
_ID_MAX = 64
_PIECES_MAX = 100_000
#: ``pay_type``: nothing was paid, the order was confirmed and is paid on delivery.
_CASH_ON_DELIVERY = 0
#: ``order_type``: goods that are sent. The others are vouchers, services and top-ups.
_SENT = 0
_GREETING = "0"

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b'{"code":0,"msg":"success"}', "application/json"),
    "later": contract.Reply(503, b'{"code":1,"msg":"fail"}', "application/json"),
    "rejected": contract.Reply(400, b'{"code":1,"msg":"fail"}', "application/json"),
}

#: The meaning of a tag. ``noted``: recorded without an effect on an order.
Meaning = Literal["paid", "shipped", "completed", "cancelled", "refunded", "noted"]

# Confirmed are 101 and 103. The others are taken from public SDKs; an item that does not have the
# shape of its meaning is parked, so a wrong tag does no harm.
# 100 says that an order was created and contains only its number.
_MEANINGS: Mapping[str, Meaning] = {
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

_Number = Annotated[str, Meta(pattern=r"\A[0-9]{1,20}\Z")]
_Tag = Annotated[str, Meta(pattern=r"\A[0-9]{1,8}\Z")]
#: The platform writes ids as text in some messages and as numbers in others.
_Id = int | str


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a Doudian account."""

    #: Our app, as in the header ``app-id``. It is also the first part of the signed text.
    app_key: Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]
    #: The shops whose messages are accepted.
    shop_ids: Annotated[tuple[_Number, ...], Meta(min_length=1)]
    #: Overrides of the meaning of tags; ``noted`` disables one.
    tags: dict[_Tag, Meaning] = {}


class _Item(Struct):
    tag: _Id
    msg_id: _Id = ""
    data: msgspec.Raw = msgspec.Raw()


class _Data(Struct):
    shop_id: _Id | None = None
    p_id: _Id | None = None


class _Paid(_Data):
    pay_amount: int | None = None
    pay_type: int | None = None
    #: Read by itself: no odd time costs a payment.
    pay_time: msgspec.Raw = msgspec.Raw(b"null")


class _Content(Struct):
    sku_id: _Id = ""
    product_id: _Id = ""
    shipped_num: int = 0


class _Logistics(Struct):
    express_company_id: str = ""
    logistics_code: str = ""
    pack_id: _Id = ""
    shipped_order_info: msgspec.Raw = msgspec.Raw(b"null")


class _Shipped(_Data):
    logistics_msg: _Logistics | None = None
    order_type: int | None = None
    update_time: msgspec.Raw = msgspec.Raw(b"null")


class _Completed(_Data, kw_only=True):
    complete_time: int


class _Cancelled(_Data, kw_only=True):
    cancel_time: int


class _Refunded(_Data, kw_only=True):
    aftersale_id: _Id
    refund_amount: int
    #: Only this field proves that the money was returned.
    success_time: int


_BODY = msgspec.json.Decoder(list[_Item])
_TEXT = msgspec.json.Decoder(str)
_DATA = msgspec.json.Decoder(_Data)
_PAID = msgspec.json.Decoder(_Paid)
_SHIPPED = msgspec.json.Decoder(_Shipped)
_CONTENTS = msgspec.json.Decoder(list[_Content] | None)
_SECONDS = msgspec.json.Decoder(int)
_COMPLETED = msgspec.json.Decoder(_Completed)
_CANCELLED = msgspec.json.Decoder(_Cancelled)
_REFUNDED = msgspec.json.Decoder(_Refunded)


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one app. Raises ``ValueError`` if it cannot work."""
    secrets = md5.secrets(account, whose="the app's app_secret", length_min=16)
    return Doudian(secrets, fields.options(account, Options))


PROVIDER = contract.Provider(
    "Doudian", adapter, _REPLIES, body_bytes_max=contract.SHOP_BODY_BYTES_MAX
)


class Doudian:
    """One app, for the configured shops."""

    def __init__(self, secrets: Sequence[bytes], options: Options) -> None:
        self._secrets = secrets
        self._app_key = options.app_key
        self._shop_ids = frozenset(options.shop_ids)
        self._meanings = {**_MEANINGS, **options.tags}

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one push, all items of it. Raises ``Rejected``."""
        self._check_signature(message)
        items = fields.decoded_leniently(_BODY, message.body)
        if len(items) > _ITEMS_MAX:
            raise fields.malformed(f"more than {_ITEMS_MAX} messages in one push")
        messages = [item for item in items if _text(item.tag) != _GREETING]
        pushed = [_PushedMessage(item, message.now) for item in _once(messages)]
        # One address serves all the shops of an app. A push about other shops alone is rejected;
        # a mixed one is accepted, so that a shop without an entry does not hold up ours.
        if pushed and all(one.shop_id and one.shop_id not in self._shop_ids for one in pushed):
            raise errors.Rejected("not_ours", "another shop; enter it in shop_ids if it is yours")
        return contract.Reading([contract.Item(one.key, self._event(one)) for one in pushed])

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; only code 0 is an acknowledgement."""
        return _REPLIES[answer]

    def _check_signature(self, message: contract.Message) -> None:
        signature = message.headers.get("event-sign")
        if not signature:
            raise errors.Rejected("missing_signature", "no event-sign header")
        if message.headers.get("app-id") != self._app_key:
            raise errors.Rejected("not_ours", "the app-id header is not our app_key")
        if not md5.is_signed((self._app_key.encode(), message.body), signature, self._secrets):
            raise errors.Rejected(
                "bad_signature",
                "not signed with this app's app_secret, or the body was parsed and written "
                "again on the way",
            )

    def _event(self, pushed: "_PushedMessage") -> events.Event:
        if not pushed.shop_id:
            return pushed.unmapped("names no shop, so its owner is unknown")
        if pushed.shop_id not in self._shop_ids:
            return pushed.unmapped("of a shop that is not in shop_ids")
        reader = _READERS.get(self._meanings.get(pushed.tag, "noted"))
        if reader is None:
            return events.Noted(pushed.kind, pushed.now)
        try:
            return reader(pushed)
        except errors.Rejected as rejected:
            return pushed.unmapped(rejected.hint)


class _PushedMessage:
    """One item of a verified push. Raises ``Rejected`` if it has no tag or no id."""

    def __init__(self, item: _Item, now: datetime) -> None:
        self.tag = fields.token(_text(item.tag), "the tag", 8)
        self.key = fields.token(_text(item.msg_id), "msg_id", fields.KEY_MAX)
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
            self.shop_id, self._p_id = _text(data.shop_id), _text(data.p_id)
        except errors.Rejected:
            # Without a shop id it is parked.
            pass

    def order_no(self) -> str:
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
        try:
            order_no = self.order_no()
        except errors.Rejected:
            order_no = ""
        return events.Unmapped(self.kind, order_no, detail, self.now)


def _once(items: list[_Item]) -> list[_Item]:
    """Drop what stands there twice. Raises ``Rejected`` if one number tells two things."""
    if len(items) < 2:
        return items
    found: dict[str, _Item] = {}
    for item in items:
        known = found.setdefault(_text(item.msg_id), item)
        if (known.tag, bytes(known.data)) != (item.tag, bytes(item.data)):
            raise fields.malformed("two messages of one push have the same msg_id")
    return list(found.values())


def _text(number: _Id | None) -> str:
    if isinstance(number, int):
        # The platform's ids fit 64 bits, and Python does not format very long integers.
        return str(number) if 0 <= number < 1 << 64 else ""
    return number or ""


def _fen(minor: int) -> Decimal:
    if not 0 <= minor < _FEN_LIMIT:
        raise fields.malformed("the amount is negative or too large")
    # Exact, and with two decimals.
    return money.from_minor(minor, _CURRENCY)


def _paid(pushed: _PushedMessage) -> events.Event:
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


def _shipped(pushed: _PushedMessage) -> events.Event:
    data = fields.decoded_leniently(_SHIPPED, pushed.data)
    logistics = data.logistics_msg or _Logistics()
    carrier, number = logistics.express_company_id, logistics.logistics_code
    if data.order_type in (None, _SENT) or carrier or number:
        carrier = fields.label(carrier, "the carrier", _CARRIER_MAX)
        number = fields.token(number, "the tracking number", _TRACKING_NO_MAX)
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


def _known(number: _Id) -> str:
    """Return an id as text; ``""`` for none, which the platform also writes as 0."""
    text = _text(number)
    return text if text != "0" and fields.is_token(text, _ID_MAX) else ""


def _completed(pushed: _PushedMessage) -> events.Event:
    data = fields.decoded_leniently(_COMPLETED, pushed.data)
    return events.Delivered(pushed.order_no(), pushed.at(data.complete_time))


def _cancelled(pushed: _PushedMessage) -> events.Event:
    data = fields.decoded_leniently(_CANCELLED, pushed.data)
    return events.Closed(pushed.order_no(), "cancelled", pushed.at(data.cancel_time))


def _refunded(pushed: _PushedMessage) -> events.Event:
    data = fields.decoded_leniently(_REFUNDED, pushed.data)
    order_no = pushed.order_no()
    refund_no = fields.token(_text(data.aftersale_id), "aftersale_id", fields.REFUND_NO_MAX)
    return events.RefundSucceeded(
        transaction_id=order_no,
        order_no=order_no,
        refund_no=refund_no,
        amount=fields.refund_amount(_fen(data.refund_amount), _CURRENCY),
        cumulative=False,
        currency=_CURRENCY,
        occurred_at=pushed.at(data.success_time),
    )


_READERS: Mapping[str, Callable[[_PushedMessage], events.Event]] = {
    "paid": _paid,
    "shipped": _shipped,
    "completed": _completed,
    "cancelled": _cancelled,
    "refunded": _refunded,
}
