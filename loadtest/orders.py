"""Orders to send: valid, all different, and the same bytes every time.

Order ``n`` under a prefix is always the same order, and two orders with different ``n`` or
``prefix`` share neither order number, buyer nor telephone, so that no gateway takes them
for look-alikes. A generator that must be cheap (``bench/orders.lua``) makes the same bytes from
``template``.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson

#: Items and amounts repeat after so many orders; everything else never does.
SHAPES = 64
#: The placeholder of the serial number in a template; as wide as the number itself.
MARK = "########"
SERIAL_LIMIT = 10 ** len(MARK)


def order(n: int, *, prefix: str = "lt", **changes: Any) -> dict[str, Any]:
    """Return order ``n`` in the Standard Order Model, with ``changes`` to its fields.

    Changes inside ``recipient`` and ``amounts`` are merged; amounts that are not given
    follow from the items, so a changed order still adds up unless the change says otherwise.
    """
    return _order(_serial(n), n % SHAPES, prefix, changes)


def order_bytes(n: int, prefix: str = "lt") -> bytes:
    """Return order ``n`` as JSON, about 600 bytes."""
    return orjson.dumps(order(n, prefix=prefix))


def template(shape: int, prefix: str = "lt") -> bytes:
    """Return the JSON of every order with ``n % SHAPES == shape``, with ``MARK`` for ``n``."""
    return orjson.dumps(_order(MARK, shape, prefix, {}))


def _serial(n: int) -> str:
    if not 0 <= n < SERIAL_LIMIT:
        raise ValueError(f"an order's serial number is below {SERIAL_LIMIT}, not {n}")
    return f"{n:08d}"


def _order(serial: str, shape: int, prefix: str, changes: dict[str, Any]) -> dict[str, Any]:
    drawn: dict[str, Any] = {
        "channel": "web",
        "order_no": f"{prefix}-{serial}",
        "buyer_id": f"b-{prefix}-{serial}",
        "placed_at": "2026-11-23T10:00:00+08:00",
        "currency": "CNY",
        "items": _items(shape),
        "amounts": {"freight": "12.00"} if shape % 4 == 0 else {},
        "recipient": {
            "name": "Zhang San",
            "phone": f"138{serial}",
            "country": "CN",
            "province": "Zhejiang",
            "city": "Hangzhou",
            "district": "Xihu",
            "street": f"Longjing Road {shape + 1}, Building 2, Room 1203",
            "postcode": "310013",
        },
        # The number is also at the end: LuaJIT of 2017, still in some distributions, hashes only
        # a few bytes of a long string, among them the last four.
        "remark": f"Please call before delivery, slip {serial}",
    }
    merged = {name: drawn[name] | changes.get(name, {}) for name in ("amounts", "recipient")}
    made: dict[str, Any] = drawn | changes | merged
    made["amounts"] = _amounts(made["items"], made["amounts"])
    return made


def _items(shape: int) -> list[dict[str, Any]]:
    tea = Decimal("99.50") + shape
    items: list[dict[str, Any]] = [
        {
            "sku": f"TEA-{shape + 1}",
            "name": "Longjing tea, first flush, 100 g",
            "quantity": 2,
            "unit_price": str(tea),
        },
        {"sku": "CUP-3", "name": "Celadon cup", "quantity": 1, "unit_price": "38.00"},
    ]
    if shape % 2:
        items[0]["discount"] = "10.00"
    return items


def _amounts(items: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    if "goods" in given and "payable" in given:
        return dict(given)
    goods = sum(
        (Decimal(i["unit_price"]) * i["quantity"] - Decimal(i.get("discount", 0)) for i in items),
        Decimal(0),
    )
    goods = Decimal(given.get("goods", goods))
    reductions = sum(Decimal(given.get(name, 0)) for name in ("shop_discount", "platform_subsidy"))
    payable = goods - reductions + Decimal(given.get("freight", 0))
    if not given.get("tax_included"):
        payable += Decimal(given.get("tax", 0))
    return {"goods": str(goods), "payable": str(payable), **given}
