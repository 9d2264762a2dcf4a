"""Callbacks of Douyin Pay, and how the tests sign them."""

from typing import Any

from cryptography import x509

from gateway.providers import contract, douyin_pay

from . import apiv3_samples
from .apiv3_samples import APP, CERTIFICATE, MCHID, PAYMENT, SECRET, callback
from .support import account

SERIAL = f"{x509.load_pem_x509_certificate(CERTIFICATE.encode()).serial_number:X}"
OPTIONS: dict[str, Any] = {"mchid": MCHID, "appids": [APP], "certificates": [CERTIFICATE]}


def adapter(*secrets: str, **changes: Any) -> contract.Adapter:
    return douyin_pay.adapter(account(*(secrets or (SECRET,)), **(OPTIONS | changes)))


def signed(content: Any, *, serial: str = SERIAL, **how: Any) -> contract.Message:
    return apiv3_samples.signed("Douyinpay", content, serial=serial, **how)


ADAPTER = adapter()
PAID = signed(callback("PAYMENT.SUCCESS", PAYMENT))
