"""Youzan: message push of a shop (trade and refund messages).

Protocol: https://doc.youzanyun.com, "message push", and public integrations. No independent
client confirms it.

- ``Event-Sign`` is the lower-case hex MD5 of client_id + raw body + client_secret.
- Older messages have a ``sign`` inside the body instead. It covers ``msg`` but not the type of
  the message, so it is never accepted: an attacker could change the type of a genuine message
  from created to paid.
- ``msg`` is percent-encoded JSON text, or an object in newer messages. Some messages hold the
  complete order (``youzan_orders.py``), others little more than its number.
- ``msg_id`` is documented as removed from some messages, so a repeat is recognised by its content.
- Amounts are in yuan as text, times are local times of China.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors, events
from gateway.providers import contract, youzan_orders
from gateway.providers.shared import fields, forms, md5

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b'{"code":0,"msg":"success"}', "application/json"),
    # Youzan searches for ``success``; these must not contain it.
    "later": contract.Reply(503, b'{"code":1,"msg":"failed"}', "application/json"),
    "rejected": contract.Reply(400, b'{"code":1,"msg":"failed"}', "application/json"),
}

#: Messages about events that cannot be booked from the message alone.
_HINTS: Mapping[str, str] = {
    "trade_TradeCreate": "created; the message does not hold the order",
    "trade_TradePaid": "paid; the message does not hold the order",
    "trade_TradeBuyerPay": "paid; the message does not hold the order",
    "trade_refund_RefundSellerAgree": "a refund was agreed to; was the money returned?",
    "trade_refund_SysRefund": "refunded by the system; was the money returned?",
}
#: ``close_type``: timed out, cancelled by a person, or closed after a refund.
_TIMED_OUT = frozenset({"1", "20"})
_CANCELLED = frozenset({"3", "4", "5", "10", "11", "12", "17", "18"})
_REFUNDED = frozenset({"2", "6", "22"})

_Id = int | str
_Number = Annotated[str, Meta(pattern=r"\A[0-9]{1,20}\Z")]
_Type = Annotated[str, Meta(pattern=r"\A[!-~]{1,128}\Z")]


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a Youzan account."""

    #: Our app, as in the header ``Client-Id``. It is also the first part of the signed text.
    client_id: Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]
    #: The shops whose messages are accepted; a chain has an id for each of its shops.
    kdt_ids: Annotated[tuple[_Number, ...], Meta(min_length=1)]
    #: Message types that prove a refund. Whether ``trade_refund_RefundSellerAgree`` and
    #: ``trade_refund_SysRefund`` do is not confirmed: they are parked unless they are listed here.
    refund_types: tuple[_Type, ...] = ("trade_refund_RefundSuccess", "youzan_trade_RefundSuccess")
    #: Park messages about events with too little content to book them (a parcel without its
    #: number). False only records them: for a shop whose orders are fetched as well.
    park_hints: bool = True


class _Envelope(Struct):
    type: str = ""
    kdt_id: _Id | None = None
    client_id: str | None = None
    version: _Id | None = None
    test: bool | str | None = None
    msg: msgspec.Raw = msgspec.Raw()


class _Content(Struct):
    full_order_info: msgspec.Raw = msgspec.Raw()


class _Brief(Struct):
    tid: str = ""
    update_time: str | None = None
    close_type: _Id | None = None
    refund_id: _Id | None = None
    refunded_fee: Decimal | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_TEXT = msgspec.json.Decoder(str)
_CONTENT = msgspec.json.Decoder(_Content)
_BRIEF = msgspec.json.Decoder(_Brief)


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one app. Raises ``ValueError`` if it cannot work."""
    secrets = md5.secrets(account, whose="the app's client_secret", length_min=16)
    channel = fields.only_channel(account)
    return Youzan(secrets, fields.options(account, Options), channel)


PROVIDER = contract.Provider(
    "Youzan", adapter, _REPLIES, Options, body_bytes_max=contract.SHOP_BODY_BYTES_MAX
)


class Youzan:
    """One app, for the configured shops, whose orders go to one channel."""

    def __init__(self, secrets: Sequence[bytes], options: Options, channel: str) -> None:
        self._secrets = secrets
        self._options = options
        self._channel = channel

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one message. Raises ``Rejected``."""
        self._check_signature(message)
        return self._reading(message.body, message.now)

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        return self._reading(kept.body, kept.received_at)

    def _reading(self, body: bytes, now: datetime) -> contract.Reading:
        envelope = fields.decoded_leniently(_ENVELOPE, body)
        self._check_ours(envelope)
        key = _key(envelope)
        if envelope.test in (True, "true"):
            # Sent from the console, about an order that may not exist.
            return contract.Reading([contract.Item(key, events.Noted("test", now))])
        # A type that is only in the header is not signed.
        kind = fields.token(envelope.type or "untyped", "the type", fields.KEY_MAX)
        try:
            items = self._items(key, kind, _decoded(envelope.msg), now)
        except errors.Rejected as rejected:
            unmapped = events.Unmapped(kind, "", rejected.hint, now)
            items = [contract.Item(key, unmapped)]
        return contract.Reading(items)

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; only a body with ``success`` is an acknowledgement."""
        return _REPLIES[answer]

    def _check_signature(self, message: contract.Message) -> None:
        signature = message.headers.get("Event-Sign")
        if not signature:
            raise errors.Rejected(
                "missing_signature",
                "no Event-Sign header; the older sign inside the body does not cover the type of "
                "the message and is not accepted",
            )
        client_id = self._options.client_id
        if message.headers.get("Client-Id", client_id) != client_id:
            raise errors.Rejected("not_ours", "the Client-Id header is not our client_id")
        if not md5.is_signed((client_id.encode(), message.body), signature, self._secrets):
            raise errors.Rejected(
                "bad_signature",
                "not signed with this app's client_secret, or the body was parsed and written "
                "again on the way",
            )

    def _check_ours(self, envelope: _Envelope) -> None:
        if envelope.client_id not in (None, "", self._options.client_id):
            raise errors.Rejected("not_ours", "client_id in the body is not ours")
        if _text(envelope.kdt_id) not in self._options.kdt_ids:
            raise errors.Rejected("not_ours", "another shop; enter it in kdt_ids if it is yours")

    def _items(self, key: str, kind: str, content: bytes, now: datetime) -> list[contract.Item]:
        if bytes(fields.decoded_leniently(_CONTENT, content).full_order_info) not in (b"", b"null"):
            return youzan_orders.items(
                key, kind, content, now=now, channel=self._channel, hint=self._hint
            )
        brief = fields.decoded_leniently(_BRIEF, content)
        order_no = fields.order_no(brief.tid) if brief.tid else ""
        message = _BriefMessage(kind, order_no, brief, now)
        try:
            return [contract.Item(key, self._event(message))]
        except errors.Rejected as rejected:
            unmapped = events.Unmapped(kind, order_no, rejected.hint, message.at())
            return [contract.Item(key, unmapped)]

    def _event(self, message: "_BriefMessage") -> events.Event:
        if message.kind in self._options.refund_types:
            return _refunded(message)
        if reader := _READERS.get(message.kind):
            return reader(message)
        if detail := _HINTS.get(message.kind):
            return self._hint(message.kind, message.order_no, detail, message.at())
        if message.kind == "untyped":
            detail = "the body does not name the type of the message"
            return events.Unmapped(message.kind, message.order_no, detail, message.at())
        return events.Noted(message.kind, message.at())

    def _hint(self, kind: str, order_no: str, detail: str, at: datetime) -> events.Event:
        if self._options.park_hints:
            return events.Unmapped(kind, order_no, detail, at)
        return events.Noted(kind, at)


class _BriefMessage(Struct, frozen=True):
    """A message without the complete order."""

    kind: str
    order_no: str
    brief: _Brief
    now: datetime

    def at(self) -> datetime:
        text = self.brief.update_time
        return fields.from_china(text, "update_time") if text else self.now

    def order(self) -> str:
        """Return the order number. Raises ``Rejected`` if it is missing."""
        return fields.order_no(self.order_no)


def _key(envelope: _Envelope) -> str:
    """Return the key of a message: a digest of its content, each part with its length.

    ``sendCount`` changes on a repeat and ``msg_id`` may be absent: both are excluded.
    """
    digest = hashlib.blake2b(digest_size=16)
    parts = (envelope.type, _text(envelope.kdt_id), _text(envelope.version), envelope.msg)
    for part in parts:
        content = part.encode(errors="replace") if isinstance(part, str) else bytes(part)
        digest.update(b"%d:%b" % (len(content), content))
    return digest.hexdigest()


def _decoded(msg: msgspec.Raw) -> bytes:
    """Return the JSON of ``msg``, whichever way it is encoded."""
    content = bytes(msg).strip()
    if not content.startswith(b'"'):
        return content
    text = fields.decoded_leniently(_TEXT, msg)
    if text.lstrip().startswith("{"):
        return text.encode()
    # The encoding of a blank is not documented. Times contain blanks: if the text has no ``%20``,
    # each ``+`` is a blank.
    if "%20" not in text:
        text = text.replace("+", " ")
    return forms.unescaped(text.encode())


def _text(number: _Id | None) -> str:
    if isinstance(number, int):
        # The platform's ids fit 64 bits, and Python does not format very long integers.
        return str(number) if 0 <= number < 1 << 64 else ""
    return number or ""


def _closed(message: _BriefMessage) -> events.Event:
    close_type = _text(message.brief.close_type)
    if close_type in _TIMED_OUT:
        return events.Closed(message.order(), "timed_out", message.at())
    if close_type in _CANCELLED | _REFUNDED:
        # Each refund has its own message, with the amount.
        return events.Closed(message.order(), "cancelled", message.at())
    # 13 to 16 mean that it was paid another way; others are not documented.
    raise fields.malformed("closed, but close_type does not mean that it was unpaid")


def _shipped(message: _BriefMessage) -> events.Event:
    # It has no tracking number: a message with one, or the warehouse, adds it to this parcel.
    return events.Shipped(message.order(), "", "", message.at())


def _completed(message: _BriefMessage) -> events.Event:
    return events.Delivered(message.order(), message.at())


def _refunded(message: _BriefMessage) -> events.Event:
    fee, refund_no = message.brief.refunded_fee, _text(message.brief.refund_id)
    if fee is None:
        raise fields.malformed("refunded, but without an amount")
    currency = youzan_orders.CURRENCY
    return events.RefundSucceeded(
        # The message names no payment: the order number is the transaction id, as for the payment.
        transaction_id=message.order(),
        order_no=message.order(),
        refund_no=fields.token(refund_no, "refund_id", fields.REFUND_NO_MAX),
        amount=fields.refund_amount(fields.amount(fee, currency), currency),
        cumulative=False,
        currency=currency,
        occurred_at=message.at(),
    )


_READERS: Mapping[str, Callable[[_BriefMessage], events.Event]] = {
    "trade_TradeClose": _closed,
    "trade_TradePartlySellerShip": _shipped,
    "trade_TradeSellerShip": _shipped,
    "trade_TradeSuccess": _completed,
}
