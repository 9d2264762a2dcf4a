"""What expressions of screening rules may ask of an order.

Money is in whole minor units of its currency; texts are measured in characters; an empty text
counts as absent.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from gateway.domain import money, phones
from gateway.domain.expressions import Kind, Name
from gateway.domain.orders import Item, Submission
from gateway.domain.placing import Placement

Fact = Name[Placement]

_MASKED = "***"


def minor(amount: Decimal, currency: str) -> int:
    """Return an amount in whole minor units: 19.90 CNY is 1990, 500 JPY is 500."""
    return int(amount.scaleb(money.DECIMALS[currency]))


def weight_g(order: Submission) -> int | None:
    """Return what an order weighs in grams; None: not known.

    The sum of its lines where each says it, else the ``weight_g`` of its attributes.
    """
    total = 0
    for item in order.items:
        if not isinstance(item.weight_g, int):
            break
        total += item.weight_g * item.quantity
    else:
        return total
    whole = (order.attributes or {}).get("weight_g")
    return whole if isinstance(whole, int) and not isinstance(whole, bool) and whole >= 0 else None


def pieces(items: list[Item]) -> int:
    """Return how many pieces the lines have together."""
    return sum(item.quantity for item in items)


def _of_order(kind: Kind, value: Callable[[Submission], Any], *, private: bool = False) -> Fact:
    return Name(kind, lambda placement: value(placement.submission), private)


def _amount(name: str) -> Fact:
    def value(placement: Placement) -> int:
        order = placement.submission
        return minor(getattr(order.amounts, name) or money.ZERO, order.currency)

    return Name("number", value)


def _length(name: str) -> Fact:
    return _of_order("number", lambda order: len(getattr(order.to, name) or ""))


FACTS: Mapping[str, Fact] = {
    "channel": _of_order("text", lambda order: order.channel),
    "order_no": _of_order("text", lambda order: order.order_no),
    "buyer_id": _of_order("text", lambda order: order.buyer_id),
    "currency": _of_order("text", lambda order: order.currency),
    "payable_minor": _amount("payable"),
    "goods_minor": _amount("goods"),
    "shop_discount_minor": _amount("shop_discount"),
    "platform_subsidy_minor": _amount("platform_subsidy"),
    "freight_minor": _amount("freight"),
    "tax_minor": _amount("tax"),
    "lines": _of_order("number", lambda order: len(order.items)),
    "pieces": _of_order("number", lambda order: pieces(order.items)),
    "skus": _of_order("texts", lambda order: [item.sku for item in order.items]),
    "weight_g": _of_order("number", weight_g),
    "country": _of_order("text", lambda order: order.to.country or None),
    "province": _of_order("text", lambda order: order.to.province or None),
    "city": _of_order("text", lambda order: order.to.city or None),
    "district": _of_order("text", lambda order: order.to.district or None),
    "postcode": _of_order("text", lambda order: order.to.postcode or None, private=True),
    "street": _of_order("text", lambda order: order.to.street or None, private=True),
    "name": _of_order("text", lambda order: order.to.name or None, private=True),
    "remark": _of_order("text", lambda order: order.remark or None, private=True),
    "phone": Name("text", lambda placement: placement.phone or None, True),
    "street_chars": _length("street"),
    "name_chars": _length("name"),
    "attributes": _of_order("table", lambda order: order.attributes, private=True),
    "platform_state": _of_order("text", lambda order: order.platform_state or None),
    "is_test": _of_order("yes_no", lambda order: order.is_test),
    "is_paid": _of_order("yes_no", lambda order: bool(order.payment)),
    "is_from_shop": Name("yes_no", lambda placement: placement.is_from_shop),
}


def shown(name: str, placement: Placement) -> Any:
    """Return the value of a fact as it may be stored and shown: private ones masked."""
    fact = FACTS[name]
    value = fact.value(placement)
    if value is None or not fact.is_private:
        return value
    return phones.masked(value) if name == "phone" else _MASKED
