"""Stripe: signed snapshot events.

Protocol: https://docs.stripe.com/webhooks

- ``Stripe-Signature: t=<unix s>,v1=<hex>[,v1=<hex>][,v0=<hex>]`` over ``t`` + ``.`` + raw body,
  HMAC-SHA256. The key is the whole secret as text, ``whsec_`` included; it is not decoded.
- ``v0`` belongs to test mode and is ignored. There are several ``v1`` while a secret is rolled.
- Stripe's own libraries reject only old signatures; one from the future is rejected here too.
- Retries are signed again, carry the same event id, and arrive in any order.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors, events
from gateway.providers import contract, stripe_money_back, stripe_payments, stripe_snapshot
from gateway.providers.shared import fields
from gateway.providers.stripe_snapshot import Occurred, Reader

_PREFIX = "whsec_"
_SECRET_CHARACTERS_MIN = 16

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
    object: str
    livemode: bool
    # A thin event has its time as text.
    created: Any = None
    id: Any = None
    type: Any = None
    account: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _WithId(Struct):
    id: object = None


class _Numbered(Struct):
    object: _WithId


_EVENT = msgspec.json.Decoder(_Event)
_DATA = msgspec.json.Decoder(_Data)
_NUMBERED = msgspec.json.Decoder(_Numbered)

#: What each type of event means. Others are recorded, unless their object moves money.
_READERS: Mapping[str, Reader] = {**stripe_payments.READERS, **stripe_money_back.READERS}
_OF_OBJECTS: Sequence[tuple[str, Reader]] = (
    ("payment_intent.", stripe_payments.open_intent),
    ("charge.dispute.", stripe_money_back.dispute),
    ("charge.refund.", stripe_money_back.refund),
    ("refund.", stripe_money_back.refund),
)


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one webhook endpoint. Raises ``ValueError`` if it cannot work."""
    return Stripe(_keys(account), fields.options(account, Options))


PROVIDER = contract.Provider("Stripe", adapter, _REPLIES, Options)


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
        return self._reading(message.body, signed)

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        return self._reading(kept.body, int(kept.received_at.timestamp()))

    @property
    def is_test(self) -> bool:
        """Whether the account is one of the test environment."""
        return not self._options.livemode

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; Stripe checks the status only."""
        return _REPLIES[answer]

    def _reading(self, body: bytes, signed: int) -> contract.Reading:
        event = fields.decoded(_EVENT, body)
        self._check_ours(event)
        told = self._event(event, signed)
        return contract.Reading([contract.Item(fields.key(_key(event, told), body), told)])

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
        kind = fields.kind(fields.text(event.type))
        try:
            at = fields.from_unix(event.created if type(event.created) is int else signed)
        except errors.Rejected:
            at = fields.from_unix(signed)
        try:
            snapshot = fields.decoded(_DATA, event.data).object
        except errors.Rejected:
            return events.Unmapped(kind, "", "the event has no snapshot", at)
        occurred = Occurred(kind, snapshot, at, self._options.order_no_key)
        reader = _reader(kind)
        return fields.event_or_unmapped(lambda: reader(occurred), kind=kind, at=at)


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


def _reader(kind: str) -> Reader:
    if reader := _READERS.get(kind):
        return reader
    return next((of for prefix, of in _OF_OBJECTS if kind.startswith(prefix)), Occurred.noted)


def _key(event: _Event, told: events.Event) -> str:
    """Return what identifies a repeat: what is told in several events has one key in all of them.

    A refund fails once, in up to three events. An invoice is paid once, in two.
    """
    if isinstance(told, events.RefundFailed):
        return f"{told.refund_no}:failed"
    is_invoice = isinstance(told, events.Unmapped) and told.kind in stripe_payments.INVOICE_PAID
    if is_invoice and (number := _number(event.data)):
        return f"{number}:paid"
    return fields.text(event.id)


def _number(data: msgspec.Raw) -> str:
    try:
        return stripe_snapshot.number(fields.decoded(_NUMBERED, data).object.id)
    except errors.Rejected:
        return ""
