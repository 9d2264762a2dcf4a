"""Notices of UnionPay, its authority, and how the tests sign them."""

import base64
import functools
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from gateway.domain import events
from gateway.providers import contract, unionpay

from .support import NOW, account, message

UNIONPAY = "中国银联股份有限公司"
MER_ID = "777290058110048"
PAID_AT = datetime(2026, 11, 23, 3, 59, 30, tzinfo=UTC)
REFUNDED_AT = datetime(2026, 11, 24, 1, 0, 0, tzinfo=UTC)

#: The fields of a notice that UnionPay's own demo shows, with other numbers.
FIELDS = {
    "accNo": "6226********0048",
    "accessType": "0",
    "bizType": "000201",
    "currencyCode": "156",
    "encoding": "UTF-8",
    "merId": MER_ID,
    "orderId": "SO1001000001",
    "payCardType": "01",
    "queryId": "201703241011516777928",
    "reqReserved": "VXNlcklEPTI5MzAyJkl0ZW1JRD0x",
    "reserved": "{cardType=01&note=a+b 100%}",
    "respCode": "00",
    "respMsg": "成功[0000000]",
    "settleAmt": "8880",
    "settleCurrencyCode": "156",
    "settleDate": "1123",
    "signMethod": "01",
    "traceNo": "677792",
    "traceTime": "1123115930",
    "txnAmt": "8880",
    "txnSubType": "01",
    "txnTime": "20261123115930",
    "txnType": "01",
    "version": "5.1.0",
}
PAYMENT = events.PaymentSucceeded(
    "201703241011516777928", "SO1001000001", Decimal("88.80"), "CNY", PAID_AT
)
#: What of it is otherwise in the notice of a refund.
REFUND: dict[str, str | None] = {
    "orderId": "R10010001",
    "origQryId": PAYMENT.transaction_id,
    "queryId": "052401051658427863998",
    "settleAmt": "880",
    "traceTime": "1124090000",
    "txnAmt": "880",
    "txnSubType": "00",
    "txnTime": "20261124090000",
    "txnType": "04",
}
REFUNDED = events.RefundSucceeded(
    transaction_id=PAYMENT.transaction_id,
    order_no="",
    refund_no="052401051658427863998",
    amount=Decimal("8.80"),
    cumulative=False,
    currency="CNY",
    occurred_at=REFUNDED_AT,
)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@functools.cache
def new_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Make a key once for all tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def named(common_name: str, organisation: str = "CFCA") -> x509.Name:
    parts = [(NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, common_name)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


ROOT_NAME, OCA_NAME = named("CFCA CS CA"), named("CFCA OCA1")
LEAF_NAME = named(f"041@8310000000083040@{UNIONPAY}@00016494", "CFCA OCA1")
CA = x509.BasicConstraints(ca=True, path_length=None)


def certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: Key,
    issuers_key: Key,
    *extensions: tuple[x509.ExtensionType, bool],
    since: datetime = NOW - timedelta(days=400),
    until: datetime = NOW + timedelta(days=400),
) -> str:
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), 77, since, until)
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return pem(builder.sign(issuers_key, hashes.SHA256()))


def pem(made: x509.Certificate) -> str:
    return made.public_bytes(serialization.Encoding.PEM).decode()


def root(**times: datetime) -> str:
    return certificate(ROOT_NAME, ROOT_NAME, new_key("root"), new_key("root"), (CA, True), **times)


def oca(**times: datetime) -> str:
    return certificate(OCA_NAME, ROOT_NAME, new_key("oca"), new_key("root"), (CA, True), **times)


def leaf(
    name: x509.Name = LEAF_NAME,
    *extensions: tuple[x509.ExtensionType, bool],
    key: Key | None = None,
    **times: datetime,
) -> str:
    """Make what UnionPay sends along: issued by the intermediate."""
    used = key or new_key("unionpay")
    return certificate(name, OCA_NAME, used, new_key("oca"), *extensions, **times)


def issued_with(digest: hashes.HashAlgorithm, arc: int, made: str, issuer: str) -> str:
    """Sign a certificate again with a digest that the library does not issue with any more."""
    der = x509.load_pem_x509_certificate(made.encode()).public_bytes(serialization.Encoding.DER)
    # sha256WithRSAEncryption ends in 11; the others of its family have numbers as long.
    family = bytes.fromhex("2a864886f70d0101")
    der = der.replace(family + b"\x0b", family + bytes([arc]))
    tbs = x509.load_der_x509_certificate(der).tbs_certificate_bytes
    signature = new_key(issuer).sign(tbs, padding.PKCS1v15(), digest)
    return pem(x509.load_der_x509_certificate(der[: -len(signature)] + signature))


ISSUERS = oca() + root()
LEAF = leaf()
ADAPTER = unionpay.adapter(account(ISSUERS, mer_id=MER_ID))


def wire_pem(made: str) -> str:
    """Write a certificate as UnionPay sends it: the line ends of Windows, none at the end."""
    return "\r\n".join(made.split("\n")).strip()


def signed(
    fields: Mapping[str, str],
    *,
    key: rsa.RSAPrivateKey | None = None,
    carried: str = LEAF,
    codec: str = "utf-8",
    algorithm: hashes.HashAlgorithm = hashes.SHA256(),  # noqa: B008 - has no state
    is_hashed_once: bool = False,
) -> list[tuple[str, bytes]]:
    """Sign the fields and return all of them, encoded but not yet escaped."""
    fields = {**fields, "signPubKeyCert": wire_pem(carried)}
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields)).encode(codec)
    if not is_hashed_once:
        text = hashlib.sha256(text).hexdigest().encode()
    signature = (key or new_key("unionpay")).sign(text, padding.PKCS1v15(), algorithm)
    form = [(name, value.encode(codec)) for name, value in fields.items()]
    return [*form, ("signature", base64.b64encode(signature))]


def encoded(form: list[tuple[str, bytes]]) -> bytes:
    return b"&".join(f"{quote_plus(name)}={quote_plus(value)}".encode() for name, value in form)


def notice(
    changes: Mapping[str, str | None] = {}, *, now: datetime = NOW, **how: Any
) -> contract.Message:
    """Build a signed notice of a payment with some of its fields changed or, by None, left out."""
    merged = {**FIELDS, **changes}
    kept = {name: value for name, value in merged.items() if value is not None}
    return posted(encoded(signed(kept, **how)), now=now)


def posted(body: bytes, *, now: datetime = NOW) -> contract.Message:
    return message(body, {"content-type": "application/x-www-form-urlencoded"}, now=now)


PAID = notice()
