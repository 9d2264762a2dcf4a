"""Shopify's refunds, as an order lists them, and its disputes.

- A refund moves money by its transactions. It is booked once all of them are finished; those that
  failed moved none, and a refund of which all failed has failed.
- Transactions are in the currency that the buyer paid in. What the shop returned is told beside
  them, by the transaction itself or by what the refund was for.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events, money
from gateway.providers import contract, shopify_lines
from gateway.providers.shared import fields, shop_amounts, shop_orders

#: States of a transaction that is not finished.
_UNDERWAY = frozenset({"pending", "awaiting_response", "unknown"})
_FAILED = frozenset({"failure", "error"})
_OF_SHIPPING = "shipping_refund"


class _Transaction(Struct):
    kind: str
    status: str
    amount: Decimal
    currency: str | None = None
    amount_set: shopify_lines.Money | None = None
    processed_at: str | None = None


class _RefundLine(Struct):
    subtotal_set: shopify_lines.Money | None = None
    total_tax_set: shopify_lines.Money | None = None


class _RefundShipping(Struct):
    subtotal_amount_set: shopify_lines.Money | None = None
    tax_amount_set: shopify_lines.Money | None = None


class _Adjustment(Struct):
    kind: str | None = None
    amount_set: shopify_lines.Money | None = None
    tax_amount_set: shopify_lines.Money | None = None


class _Refund(Struct):
    id: int
    transactions: list[_Transaction] = []
    refund_line_items: list[_RefundLine] = []
    #: Since version 2024-10; an adjustment for shipping is the same money, told as before.
    refund_shipping_lines: list[_RefundShipping] = []
    order_adjustments: list[_Adjustment] = []
    created_at: str | None = None


class Told(Struct, frozen=True, kw_only=True):
    """What a refund needs of its order."""

    transaction_id: str
    order_no: str
    currency: str
    total: shopify_lines.Money | None
    now: datetime


_REFUND = msgspec.json.Decoder(_Refund)
_NEEDED = frozenset({"id", "transactions", "kind", "status", "amount", "currency"})


def is_open(raw: msgspec.Raw) -> bool:
    """Return whether a refund is not finished. Booked now, the rest of it never would be."""
    try:
        return _is_pending(fields.decoded_as_possible(_REFUND, raw, needed=_NEEDED))
    except errors.Rejected:
        return False


def item(raw: msgspec.Raw, told: Told) -> tuple[int, contract.Item | None]:
    """Return the refund's number, and its event.

    None if only goods were returned, or if it is not finished. Raises ``Rejected``.
    """
    made = fields.decoded_as_possible(_REFUND, raw, needed=_NEEDED)
    refund_no = shop_orders.id_text(made.id, giver="Shopify")
    if _is_pending(made):
        return made.id, None
    tried = [t for t in made.transactions if t.kind == "refund"]
    done = [t for t in tried if t.status == "success"]
    failed = [t for t in tried if t.status in _FAILED]
    amount = _amount(done or failed, made, told)
    if not amount:
        return made.id, None
    amount = fields.refund_amount(amount, told.currency)
    names = (told.transaction_id, told.order_no, refund_no, amount, False, told.currency)
    # What is told last of a refund counts: it may fail, and succeed when it is tried again.
    tried_at = (done or failed)[-1].processed_at or made.created_at
    at = shop_orders.moment_or(told.now, tried_at)
    if done:
        return made.id, contract.Item(f"refund:{refund_no}", events.RefundSucceeded(*names, at))
    return made.id, contract.Item(f"refund:{refund_no}:failed", events.RefundFailed(*names, at))


def _is_pending(made: _Refund) -> bool:
    return any(t.kind == "refund" and t.status in _UNDERWAY for t in made.transactions)


def _amount(moved: Sequence[_Transaction], made: _Refund, told: Told) -> Decimal:
    """Return the sum of transactions in the shop's currency. Raises ``Rejected``."""
    known = [_in_shop_currency(each, told.currency) for each in moved]
    amounts = [each for each in known if each is not None]
    if len(amounts) == len(moved):
        total = sum(map(shop_amounts.figure, amounts), money.ZERO)
        return shop_amounts.total(total, told.currency) if total else money.ZERO
    if len({each.currency for each in moved}) > 1:
        raise fields.malformed("a refund in several currencies")
    paid = sum((shop_amounts.figure(each.amount) for each in moved), money.ZERO)
    return shop_amounts.total(_converted(paid, made, told), told.currency)


def _in_shop_currency(each: _Transaction, currency: str) -> Decimal | None:
    shop = each.amount_set.shop_money if each.amount_set else None
    if shop and shop.currency_code in (None, currency):
        return shop.amount
    return each.amount if each.currency in (None, currency) else None


def _converted(paid: Decimal, made: _Refund, told: Told) -> Decimal:
    """Return what ``paid``, in the buyer's currency, is in the shop's. Raises ``Rejected``.

    It is told where the refund is that of the whole order, or of what the refund lists.
    """
    lines = [each.subtotal_set for each in made.refund_line_items]
    taxes = [each.total_tax_set for each in made.refund_line_items]
    freight = [each.subtotal_amount_set for each in made.refund_shipping_lines]
    freight += [each.tax_amount_set for each in made.refund_shipping_lines]
    # What lowers the order's total, such as shipping that is returned, is negative.
    off = _adjusted(made.order_adjustments)
    beside = _adjusted([each for each in made.order_adjustments if each.kind != _OF_SHIPPING])
    for told_as, less in (
        ([told.total], []),
        (lines, off),
        (lines + taxes, off),
        (lines + freight, beside),
        (lines + taxes + freight, beside),
    ):
        shop, buyer = _sums(told_as, less)
        if shop is not None and buyer == paid:
            return shop
    raise fields.malformed(
        "a refund in the buyer's currency, whose amount in the shop's is unclear"
    )


def _adjusted(adjustments: Sequence[_Adjustment]) -> list[shopify_lines.Money | None]:
    amounts = [each.amount_set for each in adjustments]
    return amounts + [each.tax_amount_set for each in adjustments]


def _sums(
    added: Sequence[shopify_lines.Money | None], taken: Sequence[shopify_lines.Money | None]
) -> tuple[Decimal | None, Decimal]:
    """Return the sums in the shop's currency, None if there are none, and in the buyer's."""
    shop = buyer = money.ZERO
    is_told = False
    for sign, amounts in ((1, added), (-1, taken)):
        for each in amounts:
            if each and each.shop_money and each.presentment_money:
                is_told = True
                shop += sign * shop_amounts.figure(each.shop_money.amount)
                buyer += sign * shop_amounts.figure(each.presentment_money.amount)
    return (shop if is_told else None), buyer
