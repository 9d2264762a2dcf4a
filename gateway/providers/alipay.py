"""Alipay (mainland open platform): asynchronous notices of a trade, and messages to the app.

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

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Meta, Struct

from gateway.domain import errors, money
from gateway.providers import alipay_notices, contract
from gateway.providers.shared import fields, forms, keys

_WHOSE = (
    "Alipay's public key (not your app's) as PEM or as the bare base64 of the console, or the "
    "Alipay public certificate"
)

# GB 2312 is a subset of GBK, and text declared as gb2312 often contains characters of GBK.
_CODECS = {b"utf-8": "utf-8", b"gbk": "gbk", b"gb2312": "gbk"}

_JOINTS = forms.Joints(
    *"""app_id charset gmt_close gmt_payment gmt_refund msg_method notify_id notify_time notify_type
    operation_type out_biz_no out_trade_no refund_fee seller_email seller_id total_amount trade_no
    trade_status trans_currency utc_timestamp""".split(),
    free=("passback_params",),
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
    #: Currency of a notice that names none (``trans_currency``).
    currency: str = "CNY"
    #: Where a trade names its order; ``passback_params`` is for orders paid by several trades.
    order_no_from: alipay_notices.OrderNoFrom = "out_trade_no"


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


PROVIDER = contract.Provider("Alipay", adapter, _REPLIES, Options, body_types=(contract.FORM,))


class Alipay:
    """One app of one merchant."""

    def __init__(self, live: Sequence[rsa.RSAPublicKey], options: Options) -> None:
        self._keys = live
        self._options = options
        self._terms = alipay_notices.Terms(
            currency=options.currency, order_no_from=options.order_no_from
        )
        self._unsigned = {b"sign"} if options.keep_sign_type else {b"sign", b"sign_type"}

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one notice. Raises ``Rejected``."""
        form = forms.decoded(message.body)
        return self._reading(form, self._check_signature(form), message.now)

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        form = forms.decoded(kept.body)
        return self._reading(form, _text(next(self._signed(form))), kept.received_at)

    def _reading(self, form: dict[bytes, bytes], text: bytes, now: datetime) -> contract.Reading:
        notice = alipay_notices.Notice(form, _codec(form, text), now)
        self._check_ours(notice)
        key = fields.key(notice.optional("notify_id"), text)
        return contract.Reading(alipay_notices.items(key, notice, self._terms))

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
            text = _text(fields_signed)
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

    def _check_ours(self, notice: alipay_notices.Notice) -> None:
        if notice.optional("app_id") != self._options.app_id:
            raise errors.Rejected("not_ours", "another app_id; live and sandbox have their own")
        # A notice may omit the address; it must name the payee in one way that can be checked.
        # What is about no trade names none, and books no money.
        payee = [
            (notice.optional(name), ours)
            for name, ours in (
                ("seller_id", self._options.seller_id),
                ("seller_email", self._options.seller_email),
            )
            if ours is not None
        ]
        is_named = any(theirs for theirs, _ in payee)
        if payee and not is_named and alipay_notices.is_of_a_trade(notice):
            raise errors.Rejected("not_ours", "names no seller")
        if any(theirs and theirs != ours for theirs, ours in payee):
            raise errors.Rejected("not_ours", "paid to another seller")


def _text(signed: Mapping[bytes, bytes]) -> bytes:
    return b"&".join([b"%b=%b" % pair for pair in sorted(signed.items())])


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
