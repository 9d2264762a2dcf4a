"""Douyin Pay, merchant API: callbacks of payments and refunds.

Protocol: https://pay.douyinpay.com, and the sources of bytedance-douyinpay, douyinpay-go (both
official) and douyinpay. The envelope is WeChat Pay's, described in ``apiv3.py``, with headers
``Douyinpay-*`` and platform certificates only.

Douyin's other schemes are not supported here: the mini-program trade system (``Byte-*``),
guaranteed payment (``msg_signature``), life-service webhooks (``X-Douyin-Signature``), the shop
(``doudian.py``), and SM2 with SM4 for merchants that chose them.

The sources agree on the bytes and differ on names. Unconfirmed values are options.
"""

from typing import Annotated

from msgspec import Meta, Struct

from gateway.domain import errors, events
from gateway.providers import contract
from gateway.providers.shared import (
    apiv3,
    apiv3_payments,
    apiv3_refunds,
    apiv3_resources,
    fields,
)

# The documentation and the Python packages write underscores, the official Go package hyphens.
_ALGORITHMS = frozenset({"AEAD_AES_256_GCM", "AEAD-AES-256-GCM"})
_WHOSE_CERTIFICATE = (
    "a Douyin Pay platform certificate (not your merchant certificate) in certificates"
)

_Number = Annotated[str, Meta(pattern=r"\A[0-9]{1,32}\Z")]
_App = Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]
_EventType = Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a Douyin Pay account."""

    #: Our merchant number.
    mchid: _Number
    #: Our apps, checked where a callback names one; empty accepts all.
    appids: tuple[_App, ...] = ()
    #: Douyin Pay's platform certificates as PEM.
    certificates: Annotated[tuple[str, ...], Meta(min_length=1)]
    #: The event types of payments and of refunds. UNCONFIRMED: one official package documents
    #: PAYMENT.*, another TRANSACTION.*; types in neither list are parked.
    payment_events: tuple[_EventType, ...] = ("PAYMENT.SUCCESS", "TRANSACTION.SUCCESS")
    refund_events: tuple[_EventType, ...] = ("REFUND.SUCCESS", "REFUND.CLOSED", "REFUND.ABNORMAL")
    #: Currency of a callback that names none.
    currency: str = "CNY"
    #: Where a payment names its order; ``attach`` is for orders paid by several payments.
    order_no_from: apiv3_resources.OrderNoFrom = "out_trade_no"
    #: Maximum age of a signature, and how far ahead of our clock it may be. UNCONFIRMED: 300 s is
    #: the value of the official Python package; if retries turn out to keep their first signature,
    #: 86640 (24 h 4 min) covers all of them, and a replay is still recognised by its id.
    tolerance_s: Annotated[int, Meta(ge=1, le=86_640)] = 300


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one merchant. Raises ``ValueError`` if it cannot work.

    A secret is the merchant's encryption key: 32 characters, or base64 of 32 bytes; during a
    rotation, the old and the new one.
    """
    ciphers = apiv3.ciphers(account, may_be_base64=True)
    options = fields.options(account, Options)
    apiv3_resources.currency(account, options.currency)
    envelope = apiv3.Envelope(
        name="Douyinpay",
        signers=apiv3.from_certificates(account, options.certificates, whose=_WHOSE_CERTIFICATE),
        ciphers=ciphers,
        algorithms=_ALGORITHMS,
        tolerance_s=options.tolerance_s,
    )
    return DouyinPay(envelope, options)


PROVIDER = contract.Provider("Douyin Pay", adapter, apiv3.REPLIES, Options)


class DouyinPay:
    """One merchant."""

    def __init__(self, envelope: apiv3.Envelope, options: Options) -> None:
        self._envelope = envelope
        self._options = options
        self._terms = apiv3_resources.Terms(
            currency=options.currency, order_no_from=options.order_no_from
        )

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify, decrypt and decode one callback. Raises ``Rejected``."""
        return self._reading(self._envelope.opened(message))

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decrypt and decode a callback that was verified when it arrived. Raises ``Rejected``."""
        return self._reading(self._envelope.opened_again(kept))

    def _reading(self, notice: apiv3.Notice) -> contract.Reading:
        return contract.Reading([contract.Item(notice.key, self._event(notice))])

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON whose ``code`` is SUCCESS or not."""
        return apiv3.REPLIES[answer]

    def _event(self, notice: apiv3.Notice) -> events.Event:
        options = self._options
        is_payment = notice.kind in options.payment_events
        is_refund = notice.kind in options.refund_events
        self._check_ours(apiv3_resources.parties(notice), must_be_named=is_payment or is_refund)
        # A payment that failed, as the official Go package documents it: its state decides.
        if is_payment or notice.kind == "TRANSACTION.FAIL":
            return apiv3_payments.event(notice, terms=self._terms)
        if is_refund:
            return apiv3_refunds.event(notice, terms=self._terms)
        return apiv3_resources.unmapped(
            notice,
            "an event type that is not booked; see the options payment_events and refund_events",
            order_no=apiv3_resources.order_no_of(notice.plain, self._terms),
        )

    def _check_ours(self, parties: apiv3_resources.Parties, *, must_be_named: bool) -> None:
        if parties.mchid is None and must_be_named:
            raise errors.Rejected("not_ours", "names no merchant")
        # Callbacks of a service provider name two merchants; the format is not confirmed: rejected.
        if parties.mchid not in (None, self._options.mchid) or parties.sp_mchid is not None:
            raise errors.Rejected("not_ours", "another merchant; see the option mchid")
        apiv3_resources.check_app(parties.appid, self._options.appids)
