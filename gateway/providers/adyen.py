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
  the time of the event; ``paymentMethod`` counts only where an account lists some itself.
- No send time is signed and retries last 30 days: a repeat is recognised by its key.
- Adyen delivers in sequence and a rejected message blocks the queue. A genuine message that
  cannot be booked is therefore parked, not rejected.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors
from gateway.providers import adyen_events, adyen_items, contract
from gateway.providers.adyen_items import Item
from gateway.providers.shared import fields

_KEY = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b"[accepted]"),
    "later": contract.Reply(503, b"[later]"),
    "rejected": contract.Reply(400, b"[refused]"),
}


_Method = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of an Adyen account."""

    #: Our merchant account, as in ``merchantAccountCode``; it cannot contain a ``:``.
    merchant_account: Annotated[str, Meta(pattern=r"\A[!-9;-~]{1,80}\Z")]
    #: Accept messages of the live environment, or of the test environment; never both.
    live: bool = True
    #: Who captures payments: Adyen (an authorisation counts as paid then), the merchant by one
    #: request for each payment, or by several (only captures count then).
    capture: adyen_items.Capture = "automatic"
    #: Payment methods, as in ``paymentMethod``, that Adyen captures at once, whatever ``capture``
    #: says: no message tells of their capture.
    captured_at_once: Annotated[list[_Method], Meta(max_length=100)] = []


_BODY = msgspec.json.Decoder(adyen_items.Body)


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


PROVIDER = contract.Provider("Adyen", adapter, _REPLIES, Options)


class Adyen:
    """One standard webhook of one merchant account."""

    def __init__(self, keys: Sequence[bytes], options: Options) -> None:
        self._keys = keys
        self._options = options

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode all items of a message. Raises ``Rejected``."""
        body = _decoded(message)
        for wrapped in body.notification_items:
            self._check_signature(wrapped.item)
        return self._reading(body, message.now)

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        return self._reading(fields.decoded(_BODY, kept.body), kept.received_at)

    def _reading(self, body: adyen_items.Body, now: datetime) -> contract.Reading:
        items = [wrapped.item for wrapped in body.notification_items]
        self._check_ours(body.live, items)
        for item in items:
            _check_unambiguous(item)
        notifications = [
            adyen_items.Notification(item, now, self._capture_of(item)) for item in _once(items)
        ]
        return contract.Reading(
            [contract.Item(one.key, adyen_events.event(one)) for one in notifications]
        )

    @property
    def is_test(self) -> bool:
        """Whether the account is one of the test environment."""
        return not self._options.live

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return ``[accepted]``, which old and new webhooks require, or an error status."""
        return _REPLIES[answer]

    def _capture_of(self, item: Item) -> adyen_items.Capture:
        """Return who captures the payment that an item is about."""
        is_at_once = item.payment_method in self._options.captured_at_once
        return "automatic" if is_at_once else self._options.capture

    def _check_signature(self, item: Item) -> None:
        signature = item.additional_data and item.additional_data.hmacSignature
        if not signature:
            raise errors.Rejected(
                "missing_signature",
                "an item without hmacSignature: generate an HMAC key for this webhook",
            )
        text = item.signed_text().encode()
        for key in self._keys:
            expected = base64.b64encode(hmac.digest(key, text, "sha256"))
            if hmac.compare_digest(expected, signature.encode()):
                return
        raise errors.Rejected(
            "bad_signature",
            "signed with another HMAC key (each webhook, and test and live, has its own; a new "
            "one takes effect after a while), or a signed value was changed on the way",
        )

    def _check_ours(self, live: str, items: Sequence[Item]) -> None:
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


def _decoded(message: contract.Message) -> adyen_items.Body:
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


def _check_unambiguous(item: Item) -> None:
    """Raise ``Rejected`` if the text could be that of an item with other values.

    Of items that book nothing, as reports, only the event code matters.

    The merchant account is the configured one. As these four values contain no colon either, the
    first three values and the last four have fixed positions, and the rest is merchantReference.
    """
    values = [item.event_code]
    if item.event_code in adyen_events.READERS:
        currency = item.amount and item.amount.currency
        values += [item.psp_reference, item.original_reference or "", currency or ""]
    if any(":" in value for value in values):
        raise fields.malformed("a value holds a ':', so what was signed is unclear")


def _once(items: Sequence[Item]) -> list[Item]:
    """Remove duplicates. Raises ``Rejected`` if two items with one key have different content."""
    found: dict[tuple[str, str, str], Item] = {}
    for item in items:
        known = found.setdefault((item.psp_reference, item.event_code, item.success), item)
        if known.signed_text() != item.signed_text():
            raise fields.malformed("two items of one message have the same key")
    return list(found.values())
