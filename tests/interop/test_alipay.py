"""Alipay against the official alipay-sdk-python, and against python-alipay-sdk.

Both know how to sign and how to verify. Only the official one knows other charsets than UTF-8,
and only the other one the certificate mode.
"""

import importlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings

from gateway.domain import events
from gateway.providers import alipay, contract
from ops.simulators import alipay as simulated
from ops.simulators.contract import Account, Kind, Posted, Trade
from ops.simulators.shared import sorted_forms
from tests.interop.elsewhere import Elsewhere
from tests.providers.support import account, message, tampered, verdict

# The package has no types.
sdk: Any = importlib.import_module("alipay")

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
TRADE = Trade("I1", "SO-1001", Decimal("199.00"), Decimal("9.01"), "CNY")
KINDS: list[Kind] = sorted(simulated.KINDS)
PROVIDER = simulated.create()
SIMULATOR = simulated.simulator(PROVIDER)
ADAPTER = alipay.adapter(account(*PROVIDER.secrets, **PROVIDER.options))
CHARSETS: list[simulated.Charset] = ["utf-8", "gbk", "gb2312"]

_VERIFY = """
import json, sys
import rsa
from alipay.aop.api.util import SignatureUtils

asked = json.load(sys.stdin)
results = []
for case in asked["cases"]:
    fields = case["fields"]
    sign = fields.pop("sign")
    fields.pop("sign_type")
    text = SignatureUtils.get_sign_content(fields).encode(case["charset"])
    try:
        results.append(SignatureUtils.verify_with_rsa(asked["key"], text, sign))
    except rsa.VerificationError:
        results.append(False)
print(json.dumps(results))
"""

_SIGN = """
import json, sys
from alipay.aop.api.util import SignatureUtils

asked = json.load(sys.stdin)
text = SignatureUtils.get_sign_content(asked["fields"])
print(json.dumps(SignatureUtils.sign_with_rsa2(asked["key"], text, asked["charset"])))
"""


def bare(made: bytes) -> str:
    """Take the lines that mark PEM away: both clients put them there themselves."""
    return "".join(made.decode().strip().splitlines()[1:-1])


def private_key(ours: Account) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(ours.private["key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def pkcs1(ours: Account) -> bytes:
    return private_key(ours).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def fields_of(posted: Posted, codec: str = "utf-8") -> dict[str, str]:
    pairs = parse_qsl(
        posted.body.decode(), keep_blank_values=True, strict_parsing=True, encoding=codec
    )
    return dict(pairs)


def read(ours: contract.Adapter, posted: Posted) -> contract.Reading:
    return ours.read(message(posted.body, posted.headers))


CLIENT = sdk.AliPay(
    appid=PROVIDER.options["app_id"],
    app_private_key_string=pkcs1(PROVIDER).decode(),
    alipay_public_key_string=PROVIDER.secrets[0],
    sign_type="RSA2",
)


def is_accepted_by(client: Any, body: bytes) -> bool:
    """Ask a client for its verdict on a form that is one."""
    fields = fields_of(Posted({}, body))
    return bool(client.verify(fields, fields.pop("sign")))


def public_certificate() -> str:
    """Certify Alipay's key: the "Alipay public certificate" of the certificate mode."""
    key, name = private_key(PROVIDER), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ant")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, AT, AT + timedelta(days=1))
    made = builder.sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("charset", CHARSETS)
def test_the_official_client_verifies_what_we_simulate(
    elsewhere: Elsewhere, charset: simulated.Charset
) -> None:
    """Every kind in every charset, and no forgery that it can detect."""
    ours = simulated.create(charset=charset)
    simulator = simulated.simulator(ours)
    true = [simulator.message(kind, TRADE, at=AT) for kind in KINDS]
    forged = [
        simulator.forged("foreign_key", "paid", TRADE, at=AT),
        simulator.forged("changed", "paid", TRADE, at=AT),
    ]
    codec = "gbk" if charset == "gb2312" else charset
    cases: list[Any] = [
        {"fields": fields_of(each, codec), "charset": codec} for each in (*true, *forged)
    ]
    assert "龙井茶 & 杯子 100% + 1" in {case["fields"]["subject"] for case in cases}
    results = elsewhere.run(_VERIFY, key=bare(ours.secrets[0].encode()), cases=cases)
    assert results == [True] * len(true) + [False] * len(forged)
    adapter = alipay.adapter(account(*ours.secrets, **ours.options))
    assert all(read(adapter, each).items for each in true)


@pytest.mark.parametrize("charset", CHARSETS)
def test_we_accept_what_the_official_client_signs(
    elsewhere: Elsewhere, charset: simulated.Charset
) -> None:
    """It joins and signs the fields of a notice; ours reads what it read before."""
    ours = simulated.create(charset=charset)
    codec = "gbk" if charset == "gb2312" else charset
    posted = simulated.simulator(ours).message("partial_refund", TRADE, at=AT)
    fields = {
        **fields_of(posted, codec),
        "subject": "a=b&c 丂%26+é" if charset == "utf-8" else "茶",
    }
    del fields["sign"], fields["sign_type"]
    sign = elsewhere.run(_SIGN, key=bare(pkcs1(ours)), charset=codec, fields=fields)
    again = sorted_forms.posted({**fields, "sign_type": "RSA2", "sign": sign}, codec=codec)
    adapter = alipay.adapter(account(*ours.secrets, **ours.options))
    assert read(adapter, again) == read(adapter, posted)


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_client_verifies_what_we_simulate(kind: Kind) -> None:
    """Every kind is true for python-alipay-sdk, also with a certificate for a key."""
    posted = SIMULATOR.message(kind, TRADE, at=AT)
    assert is_accepted_by(CLIENT, posted.body)
    certificate = public_certificate()
    in_certificate_mode = sdk.DCAliPay(
        appid=PROVIDER.options["app_id"],
        app_private_key_string=pkcs1(PROVIDER).decode(),
        app_public_key_cert_string=certificate,
        alipay_public_key_cert_string=certificate,
        alipay_root_cert_string=certificate,
    )
    assert is_accepted_by(in_certificate_mode, posted.body)
    with_certificate = alipay.adapter(account(certificate, **PROVIDER.options))
    assert read(with_certificate, posted) == read(ADAPTER, posted)


@pytest.mark.parametrize("how", ["foreign_key", "changed"])
def test_the_other_client_rejects_forgeries(how: Any) -> None:
    """Both reject a forgery. Whose notice it is, the client does not check."""
    posted = SIMULATOR.forged(how, "paid", TRADE, at=AT)
    assert not is_accepted_by(CLIENT, posted.body)
    assert verdict(ADAPTER, message(posted.body, posted.headers)) is None


def test_we_accept_what_the_other_client_signs() -> None:
    """A form that it signed and encoded is a payment, including special characters."""
    posted = SIMULATOR.message("paid", TRADE, at=AT)
    fields = {**fields_of(posted), "subject": "a=b&c 丂%26+é 100%"}
    del fields["sign"], fields["sign_type"]
    body = CLIENT.sign_data(fields) + "&sign_type=RSA2"
    (item,) = read(ADAPTER, Posted({}, body.encode())).items
    assert isinstance(item.event, events.PaymentSucceeded)
    assert (item.event.order_no, item.event.amount) == ("SO-1001", Decimal("199.00"))


TRUE = SIMULATOR.message("paid", TRADE, at=AT)


@settings(max_examples=200)
@given(tampered(TRUE.body))
def test_we_never_accept_what_the_other_client_rejects(body: bytes) -> None:
    """Whatever is tampered with: what the adapter accepts, the client accepts."""
    if verdict(ADAPTER, message(body, TRUE.headers)) is not None:
        assert is_accepted_by(CLIENT, body)
