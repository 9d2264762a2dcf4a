"""What the readers of PayPal's events share: the event itself, its money and its merchant."""

from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers.shared import fields

# No decimals at PayPal, two in ISO 4217. (JPY has none in either.)
# Source: https://developer.paypal.com/reports/reference/supported-currencies, its footnotes.
_WHOLE = frozenset({"HUF", "TWD"})


class Amount(Struct):
    """An amount as PayPal writes it: the value is decimal text."""

    value: str
    currency_code: str


class Merchant(Struct):
    """A payee, or the seller of a disputed transaction."""

    merchant_id: str | None = None


class Occurred(Struct, frozen=True):
    """One verified event, its resource not yet decoded."""

    kind: str
    resource: msgspec.Raw
    at: datetime
    order_no_field: str
    merchant_id: str | None

    def check_payee(self, named: Merchant | None) -> None:
        """Raise ``Rejected`` unless the merchant is the configured one, if any.

        A payment that names none may be another merchant's: it is parked, not booked.
        """
        if self.merchant_id is not None and (named is None or named.merchant_id is None):
            raise fields.malformed("names no merchant, and the option merchant_id is set")
        self.check_merchant(named)

    def check_merchant(self, named: Merchant | None) -> None:
        """Raise ``Rejected`` if another merchant is named than the configured one.

        Money that goes back may name none: it is that of the capture it names.
        """
        if self.merchant_id is None or named is None or named.merchant_id is None:
            return
        if named.merchant_id != self.merchant_id:
            raise errors.Rejected("not_ours", "of another merchant; see the option merchant_id")

    def noted(self) -> events.Noted:
        """Record it: it moves no money of an order."""
        return events.Noted(self.kind, self.at)

    def unmapped(self, detail: str) -> events.Unmapped:
        """Park it: genuine, but it cannot be booked."""
        return events.Unmapped(self.kind, "", detail, self.at)

    def undocumented(self, name: str, found: object) -> events.Unmapped:
        """Park it for a value that PayPal does not document, and say which."""
        word = fields.kind(found) if isinstance(found, str) else "missing"
        return self.unmapped(f"{name} is {word}: its meaning is not known")


def money(amount: Amount) -> tuple[Decimal, str]:
    """Return amount and currency; the decimals must be those that PayPal allows."""
    currency = fields.currency(amount.currency_code)
    value = fields.amount(fields.decimal(amount.value, "the amount"), currency)
    if currency in _WHOLE and value != value.to_integral_value():
        raise fields.malformed(f"PayPal gives {currency} no decimals")
    return value, currency
