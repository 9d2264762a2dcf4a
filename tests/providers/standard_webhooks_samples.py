"""Messages of a Standard Webhooks sender, and how the tests sign them."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.providers import contract, standard_webhooks

from .support import (
    NOW_S,
    account,
    message,
)

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NEXT_SECRET = "whsec_" + base64.b64encode(KEY[::-1]).decode()
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(KEY)
PUBLIC_SECRET = "whpk_" + base64.b64encode(PRIVATE_KEY.public_key().public_bytes_raw()).decode()
ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"

ADAPTER = standard_webhooks.adapter(account(SECRET))
ASYMMETRIC = standard_webhooks.adapter(account(PUBLIC_SECRET))

AT = datetime(2026, 11, 23, 11, 30, tzinfo=UTC)
PAYMENT: dict[str, Any] = {
    "order_no": "SO-1001",
    "transaction_id": "TX-1",
    "amount": "199.00",
    "currency": "CNY",
}
REFUND: dict[str, Any] = {
    "order_no": "SO-1001",
    "transaction_id": "TX-1",
    "refund_no": "R-1",
    "amount": "9.00",
    "currency": "CNY",
}
DISPUTE: dict[str, Any] = {
    "transaction_id": "TX-1",
    "dispute_no": "D-1",
    "amount": "9.00",
    "currency": "CNY",
}
SHIPMENT = {"order_no": "SO-1001", "carrier": "顺丰速运", "tracking_no": "SF1234567890"}


def content(kind: str, data: Any, **changes: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": "2026-11-23T19:30:00+08:00", "data": data} | changes


def hmac_entry(text: bytes, key: bytes = KEY) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode()


def ed25519_entry(text: bytes) -> str:
    return "v1a," + base64.b64encode(PRIVATE_KEY.sign(text)).decode()


def signed(
    payload: Any,
    *,
    key: str = ID,
    at: int = NOW_S,
    entry: Callable[[bytes], str] = hmac_entry,
    family: str = "webhook",
) -> contract.Message:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return message(
        body,
        {
            f"{family}-id": key,
            f"{family}-timestamp": str(at),
            f"{family}-signature": entry(b"%b.%d.%b" % (key.encode(), at, body)),
        },
    )


PAID = signed(content("payment.succeeded", PAYMENT))
