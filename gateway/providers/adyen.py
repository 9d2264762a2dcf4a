"""Adyen: the standard webhook of payments, as JSON.

Protocol: https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures
and https://docs.adyen.com/development-resources/currency-codes

- A message holds one or more items; each has its own signature, and each is verified. One invalid
  item rejects the message: Adyen sends it again as a whole.
- Signed are eight values joined by ``:``, HMAC-SHA256, base64; the key is the decoded hex. Nothing
  is escaped, so a value with a ``:`` could be read as two. Only ``merchantReference`` may contain
  one: the other values are checked for it, so the signed text has one reading.
- Not signed are ``live``, ``eventDate``, ``additionalData``, ``reason``, ``paymentMethod``.
  ``live`` can only cause a rejection (test and live have different keys); ``eventDate`` is only
  the time of the event.
- No send time is signed and retries last 30 days: a repeat is recognised by its key.
- Adyen delivers in sequence and a rejected message blocks the queue. A genuine message that
  cannot be booked is therefore parked, not rejected.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors, events, money
from gateway.providers import contract
from gateway.providers.shared import fields

_KEY = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_ITEMS_MAX = 100
_PSP_REFERENCE_MAX = 64
_EVENT_CODE_MAX = 48

#: Decimals of Adyen's minor units: those of ISO 4217, with four exceptions that Adyen documents.
#: BIF is missing in Adyen's table, and Adyen's .NET library uses two decimals where ISO has none:
#: such an amount is parked.
DECIMALS: Mapping[str, int] = {
    **{code: digits for code, digits in money.DECIMALS.items() if code != "BIF"},
    "CLP": 2,
    "CVE": 0,
    "IDR": 0,
    "ISK": 2,
}

# eventDate is not signed: an implausible time is replaced by ours. Retries end after 30 days.
_OLDEST = timedelta(days=60)
_NEWEST = timedelta(days=1)

#: Known events without effect on an order. Event codes that are listed nowhere are parked.
_HARMLESS = frozenset({"OFFER_CLOSED", "RECURRING_CONTRACT", "REPORT_AVAILABLE"})

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b"[accepted]"),
    "later": contract.Reply(503, b"[later]"),
    "rejected": contract.Reply(400, b"[refused]"),
}


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of an Adyen account."""

    #: Our merchant account, as in ``merchantAccountCode``; it cannot contain a ``:``.
    merchant_account: Annotated[str, Meta(pattern=r"\A[!-9;-~]{1,80}\Z")]
    #: Accept messages of the live environment, or of the test environment; never both.
    live: bool = True


class _Amount(Struct):
    # Bounded: Python refuses to format very long integers.
    value: Annotated[int, Meta(ge=-(10**15), le=10**15)] | None = None
    currency: str | None = None


class _Additional(Struct):
    hmacSignature: str | None = None  # noqa: N815 -- Adyen's name


class _Item(Struct, rename="camel"):
    psp_reference: str
    event_code: str
    success: Literal["true", "false"]
    merchant_account_code: str | None = None
    original_reference: str | None = None
    merchant_reference: str | None = None
    amount: _Amount | None = None
    additional_data: _Additional | None = None
    event_date: msgspec.Raw = msgspec.Raw()


class _Wrapped(Struct):
    item: _Item = msgspec.field(name="NotificationRequestItem")


class _Body(Struct, rename="camel"):
    live: Literal["true", "false"]
    notification_items: Annotated[list[_Wrapped], Meta(min_length=1, max_length=_ITEMS_MAX)]


_BODY = msgspec.json.Decoder(_Body)


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one webhook. Raises ``ValueError`` if it cannot work."""
    keys = []
    for secret in fields.secrets(account):
        if not _KEY.fullmatch(secret):
            raise fields.misconfigured(
                account,
                "has a secret that is not an HMAC key: copy the 64 hex characters that the "
                "Customer Area shows when it generates the key of this webhook",
            )
        keys.append(bytes.fromhex(secret))
    return Adyen(keys, fields.options(account, Options))


PROVIDER = contract.Provider("Adyen", adapter, _REPLIES)


class Adyen:
    """One standard webhook of one merchant account."""

    def __init__(self, keys: Sequence[bytes], options: Options) -> None:
        self._keys = keys
        self._options = options

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode all items of a message. Raises ``Rejected``."""
        body = _decoded(message)
        items = [wrapped.item for wrapped in body.notification_items]
        for item in items:
            self._check_signature(item)
        self._check_ours(body.live, items)
        for item in items:
            _check_unambiguous(item)
        notifications = [_Notification(item, message.now) for item in _once(items)]
        return contract.Reading([contract.Item(one.key, _event(one)) for one in notifications])

    @property
    def is_test(self) -> bool:
        """Whether the account is one of the test environment."""
        return not self._options.live

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return ``[accepted]``, which old and new webhooks require, or an error status."""
        return _REPLIES[answer]

    def _check_signature(self, item: _Item) -> None:
        signature = item.additional_data and item.additional_data.hmacSignature
        if not signature:
            raise errors.Rejected(
                "missing_signature",
                "an item without hmacSignature: generate an HMAC key for this webhook",
            )
        text = _signed_text(item).encode()
        for key in self._keys:
            expected = base64.b64encode(hmac.digest(key, text, "sha256"))
            if hmac.compare_digest(expected, signature.encode()):
                return
        raise errors.Rejected(
            "bad_signature",
            "signed with another HMAC key (each webhook, and test and live, has its own; a new "
            "one takes effect after a while), or a signed value was changed on the way",
        )

    def _check_ours(self, live: str, items: Sequence[_Item]) -> None:
        if live != ("true" if self._options.live else "false"):
            environment = "live" if live == "true" else "test"
            raise errors.Rejected(
                "not_ours", f"a message of the {environment} environment; see the option live"
            )
        for item in items:
            if item.merchant_account_code != self._options.merchant_account:
                raise errors.Rejected(
                    "not_ours", "of another merchant account; see the option merchant_account"
                )


class _Notification:
    """One verified item."""

    def __init__(self, item: _Item, now: datetime) -> None:
        self.item = item
        self.code = fields.kind(item.event_code[:_EVENT_CODE_MAX])
        self.is_success = item.success == "true"
        self.kind = self.code if self.is_success else f"{self.code}:false"
        self.key = f"{_reference(item)}:{self.code}:{item.success}"
        self.at = _when(item.event_date, now)

    def unmapped(self, detail: str) -> events.Unmapped:
        """Park it, with the numbers that identify it at Adyen and here."""
        item, order_no = self.item, ""
        try:
            if item.original_reference:
                # merchantReference may then be that of the modification, not an order number.
                detail += f"; payment {fields.transaction_id(item.original_reference)}"
            else:
                order_no = fields.order_no(item.merchant_reference or "")
        except errors.Rejected:
            pass
        return events.Unmapped(self.kind, order_no, detail, self.at)

    def noted(self) -> events.Noted:
        """Record it without an effect."""
        return events.Noted(self.kind, self.at)

    def money(self) -> tuple[Decimal, str]:
        """Return the amount in major units and its currency. Raises ``Rejected`` if it has none."""
        amount = self.item.amount
        if amount is None or amount.value is None or amount.currency is None:
            raise fields.malformed("names no amount")
        code = amount.currency
        if code not in DECIMALS:
            raise fields.malformed("in a currency of which Adyen's minor unit is not known")
        if amount.value < 0:
            raise fields.malformed("the amount is negative")
        return fields.amount(Decimal(amount.value).scaleb(-DECIMALS[code]), code), code


def _decoded(message: contract.Message) -> _Body:
    if message.headers.get("HmacSignature"):
        raise errors.Rejected(
            "unsupported",
            "a webhook of Adyen's platforms or banking, signed in a header: only the standard "
            "webhook of payments is accepted",
        )
    if not message.body.lstrip().startswith(b"{"):
        raise errors.Rejected(
            "unsupported", "not a JSON object: choose JSON as the method of this webhook"
        )
    return fields.decoded(_BODY, message.body)


def _signed_text(item: _Item) -> str:
    amount = item.amount or _Amount()
    return ":".join(
        (
            item.psp_reference,
            item.original_reference or "",
            item.merchant_account_code or "",
            item.merchant_reference or "",
            "" if amount.value is None else str(amount.value),
            amount.currency or "",
            item.event_code,
            item.success,
        )
    )


def _reference(item: _Item) -> str:
    """Return what identifies an item: its pspReference, or a digest where that is no number.

    That of a report is the name of its file, of any length.
    """
    try:
        return fields.token(item.psp_reference, "pspReference", _PSP_REFERENCE_MAX)
    except errors.Rejected:
        return hashlib.blake2b(_signed_text(item).encode(), digest_size=16).hexdigest()


def _check_unambiguous(item: _Item) -> None:
    """Raise ``Rejected`` if the text could be that of an item with other values.

    Not of items that are only noted, as reports: they move no money.

    The merchant account is the configured one. As these four values contain no colon either, the
    first three values and the last four have fixed positions, and the rest is merchantReference.
    """
    if item.event_code in _HARMLESS:
        return
    currency = item.amount and item.amount.currency
    for value in (item.psp_reference, item.original_reference, currency, item.event_code):
        if ":" in (value or ""):
            raise fields.malformed("a value holds a ':', so what was signed is unclear")


def _once(items: Sequence[_Item]) -> list[_Item]:
    """Remove duplicates. Raises ``Rejected`` if two items with one key have different content."""
    found: dict[tuple[str, str, str], _Item] = {}
    for item in items:
        known = found.setdefault((item.psp_reference, item.event_code, item.success), item)
        if _signed_text(known) != _signed_text(item):
            raise fields.malformed("two items of one message have the same key")
    return list(found.values())


def _when(raw: msgspec.Raw, now: datetime) -> datetime:
    try:
        at = fields.moment(datetime.fromisoformat(msgspec.json.decode(bytes(raw), type=str)))
    except (ValueError, msgspec.MsgspecError, errors.Rejected):
        return now
    return at if now - _OLDEST <= at <= now + _NEWEST else now


def _event(notification: _Notification) -> events.Event:
    if notification.code in _HARMLESS:
        return notification.noted()
    reader = _READERS.get(notification.code)
    if reader is None:
        return notification.unmapped("not something that can be booked: look it up at Adyen")
    try:
        return reader(notification)
    except errors.Rejected as rejected:
        return notification.unmapped(rejected.hint)


def _authorised(notification: _Notification) -> events.Event:
    if not notification.is_success:
        # The payment was declined; the buyer may try again.
        return notification.noted()
    amount, currency = notification.money()
    if not amount:
        # The card was verified to be stored; no money moved.
        return events.Noted(f"{notification.code}:zero", notification.at)
    return events.PaymentSucceeded(
        transaction_id=fields.transaction_id(notification.item.psp_reference),
        # A payment counts even without an order number.
        order_no=fields.merchant_order_no(notification.item.merchant_reference),
        amount=amount,
        currency=currency,
        occurred_at=notification.at,
    )


def _captured(notification: _Notification) -> events.Event:
    if notification.is_success:
        return notification.noted()
    return notification.unmapped(
        "the capture of a payment failed: the money will not come by itself"
    )


def _cancelled(notification: _Notification) -> events.Event:
    if not notification.is_success:
        return notification.noted()
    return notification.unmapped("the authorisation was cancelled")


def _refunded(notification: _Notification) -> events.Event:
    if not notification.is_success:
        return notification.unmapped(
            "the refund was declined: the buyer has not received the money"
        )
    if not notification.item.original_reference:
        return notification.unmapped("a refund that does not name its payment")
    amount, currency = notification.money()
    return events.RefundSucceeded(
        transaction_id=fields.transaction_id(notification.item.original_reference),
        # merchantReference is the reference of the refund: the payment names the order.
        order_no="",
        refund_no=fields.token(notification.item.psp_reference, "pspReference", _PSP_REFERENCE_MAX),
        amount=fields.refund_amount(amount, currency),
        cumulative=False,
        currency=currency,
        occurred_at=notification.at,
    )


_READERS: dict[str, Callable[[_Notification], events.Event]] = {
    "AUTHORISATION": _authorised,
    "CANCELLATION": _cancelled,
    "CAPTURE": _captured,
    "REFUND": _refunded,
}
