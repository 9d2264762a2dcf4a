"""The independent clients: each made ready outside the measurement, then given one message.

Each does with it what its documentation tells a merchant to do on a callback: verify, and decode
where it offers that. PayPal's library has another environment and is timed there.
"""

import base64
import importlib
import json
import tempfile
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import standardwebhooks
import stripe
from Adyen import util
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from doudian import AppType, DouDian  # type: ignore[import-untyped]  # carries no types

from ops.simulators.contract import Account, Posted
from ops.simulators.shared import apiv3

#: Verifies and decodes one message; raises or answers falsely when it does not believe it.
Reader = Callable[[], object]


def adyen(account: Account, posted: Posted) -> Reader:
    """Adyen's own library, on the decoded body."""
    key = account.secrets[0]
    return lambda: util.is_valid_hmac_notification(json.loads(posted.body), key)


def alipay(account: Account, posted: Posted) -> Reader:
    """Give the community client ``python-alipay-sdk`` the decoded form."""
    sdk: Any = importlib.import_module("alipay")
    key = serialization.load_pem_private_key(account.private["key"].encode(), None)
    client = sdk.AliPay(
        appid=account.options["app_id"],
        app_private_key_string=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ).decode(),
        alipay_public_key_string=account.secrets[0],
        sign_type="RSA2",
    )

    def read() -> bool:
        fields = dict(parse_qsl(posted.body.decode(), keep_blank_values=True))
        return bool(client.verify(fields, fields.pop("sign")))

    return read


def doudian(account: Account, posted: Posted) -> Reader:
    """Let the community client verify and decode; the content is JSON in JSON, left to us."""
    app_key = str(account.options["app_key"])
    client = DouDian(app_key, account.secrets[0], app_type=AppType.TOOL)
    headers = dict(posted.headers)

    def read() -> list[Any]:
        return [json.loads(item["data"]) for item in client.callback(headers, posted.body)]

    return read


def douyin_pay(account: Account, posted: Posted) -> Reader:
    """Let the community client verify, decrypt and decode, with the certificate at hand."""
    sdk: Any = importlib.import_module("douyinpay")
    certificates: Any = importlib.import_module("douyinpay._certificate")
    cipher: Any = importlib.import_module("douyinpay._cipher")
    config = sdk.Config(
        mchid=str(account.options["mchid"]),
        serial_no="41A48FEF2A9F04C5",
        private_key=account.private["certificate"],
        encrypt_key=account.secrets[0],
    )
    (certificate,) = apiv3.options_of(account, "certificates")
    nonce, text = cipher.aes_encrypt(config.encrypt_key_bytes, certificate.encode(), b"")
    listed = {
        "cert_type": "RSA",
        "cert_no": f"{x509.load_pem_x509_certificate(certificate.encode()).serial_number:040X}",
        "encrypt_certificate": {
            "nonce": nonce.decode(),
            "cipher_text": base64.b64encode(text).decode(),
        },
    }
    manager = certificates.CertificateManager(config.encrypt_key_bytes)
    manager.set_fetcher(lambda: {"certificates": [listed]})
    parser = sdk.NotificationParser(config, manager)
    names = ("Signature", "Timestamp", "Nonce", "Serial")
    signature, timestamp, nonce_, serial = (posted.headers[f"Douyinpay-{name}"] for name in names)
    body = posted.body.decode()
    return lambda: parser.parse(
        signature=signature, timestamp=timestamp, nonce=nonce_, serial=serial, body=body
    )


def standard_webhooks(account: Account, posted: Posted) -> Reader:
    """Let the specification's own library verify and decode."""
    client = standardwebhooks.Webhook(account.secrets[0])
    headers = dict(posted.headers)
    return lambda: client.verify(posted.body, headers)


def stripe_(account: Account, posted: Posted) -> Reader:
    """Stripe's own library, which constructs the event."""
    signature = posted.headers["Stripe-Signature"]
    return lambda: stripe.Webhook.construct_event(posted.body, signature, account.secrets[0])


def wechatpay(account: Account, posted: Posted) -> Reader:
    """Let the community client verify, decrypt and decode, with the public key at hand."""
    sdk: Any = importlib.import_module("wechatpayv3")
    (key,) = apiv3.options_of(account, "public_keys")
    client = sdk.WeChatPay(
        wechatpay_type=sdk.WeChatPayType.JSAPI,
        mchid=account.options["mchid"],
        private_key=account.private["public_key"],
        cert_serial_no="444F4864EA9B34415",
        appid="wx8888888888888888",
        apiv3_key=account.secrets[0],
        cert_dir=tempfile.mkdtemp(prefix="tidegate-bench-"),
        public_key=key["pem"],
        public_key_id=key["id"],
    )
    return lambda: client.callback(posted.headers, posted.body)


#: By provider: the client's name, and what makes it ready. The others have no client to import.
CLIENTS: Mapping[str, tuple[str, Callable[[Account, Posted], Reader]]] = {
    "adyen": ("Adyen", adyen),
    "alipay": ("python-alipay-sdk", alipay),
    "doudian": ("doudian", doudian),
    "douyin_pay": ("douyinpay", douyin_pay),
    "standard_webhooks": ("standardwebhooks", standard_webhooks),
    "stripe": ("stripe", stripe_),
    "wechatpay": ("wechatpayv3", wechatpay),
}
