"""Adyen: the standard webhook of payments, as JSON.

Protocol: https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures
and https://docs.adyen.com/development-resources/currency-codes

- A message holds one item or more; each carries its own signature, and each is verified. One bad
  item refuses the message: Adyen sends it again as a whole.
- Signed are eight values joined by ``:``, HMAC-SHA256, base64; the key is the decoded hex. Nothing
  is escaped, so a value that holds a ``:`` could be read as two. Only ``merchantReference`` may
  hold one: all its neighbours are known not to, which leaves one way to read the text.
- Not signed are ``live``, ``eventDate``, ``additionalData``, ``reason``, ``paymentMethod``.
  ``live`` can only refuse (keys of test and live differ), ``eventDate`` only says when.
- No send time is signed and retries last 30 days: a repeat is recognised by its key.
- The queue of an endpoint is in order and a refused message blocks it. What is truly Adyen's and
  can not be booked is therefore parked, not refused.
"""

import base64
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

#: Digits behind the point of Adyen's minor units: ISO 4217's but for four, which Adyen's page
#: names. BIF is missing in Adyen's table, and Adyen's own .NET library gives it two where ISO
#: gives none: such an amount is parked.
DECIMALS: Mapping[str, int] = {
    **{code: digits for code, digits in money.DECIMALS.items() if code != "BIF"},
    "CLP": 2,
    "CVE": 0,
    "IDR": 0,
    "ISK": 2,
}

# eventDate is not signed: a time that can not be is replaced by ours. Retries end after 30 days.
_OLDEST = timedelta(days=60)
_NEWEST = timedelta(days=1)

#: Known, and nothing that changes what was booked. Whatever is listed nowhere is parked.
_HARMLESS = frozenset({"OFFER_CLOSED", "RECURRING_CONTRACT", "REPORT_AVAILABLE"})

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b"[accepted]"),
    "later": contract.Reply(503, b"[later]"),
    "refused": contract.Reply(400, b"[refused]"),
}


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What an account of Adyen can set."""

    #: Whose payments are ours, as ``merchantAccountCode`` names it; it can not hold a ``:``.
    merchant_account: Annotated[str, Meta(pattern=r"\A[!-9;-~]{1,80}\Z")]
    #: Take the messages of the live environment, or those of the test environment; never both.
    live: bool = True


class _Amount(Struct):
    # Bounded: a longer integer could not be written out again.
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
    """Make the adapter of one webhook. Raises ``ValueError`` if it can not work."""
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

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return ``[accepted]``, which satisfies set-ups old and new, or an error status."""
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
    """One verified item. Raises ``Rejected`` if nothing can tell it from another."""

    def __init__(self, item: _Item, now: datetime) -> None:
        self.item = item
        self.code = fields.token(item.event_code, "eventCode", _EVENT_CODE_MAX)
        self.is_success = item.success == "true"
        self.kind = self.code if self.is_success else f"{self.code}:false"
        psp_reference = fields.token(item.psp_reference, "pspReference", _PSP_REFERENCE_MAX)
        self.key = f"{psp_reference}:{self.code}:{item.success}"
        self.at = _when(item.event_date, now)

    def unmapped(self, detail: str) -> events.Unmapped:
        """Park it, with what helps to find it at Adyen and here."""
        item, order_no = self.item, ""
        try:
            if item.original_reference:
                # merchantReference may then be the modification's own: it names no order.
                detail += f"; payment {fields.transaction_id(item.original_reference)}"
            else:
                order_no = fields.order_no(item.merchant_reference or "")
        except errors.Rejected:
            pass
        return events.Unmapped(self.kind, order_no, detail, self.at)

    def noted(self) -> events.Noted:
        """Record it without effect."""
        return events.Noted(self.kind, self.at)

    def money(self) -> tuple[Decimal, str]:
        """Return the amount in major units. Raises ``Rejected`` if there is none."""
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
            "webhook of payments can be taken",
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


def _check_unambiguous(item: _Item) -> None:
    """Raise ``Rejected`` if the text could be that of an item with other values.

    The merchant account is the configured one. With these four free of colons as well, the first
    three values and the last four are where they seem, and the rest is merchantReference.
    """
    currency = item.amount and item.amount.currency
    for value in (item.psp_reference, item.original_reference, currency, item.event_code):
        if ":" in (value or ""):
            raise fields.malformed("a value holds a ':', so what was signed is unclear")


def _once(items: Sequence[_Item]) -> list[_Item]:
    """Drop what stands there twice. Raises ``Rejected`` if one key tells two things."""
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
        # The payment was refused; the buyer may try again.
        return notification.noted()
    amount, currency = notification.money()
    if not amount:
        # A check of the card, made to keep it on file: nobody paid.
        return events.Noted(f"{notification.code}:zero", notification.at)
    reference = notification.item.merchant_reference or ""
    try:
        # Money is real without the number of an order.
        order_no = fields.order_no(reference) if reference else ""
    except errors.Rejected:
        return notification.unmapped("paid, but merchantReference is no order number")
    return events.PaymentSucceeded(
        transaction_id=notification.item.psp_reference,
        order_no=order_no,
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
            "the refund was rejected: the buyer has not got the money back"
        )
    if not notification.item.original_reference:
        return notification.unmapped("a refund that does not say of which payment")
    amount, currency = notification.money()
    return events.RefundSucceeded(
        transaction_id=fields.transaction_id(notification.item.original_reference),
        # merchantReference is the refund's own reference: the payment names the order.
        order_no="",
        refund_no=notification.item.psp_reference,
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
