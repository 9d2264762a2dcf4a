"""Stripe: signed snapshot events.

Protocol: https://docs.stripe.com/webhooks and https://docs.stripe.com/currencies

- ``Stripe-Signature: t=<unix s>,v1=<hex>[,v1=<hex>][,v0=<hex>]`` over ``t`` + ``.`` + raw body,
  HMAC-SHA256. The key is the whole secret as text, ``whsec_`` included; it is not decoded.
- ``v0`` belongs to test mode and is ignored. There are several ``v1`` while a secret is rolled.
- Stripe's own libraries reject only old signatures; one from the future is rejected here too.
- Retries are signed again, carry the same event id, and arrive in any order.
"""

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors, events, money
from gateway.providers import contract
from gateway.providers.shared import fields

_PREFIX = "whsec_"
_SECRET_CHARACTERS_MIN = 16

# Where Stripe's smallest unit differs from ISO 4217: how many digits to append to Stripe's integer
# or, if negative, how many zeros to remove from its end.
# ISK, UGX: no decimals in ISO, but sent in hundredths that are always 00 (5 UGX is 500) for old
# integrations; the page's list of zero-decimal currencies includes UGX nevertheless.
# MGA: two decimals in ISO, none at Stripe. HUF and TWD are special for payouts only.
# BHD, JOD, KWD, OMR, TND have three decimals, the last of them always 0.
# Source: https://docs.stripe.com/currencies, "Zero-decimal currencies" and "Special cases".
_SHIFT = {"ISK": -2, "UGX": -2, "MGA": 2}
_MINOR_LIMIT = 10**15

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b'{"received":true}', "application/json"),
    "later": contract.Reply(503, b'{"received":false}', "application/json"),
    # Stripe treats any status but 2xx as a failure: shown in its dashboard and sent again.
    "rejected": contract.Reply(400, b'{"received":false}', "application/json"),
}


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a Stripe account."""

    #: Accept events of live mode, or of test mode; never both.
    livemode: bool = True
    #: The connected account of a Connect endpoint; without it, our own account.
    connect_account: Annotated[str, Meta(pattern=r"\Aacct_[0-9A-Za-z]{1,64}\Z")] | None = None
    #: The key of ``metadata`` that holds the shop's order number.
    order_no_key: Annotated[str, Meta(min_length=1, max_length=40)] = "order_no"
    #: Maximum age of a signature, and how far ahead of our clock it may be.
    tolerance_s: Annotated[int, Meta(ge=1, le=3600)] = 300


class _Data(Struct):
    object: msgspec.Raw


class _Event(Struct):
    id: str
    object: str
    type: str
    # A thin event has its time as text.
    created: int | str
    livemode: bool
    account: str | None = None
    data: _Data | None = None


class _Object(Struct):
    """The fields that the objects of all events share."""

    #: The merchant's own: whatever stands there, the money counts.
    metadata: object = None


class _Intent(_Object, kw_only=True):
    id: str
    amount_received: int
    currency: str


class _Session(_Object, kw_only=True):
    id: str
    payment_status: str
    payment_intent: str | None = None
    amount_total: int | None = None
    currency: str | None = None
    client_reference_id: object = None


class _Charge(_Object, kw_only=True):
    id: str
    payment_intent: str | None = None
    amount_refunded: int
    currency: str


_EVENT = msgspec.json.Decoder(_Event)
_OBJECT = msgspec.json.Decoder(_Object)
_INTENT = msgspec.json.Decoder(_Intent)
_SESSION = msgspec.json.Decoder(_Session)
_CHARGE = msgspec.json.Decoder(_Charge)


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one webhook endpoint. Raises ``ValueError`` if it cannot work."""
    return Stripe(_keys(account), fields.options(account, Options))


PROVIDER = contract.Provider("Stripe", adapter, _REPLIES)


def _keys(account: contract.Account) -> Sequence[bytes]:
    keys = []
    for secret in fields.secrets(account):
        if not fields.is_plain(secret) or not secret.startswith(_PREFIX):
            raise fields.misconfigured(
                account,
                "has a secret that is not an endpoint's signing secret: copy the text that "
                f"begins with {_PREFIX} from the webhook endpoint, not an API key",
            )
        if len(secret) < len(_PREFIX) + _SECRET_CHARACTERS_MIN:
            raise fields.misconfigured(account, "has a signing secret that is cut short")
        keys.append(secret.encode())
    return keys


class Stripe:
    """One webhook endpoint of one Stripe account, live or test."""

    def __init__(self, keys: Sequence[bytes], options: Options) -> None:
        self._keys = keys
        self._options = options

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one event. Raises ``Rejected``."""
        signed = self._check_signature(message)
        fields.check_fresh(signed, now=message.now, tolerance_s=self._options.tolerance_s)
        event = fields.decoded(_EVENT, message.body)
        self._check_ours(event)
        key = fields.key(event.id, message.body)
        return contract.Reading([contract.Item(key, self._event(event, signed))])

    @property
    def is_test(self) -> bool:
        """Whether the account is one of the test environment."""
        return not self._options.livemode

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; Stripe checks the status only."""
        return _REPLIES[answer]

    def _check_signature(self, message: contract.Message) -> int:
        stamp, signatures = _parts(message.headers.get("Stripe-Signature"))
        signed = fields.signed_at(stamp)
        text = b"%b.%b" % (stamp.encode(), message.body)
        for key in self._keys:
            expected = hmac.digest(key, text, "sha256").hex()
            if any(hmac.compare_digest(expected, signature) for signature in signatures):
                return signed
        raise errors.Rejected(
            "bad_signature",
            "signed with another secret (each endpoint, and test and live mode, has its own), "
            "or the body was parsed and written again on the way",
        )

    def _check_ours(self, event: _Event) -> None:
        if event.object != "event":
            # A thin event has no content. Acknowledging it would lose the event; a rejection shows
            # the wrong configuration in Stripe's dashboard.
            raise errors.Rejected(
                "unsupported",
                "not a snapshot event: send thin events (v2.core.event) to another endpoint",
            )
        if event.livemode is not self._options.livemode:
            mode = "live" if event.livemode else "test"
            raise errors.Rejected("not_ours", f"a {mode} mode event; see the option livemode")
        # Without this check, the owner of a connected account could pay themselves under one of
        # our order numbers.
        if event.account != self._options.connect_account:
            raise errors.Rejected(
                "not_ours", "an event of another account; see the option connect_account"
            )

    def _event(self, event: _Event, signed: int) -> events.Event:
        kind = fields.kind(event.type)
        try:
            at = fields.from_unix(event.created if isinstance(event.created, int) else signed)
        except errors.Rejected:
            at = fields.from_unix(signed)
        if event.data is None:
            return events.Unmapped(kind, "", "the event has no snapshot", at)
        occurred = _Occurred(kind, event.data.object, at, self._options.order_no_key)
        reader = _READERS.get(kind, _noted)
        return fields.event_or_unmapped(lambda: reader(occurred), kind=kind, at=at)


class _Occurred(Struct, frozen=True):
    """One verified event, its snapshot not yet decoded."""

    kind: str
    snapshot: msgspec.Raw
    at: datetime
    order_no_key: str

    def order_no(self, snapshot: _Object, otherwise: object = None) -> str:
        """Return the shop's order number, or ``""``: a payment counts without it."""
        metadata = snapshot.metadata if isinstance(snapshot.metadata, dict) else {}
        return fields.merchant_order_no(metadata.get(self.order_no_key) or otherwise)


def _parts(header: str | None) -> tuple[str, list[str]]:
    """Split the header into its timestamp and its ``v1`` signatures. Raises ``Rejected``."""
    if not header:
        raise errors.Rejected("missing_signature", "no Stripe-Signature header")
    if not header.isascii():
        raise errors.Rejected("bad_signature", "the Stripe-Signature header is not ASCII")
    stamps, signatures = [], []
    for piece in header.split(","):
        scheme, _, value = piece.partition("=")
        if scheme == "v1":
            signatures.append(value)
        elif scheme == "t":
            stamps.append(value)
    if not signatures:
        raise errors.Rejected("missing_signature", "no v1 in Stripe-Signature; v0 is not accepted")
    if len(stamps) != 1:
        raise errors.Rejected("missing_signature", "not exactly one t in Stripe-Signature")
    return stamps[0], signatures


def _noted(occurred: _Occurred) -> events.Event:
    return events.Noted(occurred.kind, occurred.at)


def _intent_succeeded(occurred: _Occurred) -> events.Event:
    intent = fields.decoded(_INTENT, occurred.snapshot)
    amount, currency = _money(intent.amount_received, intent.currency)
    return events.PaymentSucceeded(
        transaction_id=fields.transaction_id(intent.id),
        order_no=occurred.order_no(intent),
        amount=amount,
        currency=currency,
        occurred_at=occurred.at,
    )


def _session_completed(occurred: _Occurred) -> events.Event:
    session = fields.decoded(_SESSION, occurred.snapshot)
    # Completed is not paid: a delayed method reports it later as async_payment_succeeded.
    if session.payment_status != "paid":
        return _noted(occurred)
    if session.amount_total is None or session.currency is None:
        raise fields.malformed("a paid checkout session without amount or currency")
    amount, currency = _money(session.amount_total, session.currency)
    return events.PaymentSucceeded(
        # The intent's own event reports the same money under the same number.
        transaction_id=fields.transaction_id(session.payment_intent or session.id),
        order_no=occurred.order_no(session, session.client_reference_id),
        amount=amount,
        currency=currency,
        occurred_at=occurred.at,
    )


def _charge_refunded(occurred: _Occurred) -> events.Event:
    charge = fields.decoded(_CHARGE, occurred.snapshot)
    amount, currency = _money(charge.amount_refunded, charge.currency)
    return events.RefundSucceeded(
        transaction_id=fields.transaction_id(charge.payment_intent or charge.id),
        order_no=occurred.order_no(charge),
        refund_no="",
        amount=fields.refund_amount(amount, currency),
        cumulative=True,
        currency=currency,
        occurred_at=occurred.at,
    )


def _intent_cancelled(occurred: _Occurred) -> events.Event:
    order_no = occurred.order_no(fields.decoded(_OBJECT, occurred.snapshot))
    # No money moved: without an order number there is nothing to close.
    if not order_no:
        return _noted(occurred)
    return events.Closed(order_no, "cancelled", occurred.at)


def _money(minor: int, code: str) -> tuple[Decimal, str]:
    """Convert Stripe's integer and lower-case code to major units and the ISO code."""
    currency = fields.currency(code.upper())
    if not 0 <= minor < _MINOR_LIMIT:
        raise fields.malformed("the amount is negative or too large")
    shift = _SHIFT.get(currency, 0)
    if shift < 0:
        minor, rest = divmod(minor, 10**-shift)
        if rest:
            raise fields.malformed(f"the amount has a fraction, which {currency} does not allow")
    else:
        minor *= 10**shift
    return fields.amount(money.from_minor(minor, currency), currency), currency


_READERS: dict[str, Callable[[_Occurred], events.Event]] = {
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.canceled": _intent_cancelled,
    "checkout.session.completed": _session_completed,
    "checkout.session.async_payment_succeeded": _session_completed,
    "charge.refunded": _charge_refunded,
}
