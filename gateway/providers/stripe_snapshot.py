"""What the readers of Stripe's snapshots share: numbers, references and amounts."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

import msgspec
from msgspec import Struct

from gateway.domain import events, money
from gateway.providers.shared import fields

# Where Stripe's smallest unit differs from ISO 4217: how many digits to append to Stripe's integer
# or, if negative, how many zeros to remove from its end.
# ISK, UGX: no decimals in ISO, but sent in hundredths that are always 00 (5 UGX is 500) for old
# integrations; the page's list of zero-decimal currencies includes UGX nevertheless.
# MGA: two decimals in ISO, none at Stripe. HUF and TWD are special for payouts only.
# BHD, JOD, KWD, OMR, TND have three decimals, the last of them always 0.
# Source: https://docs.stripe.com/currencies, "Zero-decimal currencies" and "Special cases".
_SHIFT = {"ISK": -2, "UGX": -2, "MGA": 2}
_MINOR_LIMIT = 10**15
_WORD_MAX = 64

T = TypeVar("T")


class Occurred(Struct, frozen=True):
    """One verified event, its snapshot not yet decoded.

    ``at`` is the time of the event. The snapshot's own ``created`` never changes: of a refund that
    failed it is the time of the refund, and totals could not be put in order by it.
    """

    kind: str
    snapshot: msgspec.Raw
    at: datetime
    order_no_key: str

    def order_no(self, *metadata: object, reference: object = None) -> str:
        """Return the shop's order number, or ``""``: a payment counts without it.

        Both are the merchant's own, whatever stands there. Metadata comes first.
        """
        for each in metadata:
            text = each.get(self.order_no_key) if isinstance(each, dict) else None
            if number := fields.merchant_order_no(text):
                return number
        return fields.merchant_order_no(reference)

    def noted(self) -> events.Noted:
        """Record it: it moved no money, or another message tells of the same."""
        return events.Noted(self.kind, self.at)

    def unmapped(self, detail: str, order_no: str = "") -> events.Unmapped:
        """Park it: genuine, but it cannot be booked."""
        return events.Unmapped(self.kind, order_no, detail, self.at)

    def unknown(self, what: str, value: object, order_no: str = "") -> events.Unmapped:
        """Park it for a value that Stripe did not document when this was written."""
        return self.unmapped(f"the {what} {plain(value) or '(no word)'} is unknown", order_no)


#: What it means for orders. Raises ``Rejected``.
Reader = Callable[[Occurred], events.Event]


class Charge(Struct, kw_only=True):
    """A charge: authorised for ``amount``, captured, the rest released, and then refunded.

    Stripe counts what was released among what was refunded.
    """

    id: str
    currency: str
    amount: int | None = None
    captured: bool | None = None
    #: Missing in events of very old versions, which tell ``captured`` alone.
    amount_captured: int | None = None
    amount_refunded: int | None = None
    payment_intent: object = None
    #: Until version 2025-03-31.
    invoice: object = None
    failure_balance_transaction: object = None
    payment_method_details: object = None
    metadata: object = None

    @property
    def may_capture_more(self) -> bool:
        """Whether what was not captured may still be: only where Stripe allows several captures."""
        details = self.payment_method_details
        # Of a card online, and of one that was present.
        methods = details.values() if isinstance(details, dict) else ()
        found = [each.get("multicapture") for each in methods if isinstance(each, dict)]
        return any(isinstance(each, dict) and each.get("status") == "available" for each in found)

    @property
    def paid_minor(self) -> int | None:
        """What was captured: all that the buyer paid. None where that is not told."""
        if self.amount_captured is not None:
            return self.amount_captured
        return 0 if self.captured is False else self.amount


CHARGE = msgspec.json.Decoder(Charge)


def word(table: Mapping[object, T], value: object) -> T | None:
    """Return what the table says of a value of any type, None if it does not list it."""
    return table.get(value) if value is None or isinstance(value, str) else None


def plain(found: object) -> str:
    """Return a word of Stripe's, or ``""`` where it is none."""
    return found if isinstance(found, str) and fields.is_token(found, _WORD_MAX) else ""


def number(found: object) -> str:
    """Return the number of an object that may be expanded, or ``""``."""
    if isinstance(found, dict):
        found = found.get("id")
    if isinstance(found, str) and fields.is_token(found, fields.TRANSACTION_ID_MAX):
        return found
    return ""


def names(own: str, *found: object) -> tuple[str, ...]:
    """Return the other numbers of a payment, without those that are missing."""
    told = [number(each) for each in found if each is not None]
    return tuple(name for name in told if name and name != own)


def amount(minor: int, code: str) -> tuple[Decimal, str]:
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
