"""The order of the examples: CNY 199.00 in the channel ``web``."""

from typing import Any


def example_order(order_no: str, buyer_id: str, *, currency: str = "CNY") -> dict[str, Any]:
    """Return it under a number. Another buyer each time makes it another order.

    The same order of the same buyer within ten minutes would be taken for a repeat and answered
    with the first one.
    """
    return {
        "channel": "web",
        "order_no": order_no,
        "buyer_id": buyer_id,
        "placed_at": "2026-11-23T10:00:00+08:00",
        "currency": currency,
        "items": [
            {"sku": "TEA-1", "name": "Longjing tea 100 g", "quantity": 2, "unit_price": "99.50"}
        ],
        "amounts": {"goods": "199.00", "payable": "199.00"},
        "recipient": {
            "name": "Zhang San",
            "phone": "13800138000",
            "country": "CN",
            "province": "Zhejiang",
            "city": "Hangzhou",
            "district": "Xihu",
            "street": "Longjing Road 1",
        },
    }
