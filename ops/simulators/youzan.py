"""Simulated Youzan: trade and refund messages of a shop.

A repeat differs in ``sendCount`` only, and is therefore signed again.
"""

import hashlib
import json
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from ops.simulators.contract import Account, Forgery, Kind, Posted, Trade

KINDS: frozenset[Kind] = frozenset(
    {
        "placed", "paid", "part_paid", "rest_paid", "partial_refund", "refund", "closed",
        "shipped", "delivered", "ping",
    }
)  # fmt: skip
FORGERIES: frozenset[Forgery] = frozenset({"foreign_key", "changed", "unsigned", "not_ours"})
CURRENCIES = ("CNY",)

_GMT8 = timezone(timedelta(hours=8))
_IDS = uuid.UUID("0a7c5a1e-3a64-4ac4-93a5-7fd3ab3f0b7e")
_TYPES: dict[Kind, tuple[str, str]] = {
    "placed": ("trade_TradeCreate", "WAIT_BUYER_PAY"),
    "paid": ("trade_TradePaid", "TRADE_PAID"),
    "part_paid": ("trade_TradePaid", "TRADE_PAID"),
    "rest_paid": ("trade_TradeBuyerPay", "WAIT_SELLER_SEND_GOODS"),
    "partial_refund": ("trade_refund_RefundSuccess", ""),
    "refund": ("trade_refund_RefundSuccess", ""),
    "closed": ("trade_TradeClose", "TRADE_CLOSED"),
    "shipped": ("trade_TradeSellerShip", "WAIT_BUYER_CONFIRM_GOODS"),
    "delivered": ("trade_TradeSuccess", "TRADE_SUCCESS"),
    "ping": ("trade_TradePaid", "TRADE_PAID"),
}


def create() -> Account:
    """Make a new app with its own secret."""
    return Account(
        secrets=(secrets.token_hex(16),),
        options={"client_id": "50535be20334f52771", "kdt_ids": ["63077"]},
        private={},
    )


def simulator(account: Account) -> "Youzan":
    """Return the simulated platform for one app."""
    return Youzan(account)


def transaction_no(trade: Trade) -> str:
    """Return the order number: the gateway books the payment under it."""
    return trade.order_no


class Youzan:
    """The platform, pushing to one app about its first shop."""

    def __init__(self, account: Account) -> None:
        self._secret = account.secrets[0]
        self._client_id = str(account.options["client_id"])
        kdt_ids = account.options["kdt_ids"]
        assert isinstance(kdt_ids, list | tuple)
        self._kdt_id = int(kdt_ids[0])

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        """Build the message; ``sendCount`` numbers a repeat."""
        return self._posted(self._body(kind, trade, at, self._kdt_id, attempt), self._secret)

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        """Make a message that must be rejected."""
        kdt_id = self._kdt_id + (how == "not_ours")
        body = self._body(kind, trade, at, kdt_id, 0)
        secret = self._secret[::-1] if how == "foreign_key" else self._secret
        posted = self._posted(body, secret)
        if how == "changed":
            return Posted(posted.headers, body.replace(b'"version":1', b'"version":2'))
        if how == "unsigned":
            headers = {k: v for k, v in posted.headers.items() if k != "Event-Sign"}
            return Posted(headers, body)
        return posted

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Require 200 and the documented response."""
        try:
            answer = json.loads(body)
        except ValueError:
            return False
        return status == 200 and answer == {"code": 0, "msg": "success"}

    def _posted(self, body: bytes, secret: str) -> Posted:
        text = self._client_id.encode() + body + secret.encode()
        headers = {
            "Content-Type": "application/json",
            "Client-Id": self._client_id,
            "Event-Sign": hashlib.md5(text, usedforsecurity=False).hexdigest(),
            "Event-Type": str(json.loads(body)["type"]),
        }
        return Posted(headers, body)

    def _body(self, kind: Kind, trade: Trade, at: datetime, kdt_id: int, attempt: int) -> bytes:
        type_, status = _TYPES[kind]
        msg = quote(json.dumps(_msg(kind, trade, at, status), ensure_ascii=False), safe="")
        old_sign = f"{self._client_id}{msg}{self._secret}".encode()
        content: dict[str, Any] = {
            "client_id": self._client_id,
            "id": trade.order_no,
            "kdt_id": kdt_id,
            "kdt_name": "有赞的店",
            "root_kdt_id": kdt_id,
            "mode": 1,
            "msg": msg,
            "msg_id": str(uuid.uuid5(_IDS, f"{trade.serial}/{kind}")),
            "sign": hashlib.md5(old_sign, usedforsecurity=False).hexdigest(),
            "status": status,
            "test": kind == "ping",
            "type": type_,
            "version": int(at.timestamp()),
        }
        if attempt:
            content["sendCount"] = attempt
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _msg(kind: Kind, trade: Trade, at: datetime, status: str) -> dict[str, Any]:
    now = f"{at.astimezone(_GMT8):%Y-%m-%d %H:%M:%S}"
    match kind:
        case "placed" | "paid" | "ping":
            return _order(trade, now, status)
        case "part_paid" | "rest_paid":
            return _order(trade, now, status, _phases(trade, is_all=kind == "rest_paid"))
        case "partial_refund" | "refund":
            is_part = kind == "partial_refund"
            amount = trade.refunded if is_part else trade.amount - trade.refunded
            return {
                "tid": trade.order_no,
                "oids": "1507387350277163963",
                "refund_id": f"{trade.serial}{1 if is_part else 2}",
                "refund_type": "REFUND_ONLY",
                "refund_reason": 15,
                "refunded_fee": _yuan(amount),
                "update_time": now,
            }
        case "closed":
            reason = "order expired closed by task, order canceled!"
            return {
                "tid": trade.order_no,
                "close_type": 1,
                "close_reason": reason,
                "update_time": now,
            }
        case _:
            return {"tid": trade.order_no, "status": status, "update_time": now}


def _phases(trade: Trade, *, is_all: bool) -> list[dict[str, Any]]:
    """Return the deposit and the rest; what is paid has a number."""
    amounts = (trade.refunded, trade.amount - trade.refunded)
    return [
        {
            "phase": n + 1,
            "real_price": _yuan(amount),
            "inner_transaction_no": f"190326{n + 1}{trade.serial}" if is_all or not n else None,
            "outer_transaction_no": None,
        }
        for n, amount in enumerate(amounts)
    ]


def _order(
    trade: Trade, now: str, status: str, phases: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return an order: two lines with a discount each, one on the whole order, and freight."""
    post_fee = min(Decimal("10.00"), trade.amount)
    off = Decimal("1.00")
    goods = trade.amount - post_fee + off
    half = (goods / 2).quantize(Decimal("0.01"))
    lines = [_line(1, half), _line(2, goods - half)]
    paid = status != "WAIT_BUYER_PAY"
    # All messages of an order have the same times; a trade does not hold when it was placed.
    new_year = f"{now[:4]}-01-01"
    return {
        "full_order_info": {
            "order_info": {
                "tid": trade.order_no,
                "status": status,
                "status_str": "已付款" if paid else "待付款",
                "type": 0,
                "pay_type": 10 if paid else 0,
                "close_type": 0,
                "express_type": 0,
                "refund_state": 0,
                "team_type": 0,
                "created": f"{new_year} 00:00:00",
                "expired_time": f"{new_year} 01:00:00",
                "update_time": now,
                "pay_time": now if paid else "",
                "consign_time": "",
                "confirm_time": "",
                "success_time": "",
                "is_retail_order": False,
                "order_extra": {"is_from_cart": "true", "buyer_name": "一笑而过"},
                "order_tags": {"is_payed": paid, "is_secured_transactions": True},
            },
            "orders": lines,
            "pay_info": {
                "total_fee": _yuan(goods),
                "post_fee": _yuan(post_fee),
                "payment": _yuan(trade.amount),
                "transaction": [f"19032610{trade.serial}"] if paid else [],
                "outer_transactions": [f"42000002{trade.serial}"] if paid else [],
                "phase_payments": list(phases),
            },
            "address_info": {
                "receiver_name": "张三",
                "receiver_tel": "13800138000",
                "delivery_province": "四川省",
                "delivery_city": "成都市",
                "delivery_district": "高新区",
                "delivery_address": "天府软件园 A+B 座 100%",
                "delivery_postal_code": "610041",
                "address_extra": '{"areaCode":"510191"}',
                "self_fetch_info": "",
            },
            "buyer_info": {
                "buyer_id": int(hashlib.sha256(trade.serial.encode()).hexdigest()[:8], 16) + 1,
                "buyer_phone": "13800138000",
                "fans_id": 814710568,
                "fans_type": 9,
                "fans_nickname": "一笑而过",
                "outer_user_id": "oHIuujjq9q4n0oxoyfTskwyP6hbk",
            },
            "remark_info": {"buyer_message": "尽快发货", "star": None, "trade_memo": None},
            "source_info": {"is_offline_order": False, "source": {"platform": "wx"}},
            "child_info": None,
        },
        "order_promotion": {
            "adjust_fee": "0.00",
            "item_discount_fee": None,
            "order_discount_fee": _yuan(off),
            "item": None,
            "order": [{"promotion_type": "meetReduce", "discount_fee": _yuan(off)}],
        },
        "delivery_order": [],
        "refund_order": [],
        "qr_info": None,
    }


def _line(n: int, left: Decimal) -> dict[str, Any]:
    return {
        "oid": f"150738735027716396{n}",
        "item_id": 457846930 + n,
        "sku_id": 0,
        "outer_item_id": f"800{n}",
        "outer_sku_id": "",
        "title": f"测试00{n}",
        "num": 1,
        "price": _yuan(left + Decimal("0.50")),
        "discount_price": _yuan(left),
        "total_fee": _yuan(left),
        "payment": _yuan(left),
        "points_price": "0",
        "item_type": 0,
        "is_present": False,
        "alias": "3f59qbxc8jsds",
        "sku_properties_name": "[]",
        "buyer_messages": "",
        "is_pre_sale": "null",
        "pic_path": "https://img.yzcdn.cn/upload_files/2019/03/25/FqMXNLv.jpg",
        "goods_url": "https://h5.youzan.com/v2/showcase/goods?alias=3f59qbxc8jsds",
    }


def _yuan(amount: Decimal) -> str:
    if amount != amount.quantize(Decimal("0.01")):
        raise ValueError("amounts are in CNY, with two decimals at most")
    return f"{amount:.2f}"
