"""Events of PayPal, the authority that signs its certificate here, and how the tests sign."""

import base64
import copy
import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from gateway.providers import contract, paypal

from .support import NOW, account, message

WEBHOOK_ID = "4JH86294D6297924G"
NEXT_WEBHOOK_ID = "8PT597110X687430L"
URL = "https://api-m.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77"
NAME = "messageverificationcerts.paypal.com"
OCCURRED = datetime(2026, 11, 23, 11, 59, 7, 940_000, tzinfo=UTC)

Signing = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def certificate(
    name: str,
    key: Signing,
    issuer: x509.Certificate | None = None,
    issuer_key: Signing | None = None,
    *,
    is_issuer: bool = False,
    start: datetime = NOW - timedelta(days=30),
    end: datetime = NOW + timedelta(days=300),
    hashed: hashes.SHA224 | hashes.SHA256 | None = None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer_key or key
    usage = x509.KeyUsage(
        not is_issuer, False, False, False, False, is_issuer, is_issuer, False, False
    )
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    theirs = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(is_issuer, None), critical=True)
        .add_extension(own, critical=False)
        .add_extension(theirs, critical=False)
        .add_extension(usage, critical=True)
        .sign(signer, hashed or hashes.SHA256())
    )


def pem(*certificates: x509.Certificate) -> str:
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates)


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FOREIGN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ROOT_KEY, ISSUER_KEY = (
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP256R1()),
)
ROOT = certificate("Root", ROOT_KEY, is_issuer=True)
ISSUER = certificate("Issuer", ISSUER_KEY, ROOT, ROOT_KEY, is_issuer=True)
LEAF = certificate(NAME, KEY, ISSUER, ISSUER_KEY)
CHAIN = pem(LEAF, ISSUER)


def unlearned(*webhook_ids: str, **options: Any) -> paypal.PayPal:
    """Make an adapter that trusts the root of these tests and knows no certificate."""
    made = paypal.adapter(
        account(*(webhook_ids or (WEBHOOK_ID,)), **{"roots": pem(ROOT)} | options)
    )
    assert isinstance(made, paypal.PayPal)
    assert isinstance(made, contract.Learner)
    return made


def learned(*webhook_ids: str, **options: Any) -> paypal.PayPal:
    """Make an adapter that was handed the certificate."""
    made = unlearned(*webhook_ids, **options)
    made.learn(URL, CHAIN.encode(), now=NOW)
    return made


ADAPTER = learned()

CAPTURE: dict[str, Any] = {
    "id": "02335565G34798738",
    "status": "COMPLETED",
    "amount": {"currency_code": "USD", "value": "199.00"},
    "final_capture": True,
    "payee": {"email_address": "merchant@example.com", "merchant_id": "3SQBR4YEWZ4BA"},
    "supplementary_data": {"related_ids": {"order_id": "1W5313654M9708630"}},
    "invoice_id": "SO-1001",
    "custom_id": "cart-7",
    "create_time": "2026-11-23T11:59:02Z",
    "update_time": "2026-11-23T11:59:02Z",
    "links": [
        {
            "href": "https://api.paypal.com/v2/payments/captures/02335565G34798738",
            "rel": "self",
            "method": "GET",
        },
        {
            "href": "https://api.paypal.com/v2/checkout/orders/1W5313654M9708630",
            "rel": "up",
            "method": "GET",
        },
    ],
}
REFUND: dict[str, Any] = {
    "id": "55105082X5896632E",
    "status": "COMPLETED",
    "amount": {"currency_code": "USD", "value": "9.00"},
    "note_to_payer": "Defective product",
    "payer": {"email_address": "merchant@example.com", "merchant_id": "3SQBR4YEWZ4BA"},
    "invoice_id": "CREDIT-NOTE-9",
    "links": [
        {
            "href": "https://api.paypal.com/v2/payments/refunds/55105082X5896632E",
            "rel": "self",
            "method": "GET",
        },
        {
            "href": "https://api.paypal.com/v2/payments/captures/02335565G34798738",
            "rel": "up",
            "method": "GET",
        },
    ],
}

DISPUTE: dict[str, Any] = {
    "dispute_id": "PP-D-4012",
    "create_time": "2026-11-23T11:59:02Z",
    "update_time": "2026-11-23T11:59:02Z",
    "disputed_transactions": [
        {
            "buyer_transaction_id": "5SC37543VD7153001",
            "seller_transaction_id": "02335565G34798738",
            "gross_amount": {"currency_code": "USD", "value": "199.00"},
            "seller": {"merchant_id": "3SQBR4YEWZ4BA", "name": "Example"},
        }
    ],
    "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
    "status": "WAITING_FOR_SELLER_RESPONSE",
    "dispute_amount": {"currency_code": "USD", "value": "40.00"},
    "dispute_life_cycle_stage": "INQUIRY",
    "seller_response_due_date": "2026-12-03T12:00:00.000Z",
    "messages": [{"posted_by": "BUYER", "content": "Where is it?"}],
}


def event(ending: str, resource: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": "WH-58D329510W468432D-8HN650336L201105X",
        "event_version": "1.0",
        "create_time": "2026-11-23T11:59:07.940Z",
        "resource_type": _type(ending),
        "resource_version": "2.0",
        "event_type": ending,
        "summary": "Payment completed for $ 199.00 USD",
        "resource": resource,
        "links": [],
    } | changes


def _type(kind: str) -> str:
    if "DISPUTE" in kind:
        return "dispute"
    return "refund" if kind.endswith(("REFUNDED", "REVERSED", "REFUND.FAILED")) else "capture"


def paid(**changes: Any) -> dict[str, Any]:
    return event("PAYMENT.CAPTURE.COMPLETED", CAPTURE | changes)


def refunded(**changes: Any) -> dict[str, Any]:
    return event("PAYMENT.CAPTURE.REFUNDED", REFUND | changes)


def disputed(ending: str, **changes: Any) -> dict[str, Any]:
    return event(f"CUSTOMER.DISPUTE.{ending}", DISPUTE | changes)


def without(tree: dict[str, Any], name: str) -> dict[str, Any]:
    copied = copy.deepcopy(tree)
    del copied[name]
    return copied


def headers(
    body: bytes,
    *,
    webhook_id: str = WEBHOOK_ID,
    at: datetime = NOW,
    time: str | None = None,
    key: rsa.RSAPrivateKey = KEY,
    url: str = URL,
    transmission: str = "dfb3be50-fd74-11e4-8bf3-77339302725b",
) -> dict[str, str]:
    time = time or at.strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"{transmission}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()
    signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return {
        "Paypal-Transmission-Id": transmission,
        "Paypal-Transmission-Time": time,
        "Paypal-Transmission-Sig": base64.b64encode(signature).decode(),
        "Paypal-Auth-Algo": "SHA256withRSA",
        "Paypal-Cert-Url": url,
    }


def signed(content: Any, **how: Any) -> contract.Message:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return message(body, headers(body, **how))


PAID = signed(paid())
