"""WeChat Pay API v3: callbacks of payments, refunds and complaints.

Protocol: https://pay.weixin.qq.com, "callback notifications" and "verify signatures", and the
sources of wechatpayv3 and wechatpay-axios-plugin. The envelope is described in ``apiv3.py``.

- ``Wechatpay-Serial`` names the key of each message: ``PUB_KEY_ID_…`` is the WeChat Pay public key
  of that id, anything else the serial of a platform certificate. While a merchant moves from one
  to the other, both arrive.
- WeChat Pay occasionally sends a probe: a signature that begins with ``WECHATPAY/SIGNTEST/`` and
  is wrong on purpose. A 2xx means "does not verify"; the genuine callback is sent again.
- Every delivery is signed again, so the window can be narrow; the ``id`` of the body stays.

API v2 (XML, ``sign``) is another protocol and not supported.
"""

from typing import Annotated

from msgspec import Meta, Struct

from gateway.domain import errors
from gateway.providers import contract, wechatpay_events
from gateway.providers.shared import apiv3, apiv3_resources, fields, keys

_PROBE = "WECHATPAY/SIGNTEST/"
_SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"
_ALGORITHMS = frozenset({"AEAD_AES_256_GCM"})
_WHOSE_KEY = "the WeChat Pay public key as PEM (not your merchant certificate) in public_keys"
_WHOSE_CERTIFICATE = (
    "a WeChat Pay platform certificate (not your merchant certificate) in certificates"
)

_Number = Annotated[str, Meta(pattern=r"\A[0-9]{1,32}\Z")]
_App = Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]


class PublicKey(Struct, forbid_unknown_fields=True, frozen=True):
    """A WeChat Pay public key, which callbacks name by its id."""

    id: Annotated[str, Meta(pattern=r"\APUB_KEY_ID_[0-9A-Za-z]{1,64}\Z")]
    pem: str


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a WeChat Pay account."""

    #: Our merchant number; for a service provider its own (``sp_mchid``).
    mchid: _Number
    #: The merchants of a service provider: only their payments are accepted. Empty: only our own.
    sub_mchids: tuple[_Number, ...] = ()
    #: Our apps, checked where a callback names one; empty accepts all.
    appids: tuple[_App, ...] = ()
    #: WeChat Pay's keys of both kinds; at least one in total.
    public_keys: tuple[PublicKey, ...] = ()
    certificates: tuple[str, ...] = ()
    #: Currency of a callback that names none, such as a refund.
    currency: str = "CNY"
    #: Where a payment names its order; ``attach`` is for orders paid by several payments.
    order_no_from: apiv3_resources.OrderNoFrom = "out_trade_no"
    #: Maximum age of a signature, and how far ahead of our clock it may be.
    tolerance_s: Annotated[int, Meta(ge=1, le=3600)] = 300


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one merchant. Raises ``ValueError`` if it cannot work.

    A secret is the merchant's APIv3 key; during a rotation, the old and the new one.
    """
    ciphers = apiv3.ciphers(account, may_be_base64=False)
    options = fields.options(account, Options)
    apiv3_resources.currency(account, options.currency)
    envelope = apiv3.Envelope(
        name="Wechatpay",
        signers=_signers(account, options),
        ciphers=ciphers,
        algorithms=_ALGORITHMS,
        tolerance_s=options.tolerance_s,
    )
    return WeChatPay(envelope, options)


PROVIDER = contract.Provider("WeChat Pay", adapter, apiv3.REPLIES, Options)


def _signers(account: contract.Account, options: Options) -> dict[str, apiv3.Signer]:
    signers = apiv3.from_certificates(account, options.certificates, whose=_WHOSE_CERTIFICATE)
    for each in options.public_keys:
        key = keys.public_key(account, each.pem, whose=_WHOSE_KEY)
        signers[apiv3.normalized_serial(each.id)] = apiv3.Signer(key)
    if not signers:
        raise fields.misconfigured(
            account, "has neither public_keys nor certificates: nothing could be verified"
        )
    return signers


class WeChatPay:
    """One merchant, or one service provider with its merchants."""

    def __init__(self, envelope: apiv3.Envelope, options: Options) -> None:
        self._envelope = envelope
        self._options = options
        self._terms = apiv3_resources.Terms(
            currency=options.currency, order_no_from=options.order_no_from
        )
        self._merchants = frozenset(options.sub_mchids or (options.mchid,))

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify, decrypt and decode one callback. Raises ``Rejected``."""
        if message.headers.get("Wechatpay-Signature", "").startswith(_PROBE):
            raise errors.Rejected("probe", "WeChat Pay tests whether signatures are verified")
        # Not signed itself, so only the pinned value is accepted; it may be absent.
        if message.headers.get("Wechatpay-Signature-Type", _SIGNATURE_TYPE) != _SIGNATURE_TYPE:
            raise errors.Rejected("unsupported", f"the signature is not {_SIGNATURE_TYPE}")
        return self._reading(self._envelope.opened(message))

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decrypt and decode a callback that was verified when it arrived. Raises ``Rejected``."""
        return self._reading(self._envelope.opened_again(kept))

    def _reading(self, notice: apiv3.Notice) -> contract.Reading:
        # The merchant's own self test (POST /v3/security/echo); it names no merchant.
        if notice.kind.startswith("SECURITY_ECHO."):
            return contract.Reading([])
        parties = apiv3_resources.parties(notice)
        about = wechatpay_events.EVENT_TYPES.get(notice.kind)
        self._check_ours(parties, must_be_named=about in wechatpay_events.MONEY)
        return contract.Reading(
            wechatpay_events.items(notice, parties, terms=self._terms, merchants=self._merchants)
        )

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; WeChat Pay checks the status only."""
        return apiv3.REPLIES[answer]

    def _check_ours(self, parties: apiv3_resources.Parties, *, must_be_named: bool) -> None:
        options = self._options
        named = {parties.mchid, parties.combine_mchid, parties.sp_mchid} - {None}
        if not named:
            # Other products may name no merchant; our APIv3 key decrypts it, so it is ours.
            if must_be_named:
                raise errors.Rejected("not_ours", "names no merchant")
            return
        if named != {options.mchid}:
            raise errors.Rejected("not_ours", "another merchant; see the option mchid")
        if parties.sub_mchid is None:
            if options.sub_mchids and must_be_named and parties.combine_mchid is None:
                raise errors.Rejected("not_ours", "a payment of our own; see the option sub_mchids")
        elif parties.sub_mchid not in options.sub_mchids:
            raise errors.Rejected(
                "not_ours", "a merchant that is not ours; see the option sub_mchids"
            )
        named_app = parties.appid or parties.sp_appid or parties.combine_appid
        apiv3_resources.check_app(named_app, options.appids)
