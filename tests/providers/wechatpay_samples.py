"""Callbacks of WeChat Pay, and an account in the middle of its move to the public key."""

from typing import Any

from cryptography import x509

from gateway.providers import contract, wechatpay
from ops.simulators.shared import rsa_keys

from . import apiv3_samples
from .apiv3_samples import APP, CERTIFICATE, KEY, MCHID, NEXT_KEY, PAYMENT, SECRET, callback
from .support import account

SERIAL = f"{x509.load_pem_x509_certificate(CERTIFICATE.encode()).serial_number:040X}"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000001092026112300000000000001"
OPTIONS: dict[str, Any] = {
    "mchid": MCHID,
    "appids": [APP],
    "certificates": [CERTIFICATE],
    "public_keys": [{"id": PUBLIC_KEY_ID, "pem": rsa_keys.public_pem(NEXT_KEY)}],
}


def adapter(*secrets: str, **changes: Any) -> contract.Adapter:
    return wechatpay.adapter(account(*(secrets or (SECRET,)), **(OPTIONS | changes)))


def signed(content: Any, *, serial: str = SERIAL, **how: Any) -> contract.Message:
    how.setdefault("key", NEXT_KEY if serial == PUBLIC_KEY_ID else KEY)
    return apiv3_samples.signed("Wechatpay", content, serial=serial, **how)


ADAPTER = adapter()
PAID = signed(callback("TRANSACTION.SUCCESS", PAYMENT))
