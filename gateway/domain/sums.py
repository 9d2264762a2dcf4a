"""Whether the amounts of an order are money of its currency, and add up, to the last digit."""

from decimal import Decimal

from msgspec import UNSET, UnsetType

from gateway.domain import money
from gateway.domain.errors import Fault
from gateway.domain.orders import Submission

_PARTS = ("goods", "shop_discount", "platform_subsidy", "freight", "tax", "payable")


def faults(order: Submission, decimals: int) -> list[Fault]:
    """Return every fault of the amounts of an order, in a currency of so many decimals."""
    # Nearly every order adds up: check that first, and search for the faults only where it fails.
    return [] if _adds_up(order, money.UNITS[order.currency]) else _faults(order, decimals)


def _adds_up(order: Submission, unit: Decimal) -> bool:
    goods = shares = money.ZERO
    for item in order.items:
        line, discount = item.unit_price, item.discount
        if not (money.is_exact(line, unit) and money.is_exact(discount, unit)):
            return False
        line *= item.quantity
        if discount > line:
            return False
        goods += line - discount
        if item.tax is not UNSET:
            if not money.is_exact(item.tax, unit):
                return False
            shares += item.tax
    amounts = order.amounts
    off_shop, off_platform = amounts.shop_discount, amounts.platform_subsidy
    if not (
        money.is_exact(amounts.goods, unit)
        and money.is_exact(off_shop, unit)
        and money.is_exact(off_platform, unit)
        and money.is_exact(amounts.freight, unit)
        and money.is_exact(amounts.payable, unit)
    ):
        return False
    payable = goods - off_shop - off_platform + amounts.freight
    if amounts.tax is not UNSET:
        if not _tax_adds_up(amounts.tax, shares, order, unit):
            return False
        payable += _added(order)
    elif shares:
        return False
    return amounts.goods == goods and amounts.payable == payable and goods < money.AMOUNT_LIMIT


def _tax_adds_up(tax: Decimal, shares: Decimal, order: Submission, unit: Decimal) -> bool:
    amounts = order.amounts
    if not money.is_exact(tax, unit) or shares > tax:
        return False
    return not amounts.tax_included or tax <= amounts.goods + amounts.freight


def _added(order: Submission) -> Decimal:
    """Return the tax that is added to the prices, where these do not contain it."""
    amounts = order.amounts
    return money.ZERO if amounts.tax_included or not amounts.tax else amounts.tax


def _faults(order: Submission, decimals: int) -> list[Fault]:
    found: list[Fault] = []
    goods = shares = money.ZERO
    for n, item in enumerate(order.items):
        here = len(found)
        for name in ("unit_price", "discount", "tax"):
            if reason := _fault(getattr(item, name), decimals):
                found.append(Fault(f"items[{n}].{name}", reason))
        if len(found) == here:
            line = item.unit_price * item.quantity
            if item.discount > line:
                found.append(Fault(f"items[{n}].discount", "is more than the line costs"))
            goods += line - item.discount
            shares += item.tax or money.ZERO
    for name in _PARTS:
        if reason := _fault(getattr(order.amounts, name), decimals):
            found.append(Fault(f"amounts.{name}", reason))
    return found or _sums(order, goods, shares)


def _fault(amount: Decimal | UnsetType, decimals: int) -> str | None:
    return None if amount is UNSET else money.fault(amount, decimals)


def _sums(order: Submission, goods: Decimal, shares: Decimal) -> list[Fault]:
    """Return what does not add up, where each amount by itself is right."""
    amounts = order.amounts
    tax = amounts.tax or money.ZERO
    found: list[Fault] = []

    def named(amount: Decimal) -> str:
        return money.named(amount, order.currency)

    if amounts.goods != goods:
        reason = f"is {named(amounts.goods)}, but the items add up to {named(goods)}"
        found.append(Fault("amounts.goods", reason))
    if shares > tax:
        found.append(
            Fault("amounts.tax", f"is {named(tax)}, but the items have {named(shares)} of it")
        )
    elif amounts.tax_included and tax > amounts.goods + amounts.freight:
        found.append(Fault("amounts.tax", "is more than the prices that contain it"))
    off = amounts.shop_discount + amounts.platform_subsidy
    payable = amounts.goods - off + amounts.freight + _added(order)
    if amounts.payable != payable:
        formula = "goods - shop_discount - platform_subsidy + freight"
        if amounts.tax and not amounts.tax_included:
            formula += " + tax"
        reason = f"is {named(amounts.payable)}, but {formula} is {named(payable)}"
        found.append(Fault("amounts.payable", reason))
    return found
