"""Simulated Kuaidi100: the track of a parcel, pushed at each change.

A repeat is the same in every byte. No message names an order; the parcel's number is made from
the trade's serial. A message does not name the merchant, so there is none of another one.
"""

import hashlib
import json
import secrets
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from ops.simulators.contract import Account, Forgery, Kind, Posted, Trade

KINDS: frozenset[Kind] = frozenset({"shipped", "delivered"})
FORGERIES: frozenset[Forgery] = frozenset({"foreign_key", "changed", "unsigned"})
#: Not used in messages; a trade needs a currency.
CURRENCIES = ("CNY",)

_GMT8 = timezone(timedelta(hours=8))


def create() -> Account:
    """Make a new account with its own salt."""
    return Account(secrets=(secrets.token_hex(8),), options={}, private={})


def simulator(account: Account) -> "Kuaidi100":
    """Return the simulated service for the account's salt."""
    return Kuaidi100(account)


def transaction_no(trade: Trade) -> str:
    """Return the tracking number: a courier knows no payment."""
    return f"YT{trade.serial}"


class Kuaidi100:
    """The service, pushing the parcels subscribed to under one salt."""

    def __init__(self, account: Account) -> None:
        self._salt = account.secrets[0]

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        """Make a push. A repeat is the same in every byte."""
        param = _param(kind, trade, at)
        return _posted({"sign": _sign(param, self._salt), "param": param})

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        """Make a push that must be rejected."""
        param = _param(kind, trade, at)
        sign = _sign(param, self._salt[::-1] if how == "foreign_key" else self._salt)
        if how == "changed":
            param = param.replace('"nu":"', '"nu":"9')
        return _posted({"param": param} if how == "unsigned" else {"sign": sign, "param": param})

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Require 200 and ``result`` true with code 200."""
        try:
            answer = json.loads(body)
        except ValueError:
            return False
        return (
            status == 200
            and isinstance(answer, dict)
            and answer.get("result") is True
            and answer.get("returnCode") == "200"
        )


def _posted(form: dict[str, str]) -> Posted:
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    return Posted(headers, urlencode(form).encode())


def _sign(param: str, salt: str) -> str:
    return hashlib.md5((param + salt).encode(), usedforsecurity=False).hexdigest().upper()


def _param(kind: Kind, trade: Trade, at: datetime) -> str:
    is_delivered = kind == "delivered"
    track = [_scan(at, "在途" if is_delivered else "揽收", "[成都市] 快件已揽收 100% +1 & 备注")]
    if is_delivered:
        track.insert(0, _scan(at + timedelta(hours=20), "签收", "[北京市] 已签收 本人签收"))
    content = {
        "status": "shutdown" if is_delivered else "polling",
        "billstatus": "check" if is_delivered else "got",
        "message": "",
        "autoCheck": "0",
        "comOld": "",
        "comNew": "",
        "lastResult": {
            "message": "ok",
            "nu": f"YT{trade.serial}",
            "ischeck": "1" if is_delivered else "0",
            "condition": "F00",
            "com": "yuantong",
            "status": "200",
            "state": "3" if is_delivered else "1",
            "data": track,
        },
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _scan(at: datetime, status: str, context: str) -> dict[str, Any]:
    time = f"{at.astimezone(_GMT8):%Y-%m-%d %H:%M:%S}"
    return {
        "context": context,
        "time": time,
        "ftime": time,
        "status": status,
        "areaCode": "CN510100000000",
        "areaName": "四川,成都市",
    }
