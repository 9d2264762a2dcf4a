"""Shared by simulated providers whose orders may be paid by several payments.

Each payment has a number of its own. Where the account says that the order number is passed
through (``order_no_from``), so is its number at the merchant, as the real providers demand.
"""

from collections.abc import Mapping
from decimal import Decimal

from ops.simulators.contract import Kind, Trade

PAYMENTS: frozenset[Kind] = frozenset({"paid", "part_paid", "rest_paid"})
REFUNDS: frozenset[Kind] = frozenset({"partial_refund", "refund", "refund_failed"})
#: Appended to the order number: the deposit of a presale, and its balance.
_MARKS: Mapping[Kind, str] = {"part_paid": "D", "rest_paid": "B"}


def amount(kind: Kind, trade: Trade) -> Decimal:
    """Return what a payment or a refund is about."""
    if kind in ("part_paid", "partial_refund", "refund_failed"):
        return trade.refunded
    if kind in ("rest_paid", "refund"):
        return trade.amount - trade.refunded
    return trade.amount


def serial(kind: Kind, trade: Trade) -> str:
    """Return what the numbers of a payment are derived from; those of refunds are the whole's."""
    return f"{trade.serial}{_MARKS.get(kind, '')}"


def numbers(
    kind: Kind, trade: Trade, options: Mapping[str, object], *, usual: str
) -> tuple[str, str]:
    """Return the number of a payment at the merchant, and what the merchant passes through.

    ``usual`` is the name of the number, and what an account says that passes nothing through.
    """
    if options.get("order_no_from", usual) == usual:
        return trade.order_no, ""
    return f"{trade.order_no}{_MARKS.get(kind, '')}", trade.order_no
