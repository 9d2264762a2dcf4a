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

What a notice means is in ``unionpay_notices``.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from gateway.domain import errors, events
from gateway.providers import contract, unionpay_certificates, unionpay_notices
from gateway.providers.shared import fields, forms, keys

_JOINTS = forms.Joints(
    *"""currencyCode encoding merId orderId origQryId queryId respCode signMethod signPubKeyCert
    txnAmt txnTime txnType version""".split(),
    free=("reqReserved",),
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
    #: Where a payment names its order; ``reqReserved`` is for orders paid by several payments.
    order_no_from: unionpay_notices.OrderNoFrom = "orderId"


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
    return UnionPay(signers, options)


PROVIDER = contract.Provider("UnionPay", adapter, _REPLIES, Options, body_types=(contract.FORM,))


class UnionPay:
    """One merchant, in production or in the test environment."""

    def __init__(self, signers: unionpay_certificates.Signers, options: Options) -> None:
        self._signers = signers
        self._options = options

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one notice. Raises ``Rejected``."""
        form = forms.decoded(message.body)
        self._check_signature(form, message.now)
        return self._reading(form, message.now)

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        return self._reading(forms.decoded(kept.body), kept.received_at)

    def _reading(self, form: dict[bytes, bytes], now: datetime) -> contract.Reading:
        notice = unionpay_notices.Notice(form, now, self._options.order_no_from)
        if notice.optional("merId") != self._options.mer_id:
            raise errors.Rejected("not_ours", "another merId; test and production have their own")
        try:
            return contract.Reading([unionpay_notices.item(notice)])
        except errors.Rejected as rejected:
            # Genuine: rejected, it would be sent again and then be lost.
            kind = fields.kind(f"txnType_{notice.optional('txnType')}")
            unmapped = events.Unmapped(kind, notice.order_no(), rejected.hint, now)
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


def _digest(form: Mapping[bytes, bytes]) -> str:
    """Return the key of a notice that cannot be identified: its content, without certificate."""
    signed = sorted((k, v) for k, v in form.items() if k not in (b"signature", b"signPubKeyCert"))
    return hashlib.blake2b(repr(signed).encode(), digest_size=16).hexdigest()
