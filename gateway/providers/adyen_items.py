"""One item of an Adyen message: its shape, what is signed of it, and its amount."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors, events, money
from gateway.providers.shared import fields

#: When an account's payments are captured: by Adyen itself, at once or after a delay; by a request
#: of the merchant, once; by several such requests.
Capture = Literal["automatic", "manual", "several"]

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


class Amount(Struct):
    """An amount in minor units."""

    # Bounded: Python refuses to format very long integers.
    value: Annotated[int, Meta(ge=-(10**15), le=10**15)] | None = None
    currency: str | None = None


class Additional(Struct):
    """What is not signed, but for the signature itself: it informs, and decides nothing."""

    hmacSignature: str | None = None  # noqa: N815 -- Adyen's name
    defensePeriodEndsAt: object = None  # noqa: N815
    chargebackReasonCode: object = None  # noqa: N815
    rfiReasonCode: object = None  # noqa: N815


class Item(Struct, rename="camel"):
    """An item as it is sent."""

    psp_reference: str
    event_code: str
    success: Literal["true", "false"]
    merchant_account_code: str | None = None
    original_reference: str | None = None
    merchant_reference: str | None = None
    amount: Amount | None = None
    additional_data: Additional | None = None
    event_date: object = None
    payment_method: object = None
    reason: object = None

    def signed_text(self) -> str:
        """Return the text that the signature is of."""
        amount = self.amount or Amount()
        return ":".join(
            (
                self.psp_reference,
                self.original_reference or "",
                self.merchant_account_code or "",
                self.merchant_reference or "",
                "" if amount.value is None else str(amount.value),
                amount.currency or "",
                self.event_code,
                self.success,
            )
        )


class _Wrapped(Struct):
    item: Item = msgspec.field(name="NotificationRequestItem")


class Body(Struct, rename="camel"):
    """A whole message."""

    live: Literal["true", "false"]
    notification_items: Annotated[list[_Wrapped], Meta(min_length=1, max_length=_ITEMS_MAX)]


class Notification:
    """One verified item."""

    def __init__(self, item: Item, now: datetime, capture: Capture) -> None:
        self.item = item
        self.capture = capture
        self.code = fields.kind(item.event_code[:_EVENT_CODE_MAX])
        self.is_success = item.success == "true"
        self.kind = self.code if self.is_success else f"{self.code}:false"
        self.key = f"{_reference(item)}:{self.code}:{item.success}"
        if self.is_recaptured:
            # It may have the number of the capture that failed, and is no repeat of it.
            self.key += ":again"
        self.at = _when(item.event_date, now)

    @property
    def is_recaptured(self) -> bool:
        """Whether a capture succeeded after all: ``Transaction Recaptured``, at times ``Auto-``."""
        reason = self.item.reason
        return self.code == "CAPTURE" and isinstance(reason, str) and "recaptured" in reason.lower()

    @property
    def reference(self) -> str:
        """Return its own number: of a payment, a capture, a refund, a dispute. May reject."""
        return fields.token(self.item.psp_reference, "pspReference", _PSP_REFERENCE_MAX)

    @property
    def payment(self) -> str:
        """Return the number of the payment that it is about. Raises ``Rejected`` if none is named.

        It is that of the authorisation: captures have numbers of their own.
        """
        if not self.item.original_reference:
            raise fields.malformed("names no payment")
        return fields.transaction_id(self.item.original_reference)

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

    def noted(self, ending: str = "") -> events.Noted:
        """Record it without an effect."""
        return events.Noted(self.kind + ending, self.at)

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

    def money_back(self) -> tuple[Decimal, str]:
        """Return what went back, which must not be zero. Raises ``Rejected``."""
        amount, currency = self.money()
        return fields.refund_amount(amount, currency), currency


def _reference(item: Item) -> str:
    """Return what identifies an item: its pspReference, or a digest where that is no number.

    That of a report is the name of its file, of any length.
    """
    if fields.is_token(item.psp_reference, _PSP_REFERENCE_MAX):
        return item.psp_reference
    return hashlib.blake2b(item.signed_text().encode(), digest_size=16).hexdigest()


def _when(found: object, now: datetime) -> datetime:
    at = fields.moment_or(found, now)
    return at if now - _OLDEST <= at <= now + _NEWEST else now
