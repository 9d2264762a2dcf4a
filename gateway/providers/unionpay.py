"""UnionPay (China): back-end notices of the online gateway, version 5.1.0.

Protocol: https://open.unionpay.com, and the demonstration programs that UnionPay publishes there.

- A form, percent-decoded exactly once. Signed are all fields but ``signature``, known or not,
  sorted by key and joined as ``key=value`` with ``&``, in UTF-8.
- That text is hashed with SHA-256, and the lower-case hex of the hash is signed: RSA PKCS#1 v1.5
  with SHA-256, so the content is hashed twice.
- The key is in the message itself, in the certificate ``signPubKeyCert``, which
  ``unionpay_certificates`` verifies.
- Version 5.0.0 (SHA-1) and the methods with a shared key (11, 12) are never accepted.
- No send time is signed: a repeat is recognised by ``queryId``, UnionPay's number of a
  transaction, and its ``txnType``.
- Only successful payments are reported, but failed refunds as well.

Fields are read as received bytes; all that have an effect are ASCII.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from gateway.domain import errors, events, money
from gateway.providers import contract, unionpay_certificates
from gateway.providers.shared import fields, forms, keys

#: China has no daylight saving time.
_GMT8 = timezone(timedelta(hours=8))
_TIME = re.compile(r"\d{14}", re.ASCII)
_FEN = re.compile(r"\d{1,12}", re.ASCII)

_PAYMENT = "01"
#: A refund, and the cancellation of a payment on the same day, which returns all of it.
_REFUNDS = {"04": "a refund", "31": "the cancellation of a payment"}
#: Success, and success with a defect.
_SUCCEEDED = frozenset({"00", "A6"})
_CURRENCIES = {"156": "CNY"}

_JOINTS = forms.Joints(
    *"""currencyCode encoding merId orderId origQryId queryId respCode signMethod signPubKeyCert
    txnAmt txnTime txnType version""".split()
)

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b"ok"),
    # Any other status than 200 (or 302) makes UnionPay send it again, five times in all.
    "later": contract.Reply(503, b"fail"),
    "rejected": contract.Reply(400, b"fail"),
}

_Organisation = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[^@]+\Z")]


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a UnionPay account."""

    #: Our merchant number.
    mer_id: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z]{15}\Z")]
    #: The third part of the common name of UnionPay's certificate. The test environment has also
    #: used certificates of ``00040000:SIGN``; never list that for production.
    organisations: Annotated[tuple[_Organisation, ...], Meta(min_length=1, max_length=4)] = (
        "中国银联股份有限公司",
    )
    #: Accept a certificate of UnionPay that was issued with SHA-1, as all known ones were (up to
    #: July 2025). UNCONFIRMED for later ones: disable it once yours is issued with SHA-256.
    sha1_certificates: bool = True


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one merchant. Raises ``ValueError`` if it cannot work.

    A secret is the root and the intermediate certificate of CFCA as PEM, one after the other.
    """
    issuers = unionpay_certificates.issuers(account)
    options = fields.options(account, Options)
    signers = unionpay_certificates.Signers(
        issuers,
        organisations=options.organisations,
        may_be_sha1=options.sha1_certificates,
    )
    return UnionPay(signers, options.mer_id)


PROVIDER = contract.Provider("UnionPay", adapter, _REPLIES, body_types=(contract.FORM,))


class UnionPay:
    """One merchant, in production or in the test environment."""

    def __init__(self, signers: unionpay_certificates.Signers, mer_id: str) -> None:
        self._signers = signers
        self._mer_id = mer_id

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one notice. Raises ``Rejected``."""
        form = forms.decoded(message.body)
        self._check_signature(form, message.now)
        notice = _Notice(form, message.now)
        if notice.optional("merId") != self._mer_id:
            raise errors.Rejected("not_ours", "another merId; test and production have their own")
        try:
            return contract.Reading([_item(notice)])
        except errors.Rejected as rejected:
            # Genuine: rejected, it would be sent again and then be lost.
            kind = fields.kind(f"txnType_{notice.optional('txnType')}")
            order_no = fields.merchant_order_no(notice.optional("orderId"))
            unmapped = events.Unmapped(kind, order_no, rejected.hint, message.now)
            return contract.Reading([contract.Item(_digest(form), unmapped)])

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return a response; UnionPay checks the status only."""
        return _REPLIES[answer]

    def _check_signature(self, form: Mapping[bytes, bytes], now: datetime) -> None:
        if not form.get(b"signature"):
            raise errors.Rejected("missing_signature", "no field signature")
        _check_pinned(form)
        pem = form.get(b"signPubKeyCert")
        if not pem:
            raise errors.Rejected("missing_signature", "no field signPubKeyCert")
        signature = fields.base64_bytes(form[b"signature"])
        if signature is None:
            raise errors.Rejected(
                "bad_signature", "signature is not base64; was the form decoded twice?"
            )
        text = b"&".join(
            [b"%b=%b" % pair for pair in sorted(form.items()) if pair[0] != b"signature"]
        )
        digest = hashlib.sha256(text).hexdigest().encode()
        if not keys.is_signed(self._signers.key(pem, now=now), signature, digest):
            raise errors.Rejected(
                "bad_signature",
                "not signed by the certificate it carries: were values changed on the way "
                "(trimmed, line ends of signPubKeyCert), or fields left out?",
            )
        if _JOINTS.is_folded(form, text):
            raise errors.Rejected("bad_signature", "a signed field is hidden inside another")


def _check_pinned(form: Mapping[bytes, bytes]) -> None:
    """Check the fields that name version, method and encoding: only the pinned values pass."""
    if form.get(b"version") != b"5.1.0":
        raise errors.Rejected("unsupported", "version is not 5.1.0: send requests with 5.1.0")
    if form.get(b"signMethod") != b"01":
        raise errors.Rejected("unsupported", "signMethod is not 01 (RSA): send requests with 01")
    if form.get(b"encoding", b"").upper() != b"UTF-8":
        raise errors.Rejected("unsupported", "encoding is not UTF-8: send requests with UTF-8")


class _Notice:
    """The fields of a verified notice as text; an empty one counts as absent."""

    def __init__(self, form: Mapping[bytes, bytes], now: datetime) -> None:
        self._form = form
        self._now = now

    def optional(self, name: str) -> str:
        # Invalid UTF-8 becomes a character that no number may contain.
        return self._form.get(name.encode(), b"").decode("utf-8", "replace")

    def required(self, name: str, length_max: int) -> str:
        return fields.token(self.optional(name), name, length_max)

    def amount(self) -> Decimal:
        text = self.optional("txnAmt")
        if not _FEN.fullmatch(text):
            raise fields.malformed("txnAmt is not a number of fen")
        return money.from_minor(int(text), "CNY")

    def time(self) -> datetime:
        """Return the time of the transaction, or that of its arrival where it names none."""
        text = self.optional("txnTime")
        if _TIME.fullmatch(text):
            try:
                return fields.moment(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=_GMT8))
            except (ValueError, errors.Rejected):
                pass
        return self._now


def _digest(form: Mapping[bytes, bytes]) -> str:
    """Return the key of a notice that cannot be identified: its content, without certificate."""
    signed = sorted((k, v) for k, v in form.items() if k not in (b"signature", b"signPubKeyCert"))
    return hashlib.blake2b(repr(signed).encode(), digest_size=16).hexdigest()


def _item(notice: _Notice) -> contract.Item:
    kind, resp_code = notice.required("txnType", 8), notice.required("respCode", 8)
    if resp_code not in _SUCCEEDED:
        return contract.Item(_failed_key(notice, kind, resp_code), _failed(notice, kind, resp_code))
    # One queryId is one transaction; the type is added as in UnionPay's demonstration programs.
    key = f"{_query_id(notice)}:{kind}"
    if kind == _PAYMENT:
        return contract.Item(key, _payment(notice))
    if kind in _REFUNDS:
        return contract.Item(key, _refund(notice, kind))
    # Authorisations and their completion, collections, transfers, card bindings.
    detail = f"a transaction of txnType {kind}, which is neither a payment nor a refund"
    order_no = fields.merchant_order_no(notice.optional("orderId"))
    return contract.Item(key, events.Unmapped(f"txnType_{kind}", order_no, detail, notice.time()))


def _query_id(notice: _Notice) -> str:
    return notice.required("queryId", fields.KEY_MAX - 16)


def _payment(notice: _Notice) -> events.Event:
    order_no = fields.merchant_order_no(notice.optional("orderId"))
    currency = _CURRENCIES.get(notice.optional("currencyCode"))
    if currency is None:
        return _other_currency("payment", order_no, notice)
    return events.PaymentSucceeded(
        transaction_id=_query_id(notice),
        order_no=order_no,
        amount=fields.amount(notice.amount(), currency),
        currency=currency,
        occurred_at=notice.time(),
    )


def _refund(notice: _Notice, kind: str) -> events.Event:
    # Refunds may omit the currency: it is then that of the payment, and only CNY is booked.
    currency = _CURRENCIES.get(notice.optional("currencyCode") or "156")
    if currency is None:
        return _other_currency("refund", "", notice)
    if not notice.optional("origQryId"):
        detail = f"{_REFUNDS[kind]} that does not name its payment (origQryId)"
        return events.Unmapped("refund", "", detail, notice.time())
    return events.RefundSucceeded(
        transaction_id=fields.transaction_id(notice.optional("origQryId")),
        # orderId is the refund's own number, and may be reused on another day.
        order_no="",
        refund_no=_query_id(notice),
        amount=fields.refund_amount(notice.amount(), currency),
        cumulative=False,
        currency=currency,
        occurred_at=notice.time(),
    )


def _other_currency(kind: str, order_no: str, notice: _Notice) -> events.Unmapped:
    return events.Unmapped(kind, order_no, "its currencyCode is not 156 (CNY)", notice.time())


def _failed_key(notice: _Notice, kind: str, resp_code: str) -> str:
    # A transaction may fail or be pending first and succeed later: respCode is part of the key.
    # A transaction that failed early may have no queryId; these three then identify it.
    if notice.optional("queryId"):
        return f"{_query_id(notice)}:{kind}:{resp_code}"
    order_no = fields.order_no(notice.optional("orderId"))
    return f"{order_no}:{notice.required('txnTime', 14)}:{kind}:{resp_code}"


def _failed(notice: _Notice, kind: str, resp_code: str) -> events.Event:
    if kind in _REFUNDS:
        # A refund was intended, and the buyer has not received the money.
        detail = f"{_REFUNDS[kind]} did not succeed: respCode {resp_code}"
        return events.Unmapped("refund_failed", "", detail, notice.time())
    return events.Noted(f"txnType_{kind}:{resp_code}", notice.time())
