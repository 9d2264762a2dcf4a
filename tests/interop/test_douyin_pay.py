"""Douyin Pay against the official bytedance-douyinpay and against douyinpay."""

import base64
import importlib
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from multidict import CIMultiDict

from gateway.domain import errors, events
from gateway.providers import contract, douyin_pay
from ops.simulators import douyin_pay as simulated
from ops.simulators.contract import Posted, Trade
from ops.simulators.shared import apiv3
from tests.interop.elsewhere import Elsewhere
from tests.providers.support import account

# The package has no types.
sdk: Any = importlib.import_module("douyinpay")
auth: Any = importlib.import_module("douyinpay._auth")
cipher: Any = importlib.import_module("douyinpay._cipher")
certificates: Any = importlib.import_module("douyinpay._certificate")

PROVIDER = simulated.create()
SIMULATOR = simulated.simulator(PROVIDER)
ADAPTER = douyin_pay.adapter(account(*PROVIDER.secrets, **PROVIDER.options))
(CERTIFICATE,) = apiv3.options_of(PROVIDER, "certificates")
SERIAL = f"{x509.load_pem_x509_certificate(CERTIFICATE.encode()).serial_number:040X}"
TRADE = Trade("I1", "SO-1001", Decimal("199.00"), Decimal("9.01"), "CNY")

_PARSE = """
import json, sys
from bytedance import douyinpay
asked = json.load(sys.stdin)
answers = []
for posted in asked["posted"]:
    try:
        parsed = douyinpay.parse_callback(
            posted["headers"],
            posted["body"],
            encrypt_key=asked["key"],
            certs={asked["serial"]: asked["certificate"]},
        )
        answers.append(
            {"id": parsed.id, "event_type": parsed.event_type, "content": parsed.content}
        )
    except douyinpay.DouYinPayError as error:
        answers.append({"refused": type(error).__name__})
print(json.dumps(answers))
"""

_SIGN = """
import json, sys
from bytedance.douyinpay.crypto import aes, rsa
from bytedance.douyinpay.formatter import build_response_verify_message, generate_nonce
asked = json.load(sys.stdin)
body = asked["body"]
nonce = generate_nonce(12)
body["resource"] = {
    "original_type": "transaction",
    "algorithm": "AEAD_AES_256_GCM",
    "associated_data": "transaction",
    "nonce": nonce,
    "ciphertext": aes.aes_encrypt(asked["resource"], asked["key"], nonce, "transaction"),
}
text = json.dumps(body, ensure_ascii=False)
nonce = generate_nonce()
message = build_response_verify_message(asked["at"], nonce, text)
signature = rsa.rsa_sign(message, rsa.load_rsa_private_key(asked["private_key"]))
print(json.dumps({"body": text, "nonce": nonce, "signature": signature}))
"""


def read(body: bytes, headers: Any, *, now: datetime) -> contract.Reading:
    return ADAPTER.read(contract.Message(CIMultiDict(headers), body, now))


def simulate(kind: Any, *, now: datetime) -> Posted:
    return SIMULATOR.message(kind, TRADE, at=now)


def parser(key: str = PROVIDER.secrets[0]) -> Any:
    """Make the community client, which fetched our certificate as from the platform."""
    config = sdk.Config(
        mchid=str(PROVIDER.options["mchid"]),
        serial_no="41A48FEF2A9F04C5",
        private_key=PROVIDER.private["certificate"],
        encrypt_key=key,
    )
    manager = certificates.CertificateManager(config.encrypt_key_bytes)
    nonce, text = cipher.aes_encrypt(config.encrypt_key_bytes, CERTIFICATE.encode(), b"")
    listed = {
        "cert_type": "RSA",
        "cert_no": SERIAL,
        "encrypt_certificate": {
            "nonce": nonce.decode(),
            "cipher_text": base64.b64encode(text).decode(),
        },
    }
    manager.set_fetcher(lambda: {"certificates": [listed]})
    return sdk.NotificationParser(config, manager)


def parsed(posted: Posted) -> Any:
    names = ("Signature", "Timestamp", "Nonce", "Serial")
    values = {name.lower(): posted.headers[f"Douyinpay-{name}"] for name in names}
    return parser().parse(body=posted.body.decode(), **values)


def check_same(posted: Posted, kind: str, content: Any, *, now: datetime) -> None:
    """Compare what a client decrypted with what our adapter read."""
    (item,) = read(posted.body, posted.headers, now=now).items
    assert isinstance(item.event, events.PaymentSucceeded | events.RefundSucceeded)
    assert item.event.transaction_id == content["transaction_id"]
    assert item.event.order_no == content["out_trade_no"]
    assert item.event.amount * 100 == content["amount"]["total" if kind == "paid" else "refund"]


def test_the_official_client_verifies_what_we_simulate(elsewhere: Elsewhere, now: datetime) -> None:
    """``parse_callback`` verifies and decrypts every kind, and rejects what is forged."""
    kinds = ["paid", "partial_refund", "refund"]
    genuine = [simulate(kind, now=now) for kind in kinds]
    forged = [
        SIMULATOR.forged(how, "paid", TRADE, at=now) for how in ("foreign_key", "changed", "stale")
    ]
    answers = elsewhere.run(
        _PARSE,
        posted=[
            {"headers": dict(each.headers), "body": each.body.decode()} for each in genuine + forged
        ],
        key=PROVIDER.secrets[0],
        serial=SERIAL,
        certificate=CERTIFICATE,
    )
    for kind, posted, answer in zip(kinds, genuine, answers, strict=False):
        assert answer["id"] == read(posted.body, posted.headers, now=now).items[0].key
        check_same(posted, kind, answer["content"], now=now)
    for posted, answer in zip(forged, answers[len(genuine) :], strict=True):
        assert answer == {"refused": "DouYinPaySignatureError"}
        with pytest.raises(errors.Rejected):
            read(posted.body, posted.headers, now=now)


def test_our_adapter_verifies_what_the_official_client_signs(
    elsewhere: Elsewhere, now: datetime
) -> None:
    """Encrypted and signed by the official package, a payment is read."""
    at = int(now.timestamp())
    resource = {
        "mchid": PROVIDER.options["mchid"],
        "out_trade_no": "SO7",
        "transaction_id": "DP1",
        "trade_state": "SUCCESS",
        "attach": "备注",
        "success_time": "2026-11-23T19:58:34+08:00",
        "amount": {"total": 1, "currency": "CNY"},
    }
    body = json.loads(simulate("paid", now=now).body)
    signed = elsewhere.run(
        _SIGN,
        body=body,
        resource=json.dumps(resource),
        key=PROVIDER.secrets[0],
        private_key=PROVIDER.private["certificate"],
        at=at,
    )
    headers = {
        "Douyinpay-Timestamp": str(at),
        "Douyinpay-Nonce": signed["nonce"],
        "Douyinpay-Serial": SERIAL,
        "Douyinpay-Signature": signed["signature"],
    }
    (item,) = read(signed["body"].encode(), headers, now=now).items
    assert isinstance(item.event, events.PaymentSucceeded)
    assert (item.event.order_no, item.event.amount) == ("SO7", Decimal("0.01"))


@pytest.mark.parametrize("kind", ["paid", "partial_refund", "refund"])
def test_the_community_client_verifies_what_we_simulate(kind: Any, now: datetime) -> None:
    """``NotificationParser`` verifies and decrypts what the simulator signs."""
    posted = simulate(kind, now=now)
    check_same(posted, kind, parsed(posted), now=now)


@pytest.mark.parametrize("how", ["foreign_key", "changed", "stale"])
def test_the_community_client_rejects_forgeries(how: Any, now: datetime) -> None:
    """What is forged convinces neither the client nor us; its window is 24 hours and 4 minutes."""
    posted = SIMULATOR.forged(how, "paid", TRADE, at=now)
    with pytest.raises(sdk.SignatureError):
        parsed(posted)
    with pytest.raises(errors.Rejected):
        read(posted.body, posted.headers, now=now)


def test_our_adapter_reads_what_the_community_client_encrypts_and_joins(now: datetime) -> None:
    """Its AES-GCM and its three lines, signed as its verification wants it, are accepted."""
    key = PROVIDER.secrets[0].encode()
    resource = json.dumps(
        {
            "mchid": PROVIDER.options["mchid"],
            "out_trade_no": "SO8",
            "transaction_id": "DP2",
            "trade_state": "SUCCESS",
            "amount": {"total": 2},
        }
    )
    nonce, ciphertext = cipher.aes_encrypt(key, resource.encode(), b"")
    content = json.loads(simulate("paid", now=now).body)
    content["resource"] = {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "nonce": nonce.decode(),
    }
    body, at = json.dumps(content), int(now.timestamp())
    private = serialization.load_pem_private_key(PROVIDER.private["certificate"].encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    text = auth.build_verify_message(at, "n", body)
    signature = private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    encoded = base64.b64encode(signature).decode()
    assert auth.verify_signature(text, encoded, CERTIFICATE)
    headers = {
        "Douyinpay-Timestamp": str(at),
        "Douyinpay-Nonce": "n",
        "Douyinpay-Serial": SERIAL,
        "Douyinpay-Signature": encoded,
    }
    (item,) = read(body.encode(), headers, now=now).items
    assert isinstance(item.event, events.PaymentSucceeded)
    assert item.event.amount == Decimal("0.02")
