"""What decrypted resources of WeChat Pay and Douyin Pay have in common: parties, money, what fails.

Amounts are integers in the smallest unit of the currency that the merchant charged: ``payer_…`` and
``settlement_…``, what the buyer and the merchant see after coupons and an exchange, are not read.
"""

from collections.abc import Callable, Container
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events, money
from gateway.providers import contract
from gateway.providers.shared import apiv3, fields

#: Where the order number of a payment is: its own number at the merchant, or what the merchant
#: had passed through, for orders that are paid by several payments.
OrderNoFrom = Literal["out_trade_no", "attach"]


class Terms(Struct, frozen=True, kw_only=True):
    """What an account decides about its payments."""

    #: Currency of a resource that names none.
    currency: str
    order_no_from: OrderNoFrom = "out_trade_no"

    def order_no(self, out_trade_no: object, attach: object) -> str:
        """Return the order number of a payment, or ``""`` where none can be read."""
        return fields.reference(attach if self.order_no_from == "attach" else None, out_trade_no)

    def order_no_of_refund(self, out_trade_no: object) -> str:
        """Return the order number of a refund, which is told no ``attach``.

        Where that may name the order, the transaction has to.
        """
        return "" if self.order_no_from == "attach" else fields.merchant_order_no(out_trade_no)


class Parties(Struct):
    """The merchants and apps that a resource names; every field may be missing."""

    mchid: str | None = None
    appid: str | None = None
    # A service provider and the merchant it works for.
    sp_mchid: str | None = None
    sp_appid: str | None = None
    sub_mchid: str | None = None
    # One payment for the orders of several merchants.
    combine_mchid: str | None = None
    combine_appid: str | None = None


class _Named(Struct):
    out_trade_no: object = None
    attach: object = None


_PARTIES = msgspec.json.Decoder(Parties)
_NAMED = msgspec.json.Decoder(_Named)


def parties(notice: apiv3.Notice) -> Parties:
    """Return the parties that the notice names. Raises ``Rejected``."""
    return fields.decoded(_PARTIES, notice.plain)


def check_app(appid: str | None, ours: Container[str]) -> None:
    """Raise ``Rejected`` if the notice names an app outside ``ours``; empty accepts all."""
    if ours and appid is not None and appid not in ours:
        raise errors.Rejected("not_ours", "another app; see the option appids")


def currency(account: contract.Account, code: str) -> str:
    """Return the option ``currency`` if ISO 4217 lists it. Raises ``ValueError``."""
    if code not in money.DECIMALS:
        raise fields.misconfigured(account, "has a currency that ISO 4217 does not list")
    return code


def event(
    notice: apiv3.Notice,
    read: Callable[[], events.Event],
    *,
    terms: Terms,
    content: bytes | msgspec.Raw,
) -> events.Event:
    """Return what ``read`` makes of the content; what cannot be read is unmapped, with its order.

    ``content`` is the resource, or a part of it.
    """
    found = fields.event_or_unmapped(read, kind=notice.kind, at=notice.created_at)
    if isinstance(found, events.Unmapped) and not found.order_no:
        return msgspec.structs.replace(found, order_no=order_no_of(content, terms))
    return found


def unmapped(notice: apiv3.Notice, detail: str, *, order_no: str = "") -> events.Unmapped:
    """Return the event of a notice that a person must check."""
    return events.Unmapped(notice.kind, order_no, detail, notice.created_at)


def amount(minor: int, code: str) -> Decimal:
    """Return an amount in major units of a currency. Raises ``Rejected``."""
    return fields.amount(money.from_minor(minor, fields.currency(code)), code)


def order_no_of(plain: bytes | msgspec.Raw, terms: Terms) -> str:
    """Return the order number that a resource names, whatever it is about, or ``""``."""
    try:
        named = fields.decoded(_NAMED, plain)
    except errors.Rejected:
        return ""
    return terms.order_no(named.out_trade_no, named.attach)
