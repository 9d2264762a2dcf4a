"""What differs between an order as it is stored and as its shop tells it now.

Values are compared and not spellings: an amount with more zeros, or a tax of nothing, is no change.
"""

from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.domain import fingerprint, orders
from gateway.domain.orders import Amounts, Item, Private, Submission

#: What an order that is not paid takes from its shop.
OF_MONEY = ("currency", "amounts", "items")
_PRIVATE = ("recipient", "remark", "attributes")

_encode = msgspec.json.Encoder().encode
_decode_private = msgspec.json.Decoder(Private).decode


class Terms(Struct, frozen=True):
    """An order as far as a shop tells it. ``private``: None where it cannot be opened."""

    currency: str
    amounts: Amounts
    items: list[Item]
    buyer_id: str
    placed_at: datetime
    place: tuple[str, str, str, str]
    private: Private | None


def terms(order: Submission) -> Terms:
    """Return the terms of an order as it is told."""
    to = order.to
    # As it will be read: free-form attributes come back from JSON.
    private = _decode_private(_encode(orders.private_part(order)))
    place = (to.country, to.province, to.city, to.district)
    return Terms(
        order.currency, order.amounts, order.items, order.buyer_id, order.placed_at, place, private
    )


def differences(told: Terms, stored: Terms) -> tuple[str, ...]:
    """Return the names of what differs; of private parts that cannot be opened, nothing."""
    mine, theirs = _values(told), _values(stored)
    is_open = told.private is not None and stored.private is not None
    return tuple(
        name for name in mine if mine[name] != theirs[name] and (is_open or name not in _PRIVATE)
    )


def digest_beside_money(order: Submission) -> str:
    """Return a digest of all that an order tells beside what it costs, in hex."""
    nothing = Amounts(goods=Decimal(0), payable=Decimal(0))
    return fingerprint.payload(
        msgspec.structs.replace(order, currency="", amounts=nothing, items=[])
    ).hex()


def _values(of: Terms) -> dict[str, object]:
    amounts, private = of.amounts, of.private
    sums = (
        amounts.goods, amounts.payable, amounts.shop_discount, amounts.platform_subsidy,
        amounts.freight, amounts.tax or Decimal(0), bool(amounts.tax and amounts.tax_included),
    )  # fmt: skip
    return {
        "currency": of.currency,
        "amounts": sums,
        "items": of.items,
        "buyer_id": of.buyer_id,
        "placed_at": of.placed_at,
        "recipient": (
            of.place,
            private
            and (private.name, private.phone, private.street, private.postcode, private.id_number),
        ),
        "remark": private and (private.remark or ""),
        "attributes": private and (private.attributes or {}),
    }
