"""Messages of Adyen, and how the tests sign them."""

import base64
import hmac
import json
from datetime import UTC, datetime
from typing import Any

from gateway.providers import adyen, contract

from .support import account, message

SECRET = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
NEXT_SECRET = "009E9E92268087AAD241638D3325201AFE8AAE6F3DCD369B6D32E87129FFAB10"
OPTIONS: dict[str, Any] = {"merchant_account": "TestMerchant"}
ADAPTER = adyen.adapter(account(SECRET, **OPTIONS))
AT = datetime(2026, 11, 23, 11, 59, 30, tzinfo=UTC)

PAYMENT: dict[str, Any] = {
    "additionalData": {"authCode": "1234", "cardSummary": "7777"},
    "amount": {"currency": "EUR", "value": 19900},
    "eventCode": "AUTHORISATION",
    "eventDate": "2026-11-23T12:59:30+01:00",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "SO-1001",
    "operations": ["CANCEL", "CAPTURE", "REFUND"],
    "paymentMethod": "visa",
    "pspReference": "NC6HT9CRT65ZGN82",
    "reason": "1234:7777:12/2030",
    "success": "true",
}
REFUND: dict[str, Any] = PAYMENT | {
    "amount": {"currency": "EUR", "value": 900},
    "eventCode": "REFUND",
    "merchantReference": "return-7",
    "originalReference": "NC6HT9CRT65ZGN82",
    "pspReference": "KHQC5N7G84BLNK43",
}


def text(item: dict[str, Any]) -> str:
    """Join what Adyen signs of an item."""
    amount = item.get("amount") or {}
    names = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
    values = [item.get(name) for name in names]
    values += [amount.get("value"), amount.get("currency"), item["eventCode"], item["success"]]
    return ":".join("" if value is None else str(value) for value in values)


def signature(item: dict[str, Any], *, secret: str = SECRET) -> str:
    mac = hmac.digest(bytes.fromhex(secret), text(item).encode(), "sha256")
    return base64.b64encode(mac).decode()


def with_signature(item: dict[str, Any], *, secret: str = SECRET) -> dict[str, Any]:
    additional_data = {
        **(item.get("additionalData") or {}),
        "hmacSignature": signature(item, secret=secret),
    }
    return item | {"additionalData": additional_data}


def envelope(*items: Any, live: Any = "true") -> dict[str, Any]:
    return {
        "live": live,
        "notificationItems": [{"NotificationRequestItem": item} for item in items],
    }


def posted(content: Any) -> contract.Message:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return message(body, {"Content-Type": "application/json; charset=utf-8"})


def signed(*items: dict[str, Any], secret: str = SECRET, live: Any = "true") -> contract.Message:
    """Sign every item and post them as one message."""
    return posted(envelope(*(with_signature(one, secret=secret) for one in items), live=live))


PAID = signed(PAYMENT)
