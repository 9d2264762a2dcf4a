"""Alipay (mainland open platform): asynchronous notices of a trade.

Protocol: https://opendocs.alipay.com, "asynchronous notification", and the sources of
python-alipay-sdk, alipay-sdk-python-all and alipay-sdk-nodejs-all.

- A form, percent-decoded exactly once. Signed are all fields but ``sign`` and ``sign_type``,
  empty and unknown ones too, sorted by key and joined as ``key=value`` with ``&``, in the
  charset that the field ``charset`` names.
- RSA PKCS#1 v1.5 with SHA-256 (``RSA2``) under **Alipay's** public key. ``RSA`` (SHA-1) is
  never accepted.
- No send time is signed: a repeat is recognised by ``notify_id``, which stays the same over the
  eight deliveries of a day.
- Only the seven bytes ``success`` are an acknowledgement.

The verified text is built from the received bytes, never from text that was decoded and encoded
again: a codec that does not round-trip would break a valid signature.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Meta, Struct

from gateway.domain import errors, events, money
from gateway.providers import contract
from gateway.providers.shared import fields, forms, keys

#: China has no daylight saving time.
_GMT8 = timezone(timedelta(hours=8))
_WHOSE = (
    "Alipay's public key (not your app's) as PEM or as the bare base64 of the console, or the "
    "Alipay public certificate"
)

# GB 2312 is a subset of GBK, and text declared as gb2312 often contains characters of GBK.
_CODECS = {b"utf-8": "utf-8", b"gbk": "gbk", b"gb2312": "gbk"}
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?", re.ASCII)

_JOINTS = forms.Joints(
    *"""app_id charset gmt_close gmt_payment gmt_refund notify_id notify_time notify_type out_biz_no
    out_trade_no refund_fee seller_email seller_id total_amount trade_no trade_status""".split()
)

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b"success"),
    # Anything but ``success`` is a failure; the status is for access logs.
    "later": contract.Reply(503, b"fail"),
    "rejected": contract.Reply(400, b"fail"),
}


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of an Alipay account."""

    #: Our app id, as in the notices.
    app_id: Annotated[str, Meta(pattern=r"\A[!-~]{1,32}\Z")]
    #: The expected payee, by number, by address, or by both.
    seller_id: Annotated[str, Meta(pattern=r"\A[0-9]{1,32}\Z")] | None = None
    seller_email: Annotated[str, Meta(pattern=r"\A[!-~]{1,128}\Z")] | None = None
    #: Include ``sign_type`` in the signed text: for old "life account" messages only.
    keep_sign_type: bool = False
    #: Currency of the account; notices do not name it.
    currency: str = "CNY"


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one app. Raises ``ValueError`` if a key or an option is wrong.

    A secret is Alipay's public key as PEM or as the console's bare base64, or the Alipay
    public certificate as PEM. Only the key of a certificate is used: its expiry is not
    checked.
    """
    live = [keys.public_key(account, secret, whose=_WHOSE) for secret in fields.secrets(account)]
    options = fields.options(account, Options)
    if options.currency not in money.DECIMALS:
        raise fields.misconfigured(account, "has a currency that ISO 4217 does not list")
    return Alipay(live, options)


PROVIDER = contract.Provider("Alipay", adapter, _REPLIES, body_types=(contract.FORM,))


class Alipay:
    """One app of one merchant."""

    def __init__(self, live: Sequence[rsa.RSAPublicKey], options: Options) -> None:
        self._keys = live
        self._options = options
        self._unsigned = {b"sign"} if options.keep_sign_type else {b"sign", b"sign_type"}

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one notice. Raises ``Rejected``."""
        form = forms.decoded(message.body)
        text = self._check_signature(form)
        notice = _Notice(form, _codec(form, text), message.now)
        self._check_ours(notice)
        key = fields.key(notice.optional("notify_id"), text)
        return contract.Reading(self._items(key, notice))

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return exactly ``success``, or a failure."""
        return _REPLIES[answer]

    def _check_signature(self, form: dict[bytes, bytes]) -> bytes:
        if not form.get(b"sign"):
            raise errors.Rejected("missing_signature", "no field sign")
        # Not signed itself, so only the pinned value is accepted.
        if form.get(b"sign_type") != b"RSA2":
            raise errors.Rejected(
                "unsupported", "sign_type is not RSA2: choose RSA2 in the console"
            )
        signature = fields.base64_bytes(form[b"sign"])
        if signature is None:
            raise errors.Rejected(
                "bad_signature", "sign is not base64; was the form decoded twice?"
            )
        for fields_signed in self._signed(form):
            text = b"&".join([b"%b=%b" % pair for pair in sorted(fields_signed.items())])
            if not any(keys.is_signed(key, signature, text) for key in self._keys):
                continue
            if _JOINTS.is_folded(fields_signed, text):
                raise errors.Rejected("bad_signature", "a signed field is hidden inside another")
            return text
        raise errors.Rejected(
            "bad_signature",
            "not signed by the configured key: is it Alipay's public key (not your app's), of "
            "this app, live or sandbox? Or were values changed on the way (quotes escaped)?",
        )

    def _signed(self, form: dict[bytes, bytes]) -> Iterator[dict[bytes, bytes]]:
        """Yield the fields that may have been signed: Alipay's own libraries disagree.

        Java's leaves empty fields out of the text, Python's keeps them. An empty field counts as
        absent here, so both readings are the same message.
        """
        signed = {name: value for name, value in form.items() if name not in self._unsigned}
        yield signed
        if not all(signed.values()):
            yield {name: value for name, value in signed.items() if value}

    def _check_ours(self, notice: "_Notice") -> None:
        if notice.optional("app_id") != self._options.app_id:
            raise errors.Rejected("not_ours", "another app_id; live and sandbox have their own")
        # A notice may omit the address; it must name the payee in one way that can be checked.
        payee = [
            (notice.optional(name), ours)
            for name, ours in (
                ("seller_id", self._options.seller_id),
                ("seller_email", self._options.seller_email),
            )
            if ours is not None
        ]
        if payee and not any(theirs for theirs, _ in payee):
            raise errors.Rejected("not_ours", "names no seller")
        if any(theirs and theirs != ours for theirs, ours in payee):
            raise errors.Rejected("not_ours", "paid to another seller")

    def _items(self, key: str, notice: "_Notice") -> list[contract.Item]:
        def item(key: str, read: Callable[["_Notice"], events.Event]) -> contract.Item:
            event = fields.event_or_unmapped(
                lambda: read(notice),
                kind=fields.kind(notice.optional("trade_status"), notice.optional("notify_type")),
                at=notice.time("notify_time"),
                order_no=notice.merchant_order_no(),
            )
            return contract.Item(key, event)

        status = notice.optional("trade_status")
        is_paid = status in ("TRADE_SUCCESS", "TRADE_FINISHED")
        if (is_paid or status == "TRADE_CLOSED") and _is_refund(notice):
            # A refunded trade was paid. The extra payment event is a repeat at worst, and books
            # the payment of an order whose own notice was lost.
            return [item(f"{key}:paid", self._payment), item(key, self._refund)]
        if is_paid:
            return [item(key, self._payment)]
        return [item(key, _closed if status == "TRADE_CLOSED" else _unpaid)]

    def _payment(self, notice: "_Notice") -> events.PaymentSucceeded:
        total = fields.decimal(notice.required("total_amount"), "total_amount")
        return events.PaymentSucceeded(
            transaction_id=notice.transaction_id(),
            order_no=notice.merchant_order_no(),
            amount=fields.amount(total, self._options.currency),
            currency=self._options.currency,
            occurred_at=notice.time("gmt_payment", "notify_time"),
        )

    def _refund(self, notice: "_Notice") -> events.RefundSucceeded:
        total = fields.decimal(notice.required("refund_fee"), "refund_fee")
        return events.RefundSucceeded(
            transaction_id=notice.transaction_id(),
            order_no=notice.merchant_order_no(),
            refund_no=fields.merchant_refund_no(notice.optional("out_biz_no")),
            amount=fields.refund_amount(total, self._options.currency),
            cumulative=True,
            currency=self._options.currency,
            occurred_at=notice.time("gmt_refund", "notify_time"),
        )


class _Notice:
    """The fields of a verified notice as text; an empty one counts as absent."""

    def __init__(self, form: dict[bytes, bytes], codec: str, now: datetime) -> None:
        self._form = form
        self._codec = codec
        self._now = now

    def optional(self, name: str) -> str:
        return self._form.get(name.encode(), b"").decode(self._codec)

    def required(self, name: str) -> str:
        if value := self.optional(name):
            return value
        raise fields.malformed(f"no field {name}")

    def order_no(self) -> str:
        """Return the order number of a message without money, which needs one."""
        return fields.order_no(self.required("out_trade_no"))

    def merchant_order_no(self) -> str:
        return fields.merchant_order_no(self.optional("out_trade_no"))

    def transaction_id(self) -> str:
        return fields.transaction_id(self.required("trade_no"))

    def time(self, *names: str) -> datetime:
        """Return the first of the named times that can be read, else that of its arrival."""
        for name in names:
            text = self.optional(name)
            if not _TIME.fullmatch(text):
                continue
            try:
                return fields.moment(datetime.fromisoformat(text).replace(tzinfo=_GMT8))
            except (ValueError, errors.Rejected):
                continue
        return self._now


def _is_refund(notice: _Notice) -> bool:
    fee = notice.optional("refund_fee")
    # A fee that cannot be read is one: the refund is then parked, and the payment counts.
    return bool(notice.optional("gmt_refund")) or fee.strip("0.") != ""


def _closed(notice: _Notice) -> events.Event:
    closed_at = notice.time("gmt_close", "notify_time")
    return events.Closed(notice.order_no(), "timed_out", closed_at)


def _unpaid(notice: _Notice) -> events.Event:
    noticed_at = notice.time("notify_time")
    status = notice.optional("trade_status")
    if not status:
        kind = fields.token(notice.required("notify_type"), "notify_type", fields.KEY_MAX)
        if kind == "trade_status_sync":
            raise fields.malformed("a trade notice without trade_status")
        return events.Noted(kind, noticed_at)
    kind = fields.token(status, "trade_status", fields.KEY_MAX)
    if kind == "WAIT_BUYER_PAY":
        return events.Noted(kind, noticed_at)
    # Not documented: neither treat it as paid nor ignore it.
    detail = "a trade_status that Alipay does not document"
    return events.Unmapped(kind, notice.merchant_order_no(), detail, noticed_at)


def _codec(form: dict[bytes, bytes], text: bytes) -> str:
    """Return the codec of a verified notice, checked against its whole text."""
    codec = _CODECS.get(form.get(b"charset", b"utf-8").lower())
    if codec is None:
        raise errors.Rejected("unsupported", "charset is none of utf-8, gbk, gb2312")
    try:
        # The separators are ASCII and end no character of these charsets, so a text that decodes
        # as a whole also decodes field by field.
        text.decode(codec)
    except UnicodeDecodeError:
        raise fields.malformed("the text is not in the charset it names") from None
    return codec
