"""Simulated Doudian: message push, a list of messages signed as a whole.

A repeat is the same in every byte. An order number of digits only is written as a JSON number, as
the platform does.
"""

import hashlib
import json
import secrets
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from ops.simulators.contract import Account, Forgery, Kind, Posted, Trade

KINDS: frozenset[Kind] = frozenset(
    {"paid", "partial_refund", "refund", "closed", "shipped", "delivered", "ping"}
)
FORGERIES: frozenset[Forgery] = frozenset({"foreign_key", "changed", "unsigned", "not_ours"})
CURRENCIES = ("CNY",)

_GMT8 = timezone(timedelta(hours=8))
_TAGS: dict[Kind, str] = {
    "paid": "101", "shipped": "102", "delivered": "103", "closed": "106",
    "partial_refund": "206", "refund": "206", "ping": "0",
}  # fmt: skip


def create() -> Account:
    """Make a new app with its own secret."""
    return Account(
        secrets=(secrets.token_hex(18),),
        options={"app_key": "7012345678901234567", "shop_ids": ["12036350"]},
        private={},
    )


def simulator(account: Account) -> "Doudian":
    """Return the simulated platform for one app."""
    return Doudian(account)


def transaction_no(trade: Trade) -> str:
    """Return the order number: the gateway books the payment under it."""
    return trade.order_no


class Doudian:
    """The platform, pushing to one app about its first shop."""

    def __init__(self, account: Account) -> None:
        self._secret = account.secrets[0]
        self._app_key = str(account.options["app_key"])
        shop_ids = account.options["shop_ids"]
        assert isinstance(shop_ids, list | tuple)
        self._shop_id = int(shop_ids[0])

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        """Make a push of one message. A repeat is the same in every byte."""
        return self._posted(self._body(kind, trade, at, self._shop_id), self._secret)

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        """Make a push that must be rejected."""
        shop_id, app_key = self._shop_id, self._app_key
        if how == "not_ours" and kind == "ping":
            app_key += "1"  # a greeting names no shop, only the app
        elif how == "not_ours":
            shop_id += 1
        body = self._body(kind, trade, at, shop_id)
        secret = "f" + self._secret[1:][::-1] if how == "foreign_key" else self._secret
        posted = self._posted(body, secret, app_key=app_key)
        if how == "changed":
            return Posted(posted.headers, body.replace(b'"msg_id":"', b'"msg_id":"9'))
        if how == "unsigned":
            headers = {k: v for k, v in posted.headers.items() if k != "event-sign"}
            return Posted(headers, body)
        return posted

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Require 200 and code 0."""
        try:
            answer = json.loads(body)
        except ValueError:
            return False
        return status == 200 and answer == {"code": 0, "msg": "success"}

    def _posted(self, body: bytes, secret: str, *, app_key: str = "") -> Posted:
        app_key = app_key or self._app_key
        text = app_key.encode() + body + secret.encode()
        headers = {
            "Content-Type": "application/json",
            "app-id": app_key,
            "event-sign": hashlib.md5(text, usedforsecurity=False).hexdigest(),
        }
        return Posted(headers, body)

    def _body(self, kind: Kind, trade: Trade, at: datetime, shop_id: int) -> bytes:
        data: object = json.dumps(_data(kind, trade, at, shop_id), ensure_ascii=False)
        if kind == "ping":
            data = f"{at.astimezone(_GMT8):%Y-%m-%d %H:%M:%S}"
        msg_id = "0" if kind == "ping" else f"{trade.serial}:{kind}"
        content = [{"tag": _TAGS[kind], "msg_id": msg_id, "data": data}]
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _data(kind: Kind, trade: Trade, at: datetime, shop_id: int) -> dict[str, Any]:
    order_no: object = int(trade.order_no) if trade.order_no.isdigit() else trade.order_no
    seconds = int(at.timestamp())
    common = {"p_id": order_no, "shop_id": shop_id, "store_id": 0}
    if kind in ("partial_refund", "refund"):
        is_part = kind == "partial_refund"
        amount = trade.refunded if is_part else trade.amount - trade.refunded
        return {
            **common,
            "s_id": order_no,
            "aftersale_id": f"{trade.serial}{1 if is_part else 2}",
            "aftersale_status": 12,
            "aftersale_type": 1,
            "reason_code": 15,
            "refund_amount": _fen(amount),
            "refund_post_amount": 0,
            "refund_voucher_num": 0,
            "success_time": seconds,
            "update_time": at.astimezone(_GMT8).isoformat(timespec="seconds"),
        }
    trade_wide = {**common, "s_ids": [order_no], "biz": 2, "order_type": 0}
    match kind:
        case "paid":
            paid = {"pay_amount": _fen(trade.amount), "pay_time": seconds, "pay_type": 1}
            return {**trade_wide, "order_status": 2, **paid}
        case "shipped":
            logistics = {
                "express_company_id": "yunda",
                "logistics_code": f"431{trade.serial}",
            }
            receiver = {"addr": "{}", "name": "#FKgY6/yh#", "tel": "$HGuUdz#"}
            return {
                **trade_wide,
                "order_status": 3,
                "logistics_msg": logistics,
                "receiver_msg": receiver,
                "update_time": seconds,
            }
        case "delivered":
            return {**trade_wide, "order_status": 5, "complete_time": seconds}
        case _:
            why = {"cancel_time": seconds, "cancel_reason": "不想要了"}
            return {**trade_wide, "order_status": 4, **why}


def _fen(amount: Decimal) -> int:
    fen = amount.scaleb(2)
    if fen != int(fen):
        raise ValueError("amounts are in CNY, with two decimals at most")
    return int(fen)
