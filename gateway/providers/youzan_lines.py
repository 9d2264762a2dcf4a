"""Map Youzan's complete order to the Standard Order Model.

Many messages hold the complete order, and all of them must produce the same submission: only
fields that never change go into it.

- A line is ``price`` x ``num``, less its own discount, which leaves ``total_fee``.
- ``pay_info.payment`` is what the buyer owes: the lines, less the discount of the whole order,
  plus ``post_fee``. It counts (``shop_amounts``).
- Some shops receive names, numbers and addresses encrypted. Texts that are therefore too long for
  their column go, sealed, into the attributes under their own names.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.domain import money, orders
from gateway.providers.shared import fields, shop_amounts, shop_orders

CURRENCY = "CNY"
_COUNTRY = "CN"

Id = int | str


class _OrderInfo(Struct):
    created: str


class _PayInfo(Struct):
    payment: Decimal
    post_fee: Decimal | None = None


class _Line(Struct):
    num: int
    price: Decimal
    total_fee: Decimal | None = None
    title: str | None = None
    outer_sku_id: str | None = None
    outer_item_id: str | None = None
    sku_id: Id | None = None
    item_id: Id | None = None
    oid: Id | None = None


class _Address(Struct):
    receiver_name: str | None = None
    receiver_tel: str | None = None
    delivery_province: str | None = None
    delivery_city: str | None = None
    delivery_district: str | None = None
    delivery_address: str | None = None
    delivery_postal_code: str | None = None


#: Youzan's names of a recipient's columns, under which too long texts are stored.
_COLUMNS: Mapping[str, str] = {
    "name": "receiver_name",
    "phone": "receiver_tel",
    "street": "delivery_address",
    "province": "delivery_province",
    "city": "delivery_city",
    "district": "delivery_district",
    "postcode": "delivery_postal_code",
}


class _Buyer(Struct):
    buyer_id: Id | None = None
    yz_open_id: str | None = None
    fans_id: Id | None = None


class _Remark(Struct):
    buyer_message: str | None = None


class _Order(Struct, kw_only=True):
    order_info: _OrderInfo
    pay_info: _PayInfo
    orders: list[_Line] = []
    address_info: _Address | None = None
    buyer_info: _Buyer | None = None
    remark_info: _Remark | None = None


class _Lines(Struct):
    orders: list[_Line] = []


_ORDER = msgspec.json.Decoder(_Order)
_LINES = msgspec.json.Decoder(_Lines)
_NEEDED = frozenset(
    {"order_info", "created", "pay_info", "payment", "post_fee", "orders", "num", "price"}
)


def submission(content: msgspec.Raw, order_no: str, channel: str) -> orders.Submission:
    """Return the order. Raises ``Rejected`` or ``Unclear``."""
    order = fields.decoded_as_possible(_ORDER, content, needed=_NEEDED)
    items, amounts = shop_amounts.settled(
        [_line(line) for line in order.orders],
        shop_amounts.Others(freight=fields.amount(order.pay_info.post_fee or money.ZERO, CURRENCY)),
        payable=fields.amount(order.pay_info.payment, CURRENCY),
        currency=CURRENCY,
    )
    # Written with its decimals, even if it is zero: an order is recognised by how it is written.
    amounts = replace(amounts, shop_discount=amounts.goods + amounts.freight - amounts.payable)
    recipient, sealed = _recipient(order.address_info or _Address())
    message = known(order.remark_info.buyer_message if order.remark_info else None)
    remark = shop_orders.remark(message, name="buyer_message", sealed=sealed)
    return orders.Submission(
        channel=channel,
        order_no=order_no,
        buyer_id=_buyer_id(order.buyer_info or _Buyer(), order_no),
        placed_at=fields.from_china(order.order_info.created, "created"),
        currency=CURRENCY,
        items=items,
        amounts=amounts,
        recipient=recipient,
        remark=remark,
        attributes=shop_orders.attributes(sealed),
    )


def pieces(content: msgspec.Raw) -> Mapping[str, tuple[str, int]]:
    """Return the article and the number of pieces of each line, by its ``oid``."""
    lines = fields.decoded_as_possible(_LINES, content, needed=("num",)).orders
    return {known(line.oid): (_sku(line), line.num) for line in lines}


def _line(line: _Line) -> shop_amounts.Line:
    shop_orders.check_quantity(line.num)
    price = fields.amount(line.price, CURRENCY)
    full = price * line.num
    return shop_amounts.Line(
        numbers=[_sku(line)],
        name=known(line.title),
        quantity=line.num,
        full=full,
        cost=full if line.total_fee is None else shop_amounts.figure(line.total_fee),
        price=price,
    )


def _sku(line: _Line) -> str:
    numbers = (line.outer_sku_id, line.outer_item_id, line.sku_id, line.item_id, line.oid)
    return shop_orders.first_fitting(map(known, numbers), shop_orders.SKU_MAX)


def _recipient(address: _Address) -> tuple[orders.Recipient, dict[str, Any]]:
    """Return the recipient and, by name, the texts that are too long for their columns."""
    texts = {column: known(getattr(address, name)) for column, name in _COLUMNS.items()}
    return shop_orders.recipient(_COUNTRY, texts, names=_COLUMNS)


def _buyer_id(buyer: _Buyer, order_no: str) -> str:
    numbers: Sequence[Id | None] = (buyer.buyer_id, buyer.yz_open_id, buyer.fans_id)
    number = shop_orders.first_fitting(map(known, numbers), shop_orders.BUYER_MAX)
    return shop_orders.buyer_id(number, order_no)


def known(value: Id | None) -> str:
    """Return a field as text; ``""`` if empty, which Youzan also writes as ``0`` or ``"null"``."""
    if isinstance(value, int):
        return str(value) if 0 < value < 1 << 64 else ""
    return "" if value in (None, "null", "0") else value
