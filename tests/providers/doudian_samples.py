"""Pushes of Doudian, and how the tests sign them."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from gateway.providers import contract, doudian

from .support import account, message

APP_KEY = "7012345678901234567"
SECRET = "b4f8a1d2-7c3e-4f56-9a0b-1c2d3e4f5a6b"
NEXT_SECRET = "c5f8a1d2-7c3e-4f56-9a0b-1c2d3e4f5a6c"
SHOP_ID = 12036350
OPTIONS: dict[str, Any] = {"app_key": APP_KEY, "shop_ids": [str(SHOP_ID)]}
ADAPTER = doudian.adapter(account(SECRET, **OPTIONS))

#: Past 2^53: read as a float it would be another order's.
P_ID = 4837328765348566675
ORDER_NO = "4837328765348566675"
AT_S = 1795521599
AT = datetime.fromtimestamp(AT_S, UTC)

TRADE: dict[str, Any] = {
    "p_id": P_ID, "s_ids": [P_ID], "shop_id": SHOP_ID, "order_type": 0, "biz": 2,
}  # fmt: skip
PAID_DATA = TRADE | {"order_status": 2, "pay_amount": 1990, "pay_time": AT_S, "pay_type": 1}
SHIPPED_DATA = TRADE | {
    "order_status": 3,
    "logistics_msg": {"express_company_id": "yunda", "logistics_code": "4313408"},
    "receiver_msg": {"addr": "{}", "name": "#xx#", "tel": "$yy$"},
    "update_time": AT_S,
}
COMPLETED_DATA = TRADE | {"order_status": 5, "complete_time": AT_S}
CANCELLED_DATA = TRADE | {"order_status": 4, "cancel_time": AT_S, "cancel_reason": "买错了"}
REFUNDED_DATA: dict[str, Any] = {
    "p_id": P_ID,
    "s_id": P_ID,
    "shop_id": SHOP_ID,
    "aftersale_id": 7002120615012532524,
    "aftersale_status": 12,
    "aftersale_type": 1,
    "refund_amount": 890,
    "refund_post_amount": 0,
    "success_time": AT_S,
    "update_time": "2026-11-23T20:00:00+08:00",
}


def item(tag: object, data: Any, msg_id: object = "6816:101:1679", **changes: Any) -> Any:
    """Build one message of a push, its data as text."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return {"tag": tag, "msg_id": msg_id, "data": text} | changes


def signature(body: bytes, *, secret: str = SECRET, app_key: str = APP_KEY) -> str:
    return hashlib.md5(app_key.encode() + body + secret.encode()).hexdigest()


def signed(content: Any, *, secret: str = SECRET, app_key: str = APP_KEY) -> contract.Message:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {"app-id": app_key, "event-sign": signature(body, secret=secret, app_key=app_key)}
    return message(body, headers)


PAID = signed([item("101", PAID_DATA)])
GREETING = item("0", "2026-11-23 20:00:00", "0")
