"""Notices of Alipay, and how the tests sign them."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from gateway.domain import events
from gateway.providers import alipay, contract

from .support import account, message

ALIPAYS_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
APP_ID, SELLER_ID = "2021000117654321", "2088102146225135"

PAID_AT = datetime(2026, 11, 23, 3, 59, 30, tzinfo=UTC)
REFUNDED_AT = datetime(2026, 11, 24, 1, 0, 0, 321000, tzinfo=UTC)
NOTIFIED_AT = datetime(2026, 11, 23, 4, 0, 0, tzinfo=UTC)

FIELDS = {
    "app_id": APP_ID,
    "auth_app_id": APP_ID,
    "body": "",
    "buyer_id": "2088102116773037",
    "buyer_logon_id": "159****5620",
    "charset": "utf-8",
    "fund_bill_list": '[{"amount":"88.80","fundChannel":"ALIPAYACCOUNT"}]',
    "gmt_create": "2026-11-23 11:59:00",
    "gmt_payment": "2026-11-23 11:59:30",
    "notify_id": "2026112300222115930010000000000001",
    "notify_time": "2026-11-23 12:00:00",
    "notify_type": "trade_status_sync",
    "out_trade_no": "SO-1001",
    "passback_params": "a%3D1%26b%3D2+c",
    "seller_email": "shop@example.com",
    "seller_id": SELLER_ID,
    "subject": "茶 & 杯=一 100% +1",
    "total_amount": "88.80",
    "trade_no": "2026112322001473030500000001",
    "trade_status": "TRADE_SUCCESS",
    "version": "1.0",
}
REFUND = {
    "gmt_refund": "2026-11-24 09:00:00.321",
    "notify_id": "2026112400222090000010000000000002",
    "out_biz_no": "R-1",
    "refund_fee": "8.80",
}
PAYMENT = events.PaymentSucceeded(
    "2026112322001473030500000001", "SO-1001", Decimal("88.80"), "CNY", PAID_AT
)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        .decode()
    )  # fmt: skip


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


ADAPTER = alipay.adapter(account(pem(ALIPAYS_KEY), app_id=APP_ID))


def signed(
    fields: Mapping[str, str],
    *,
    key: rsa.RSAPrivateKey = ALIPAYS_KEY,
    codec: str = "utf-8",
    algorithm: hashes.HashAlgorithm = hashes.SHA256(),  # noqa: B008 - has no state
    sign_type: str = "RSA2",
    keep_sign_type: bool = False,
    keep_empty: bool = True,
) -> list[tuple[str, bytes]]:
    """Sign the fields and return all of them, encoded but not yet escaped."""
    if keep_sign_type:
        fields = {**fields, "sign_type": sign_type}
    names = [name for name in sorted(fields) if keep_empty or fields[name]]
    text = "&".join(f"{name}={fields[name]}" for name in names).encode(codec)
    signature = base64.b64encode(key.sign(text, padding.PKCS1v15(), algorithm))
    form = [(name, value.encode(codec)) for name, value in fields.items()]
    if not keep_sign_type:
        form.append(("sign_type", sign_type.encode()))
    return [*form, ("sign", signature)]


def encoded(form: list[tuple[str, bytes]]) -> bytes:
    return b"&".join(f"{quote_plus(name)}={quote_plus(value)}".encode() for name, value in form)


def notice(changes: Mapping[str, str | None] = {}, **how: Any) -> contract.Message:
    """Build a signed notice of a payment with some of its fields changed or, by None, left out."""
    merged = {**FIELDS, **changes}
    return posted(encoded(signed({k: v for k, v in merged.items() if v is not None}, **how)))


def posted(body: bytes) -> contract.Message:
    return message(body, {"content-type": "application/x-www-form-urlencoded"})


PAID = notice()
