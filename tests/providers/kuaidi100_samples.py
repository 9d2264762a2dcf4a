"""Pushes of Kuaidi100, and how the tests sign them."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from gateway.providers import contract, kuaidi100

from .support import account, message

SALT = "q8ZtLw3nVb6y"
NEXT_SALT = "r9ZtLw3nVb6z"
ADAPTER = kuaidi100.adapter(account(SALT))
COLLECTED_AT = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
SIGNED_AT = datetime(2026, 11, 23, 11, 59, 0, tzinfo=UTC)

COLLECTED_SCAN = {
    "context": "[成都市] 快件已揽收 100% +1 & 备注=无",
    "time": "2026-11-22 18:00:00",
    "ftime": "2026-11-22 18:00:00",
    "status": "揽收",
}
SIGNED_SCAN = {
    "context": "[北京市] 已签收",
    "time": "2026-11-23 19:59:00",
    "ftime": "2026-11-23 19:59:00",
    "status": "签收",
}
RESULT: dict[str, Any] = {
    "message": "ok",
    "nu": "YT4846451105011",
    "ischeck": "1",
    "com": "yuantong",
    "status": "200",
    "state": "3",
    "data": [SIGNED_SCAN, COLLECTED_SCAN],
}


def param(status: str = "polling", **changes: Any) -> str:
    content = {"status": status, "message": "", "lastResult": RESULT | changes}
    return json.dumps(content, ensure_ascii=False)


def sign(text: str | bytes, *, salt: str = SALT) -> str:
    content = text.encode() if isinstance(text, str) else text
    return hashlib.md5(content + salt.encode()).hexdigest().upper()


def posted(**form: str | bytes) -> contract.Message:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return message(urlencode(form).encode(), headers)


def signed(text: str | bytes, *, salt: str = SALT) -> contract.Message:
    return posted(sign=sign(text, salt=salt), param=text)


DELIVERED = signed(param("shutdown"))
