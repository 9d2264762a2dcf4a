"""Callbacks in the envelope of WeChat Pay and Douyin Pay, and how the tests sign them."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.providers import contract
from ops.simulators.shared import apiv3, rsa_keys

from .support import NOW_S, message

KEY = rsa_keys.make()
NEXT_KEY = rsa_keys.make()
FOREIGN_KEY = rsa_keys.make()
CERTIFICATE = apiv3.certificate_pem(KEY, subject="platform")
SECRET = "0123456789abcdefghijklmnopqrstuv"
NEXT_SECRET = "ABCDEFGHIJKLMNOPQRSTUV0123456789"
APP = "wx8888888888888888"
MCHID = "1900000109"
NONCE = "fdasflkja484w"
CREATED = datetime(2026, 11, 23, 11, 59, 0, tzinfo=UTC)
PAID_AT = datetime(2026, 11, 23, 11, 58, 34, tzinfo=UTC)

PAYMENT: dict[str, Any] = {
    "mchid": MCHID,
    "appid": APP,
    "out_trade_no": "SO-1001",
    "transaction_id": "4200000000202611231234567890",
    "trade_type": "JSAPI",
    "trade_state": "SUCCESS",
    "bank_type": "CMC",
    "attach": "备注",
    "success_time": "2026-11-23T19:58:34+08:00",
    "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
    "amount": {"total": 19900, "payer_total": 18900, "currency": "CNY", "payer_currency": "CNY"},
}
REFUND: dict[str, Any] = {
    "mchid": MCHID,
    "out_trade_no": "SO-1001",
    "transaction_id": "4200000000202611231234567890",
    "out_refund_no": "RF-1",
    "refund_id": "50300000000202611231234567890",
    "refund_status": "SUCCESS",
    "success_time": "2026-11-23T19:58:34+08:00",
    "user_received_account": "招商银行信用卡0403",
    "amount": {"total": 19900, "refund": 900, "payer_total": 18900, "payer_refund": 900},
}


def encrypted(
    content: Any, /, *, secret: bytes = SECRET.encode(), **changes: Any
) -> dict[str, Any]:
    """Encrypt the content of a callback; bytes are JSON already."""
    plain = content if isinstance(content, bytes) else json.dumps(content).encode()
    extra = changes.get("associated_data", "transaction") or ""
    ciphertext = AESGCM(secret).encrypt(b"0123456789ab", plain, extra.encode())
    return {
        "original_type": "transaction",
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "associated_data": "transaction",
        "nonce": "0123456789ab",
    } | changes


def callback(kind: str, content: Any, /, **changes: Any) -> dict[str, Any]:
    """Make the body of a callback."""
    return {
        "id": "EV-2018022511223320873",
        "create_time": "2026-11-23T19:59:00+08:00",
        "resource_type": "encrypt-resource",
        "event_type": kind,
        "summary": "支付成功",
        "resource": encrypted(content),
    } | changes


def headers(
    name: str,
    body: bytes,
    *,
    serial: str,
    key: rsa.RSAPrivateKey = KEY,
    at: int = NOW_S,
    nonce: str = NONCE,
) -> dict[str, str]:
    """Sign a body."""
    text = b"%d\n%b\n%b\n" % (at, nonce.encode(), body)
    signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return {
        f"{name}-Timestamp": str(at),
        f"{name}-Nonce": nonce,
        f"{name}-Serial": serial,
        f"{name}-Signature": base64.b64encode(signature).decode(),
    }


def signed(name: str, content: Any, *, serial: str, **how: Any) -> contract.Message:
    """Sign a body, or JSON to be one."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return message(body, headers(name, body, serial=serial, **how))
