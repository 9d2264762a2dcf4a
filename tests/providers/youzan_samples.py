"""Messages of Youzan, and how the tests sign them."""

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus

from gateway.domain import events, orders
from gateway.providers import contract, youzan

from .support import account, message

CLIENT_ID = "50535be20334f52771"
SECRET = "7f9c2ba4e88f827d616045507605853e"
NEXT_SECRET = "8f9c2ba4e88f827d616045507605853f"
OPTIONS: dict[str, Any] = {"client_id": CLIENT_ID, "kdt_ids": ["63077"]}
ADAPTER = youzan.adapter(account(SECRET, **OPTIONS))

TID = "E20261123195902000600011"
CREATED = datetime(2026, 11, 23, 11, 59, 2, tzinfo=UTC)
PAID_AT = datetime(2026, 11, 23, 11, 59, 8, tzinfo=UTC)
UPDATED = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)

LINES: list[dict[str, Any]] = [
    {
        "oid": "1507387350277163963",
        "item_id": 457846930,
        "sku_id": 0,
        "outer_item_id": "8002",
        "outer_sku_id": "",
        "title": "测试002",
        "num": 2,
        "price": "40.00",
        "total_fee": "70.00",
        "payment": "65.00",
        "is_pre_sale": "null",
    },
    {
        "oid": "1507387350277163964",
        "item_id": 457842156,
        "sku_id": 36,
        "outer_item_id": "8001",
        "outer_sku_id": "8001-red",
        "title": "测试001",
        "num": 3,
        "price": "5.00",
        "total_fee": "15.00",
        "payment": "13.80",
    },
]
ORDER_INFO: dict[str, Any] = {
    "tid": TID,
    "status": "TRADE_PAID",
    "created": "2026-11-23 19:59:02",
    "pay_time": "2026-11-23 19:59:08",
    "update_time": "2026-11-23 20:00:00",
    "success_time": "",
    "consign_time": "",
    "close_type": 0,
}
FULL: dict[str, Any] = {
    "order_info": ORDER_INFO,
    "orders": LINES,
    "pay_info": {
        "total_fee": "95.00",
        "post_fee": "10.00",
        "payment": "88.80",
        "transaction": ["190326101704000046"],
        "phase_payments": [],
    },
    "address_info": {
        "receiver_name": "张三",
        "receiver_tel": "13800138000",
        "delivery_province": "四川省",
        "delivery_city": "成都市",
        "delivery_district": "高新区",
        "delivery_address": "天府软件园 A+B 100%",
        "delivery_postal_code": "610041",
    },
    "buyer_info": {"buyer_id": 1266262022, "fans_nickname": "一笑而过"},
    "remark_info": {"buyer_message": "尽快发货", "trade_memo": "老客户"},
}
ORDER = orders.Submission(
    channel="web",
    order_no=TID,
    buyer_id="1266262022",
    placed_at=CREATED,
    currency="CNY",
    items=[
        orders.Item("8002", "测试002", 2, Decimal("40.00"), Decimal("10.00")),
        orders.Item("8001-red", "测试001", 3, Decimal("5.00"), Decimal("0.00")),
    ],
    amounts=orders.Amounts(
        goods=Decimal("85.00"),
        payable=Decimal("88.80"),
        shop_discount=Decimal("6.20"),
        freight=Decimal("10.00"),
    ),
    recipient=orders.Recipient(
        name="张三",
        phone="13800138000",
        country="CN",
        street="天府软件园 A+B 100%",
        province="四川省",
        city="成都市",
        district="高新区",
        postcode="610041",
    ),
    remark="尽快发货",
)
CLOSE = {"tid": TID, "close_type": 4, "close_reason": "x", "update_time": "2026-11-23 20:00:00"}
REFUND = {
    "tid": TID,
    "refund_id": "202611240900580000031002",
    "refunded_fee": "8.80",
    "refund_type": "REFUND_ONLY",
    "update_time": "2026-11-23 20:00:00",
}


def full(status: str, **changes: Any) -> dict[str, Any]:
    """Build a message's content that holds the whole order, with its order_info changed."""
    return {
        "full_order_info": FULL | {"order_info": ORDER_INFO | {"status": status} | changes},
        "delivery_order": [],
        "refund_order": [],
    }


def body(kind: str, content: Any, *, how: str = "quote", **changes: Any) -> bytes:
    """Build a body; ``how`` says in which way ``msg`` is written."""
    envelope = {
        "client_id": CLIENT_ID,
        "id": TID,
        "kdt_id": 63077,
        "kdt_name": "有赞的店",
        "mode": 1,
        "msg": _written(content, how),
        "msg_id": "6dc15f0b-8682-4812-b635-ab66e199f330",
        "status": "",
        "test": False,
        "type": kind,
        "version": 1795521600,
    }
    return json.dumps(envelope | changes).encode()


def _written(content: Any, how: str) -> Any:
    if how == "object":
        return content
    text = json.dumps(content, ensure_ascii=False)
    return {"quote": quote(text, safe=""), "quote_plus": quote_plus(text), "text": text}[how]


def signature(content: bytes, *, secret: str = SECRET, client_id: str = CLIENT_ID) -> str:
    return hashlib.md5(client_id.encode() + content + secret.encode()).hexdigest()


def signed(content: bytes, **how: Any) -> contract.Message:
    headers = {
        "Client-Id": CLIENT_ID,
        "Event-Sign": signature(content, **how),
        "Event-Type": "whatever; it is not signed",
    }
    return message(content, headers)


def pushed(kind: str, content: Any, **changes: Any) -> contract.Message:
    return signed(body(kind, content, **changes))


PARCEL = [{"dists": [{"express_info": {"express_id": 4, "express_no": "YT8800"}}]}]
PAID = pushed("trade_TradePaid", full("TRADE_PAID"))
PAYMENT = events.PaymentSucceeded(TID, TID, Decimal("88.80"), "CNY", PAID_AT)


def read_events(kind: str, content: Any, **how: Any) -> list[events.Event | orders.Submission]:
    return [item.event for item in ADAPTER.read(pushed(kind, content, **how)).items]
