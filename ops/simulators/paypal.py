"""Simulated PayPal: captures and refunds of a simulated merchant, as in the live environment.

Written from PayPal's documentation, not from the gateway. A repeat has the same event and a new
transmission: id, time and signature.

The certificate is issued by a simulated authority. A gateway trusts it only with the ``options``
of ``create``: ``roots`` is that authority, ``chains`` the certificate at the URL that the messages
name, so that it is not fetched from PayPal.
"""

import base64
import hashlib
import json
import secrets
import string
import uuid
import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade
from ops.simulators.shared import rsa_keys

KINDS: frozenset[Kind] = frozenset({"paid", "partial_refund", "refund", "probe"})
FORGERIES: frozenset[Forgery] = frozenset(
    {"foreign_key", "changed", "unsigned", "stale", "not_ours"}
)
CURRENCIES = ("USD", "EUR", "JPY")

_API = "https://api.paypal.com"
_NAME = "messageverificationcerts.paypal.com"
_ALPHABET = string.ascii_uppercase + string.digits
#: The webhook id that PayPal's console signs simulated events for.
_SIMULATED = "WEBHOOK_ID"
_WHOLE = frozenset({"HUF", "JPY", "TWD"})
_TOO_OLD = timedelta(days=45)

# There is no clock here: valid for as long as the tests will run.
_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL = datetime(2049, 12, 31, tzinfo=UTC)


def create() -> Account:
    """Make a webhook of a new merchant, with a certificate of a new authority."""
    authority, key = rsa_keys.make(), rsa_keys.make()
    root = _certificate("Tidegate Simulated Root", authority, None, authority)
    leaf = _certificate(_NAME, key, root, authority)
    fingerprint = leaf.fingerprint(hashes.SHA256()).hex()
    url = f"{_API}/v1/notifications/certs/CERT-{fingerprint[:8]}-{fingerprint[8:16]}"
    return Account(
        secrets=("".join(secrets.choice(_ALPHABET) for _ in range(17)),),
        options={
            "environment": "live",
            "merchant_id": "".join(secrets.choice(_ALPHABET) for _ in range(13)),
            "roots": _pem(root),
            "chains": {url: _pem(leaf)},
        },
        private={"key": rsa_keys.private_pem(key)},
    )


def simulator(account: Account) -> Simulator:
    """Return the simulated PayPal of an account.

    ``private["key"]`` is its key as PEM, ``options["chains"]`` holds the certificate.
    """
    return _PayPal(account)


def transaction_no(trade: Trade) -> str:
    """Return the number of the payment that the gateway books for this trade."""
    return _id("capture", trade.serial)


class _PayPal:
    def __init__(self, account: Account) -> None:
        self._key = rsa_keys.read(account.private["key"])
        self._webhook_id = account.secrets[0]
        chains = account.options["chains"]
        assert isinstance(chains, dict), "chains is a table: certificates by their URL"
        self._cert_url = next(iter(chains))
        self._merchant_id = str(account.options.get("merchant_id", "MERCHANT00001"))
        self._order_no_field = str(account.options.get("order_no_field", "invoice_id"))
        self._foreign_key: rsa.RSAPrivateKey | None = None

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        webhook_id = _SIMULATED if kind == "probe" else self._webhook_id
        return self._sent(self._body(kind, trade, at), trade, at, webhook_id, attempt)

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        if how == "stale":
            return self.message(kind, trade, at=at - _TOO_OLD)
        body = self._body(kind, trade, at)
        if how == "not_ours":
            # A genuine message for another webhook.
            return self._sent(body, trade, at, _id("webhook", trade.serial), 0)
        if how == "foreign_key":
            self._foreign_key = self._foreign_key or rsa_keys.make()
            return self._sent(body, trade, at, self._webhook_id, 0, key=self._foreign_key)
        posted = self._sent(body, trade, at, self._webhook_id, 0)
        if how == "unsigned":
            kept = {k: v for k, v in posted.headers.items() if not k.startswith("PAYPAL-")}
            return Posted(kept, body)
        dearer = msgspec.structs.replace(
            trade, amount=trade.amount + 2, refunded=trade.refunded + 1
        )
        return Posted(posted.headers, self._body(kind, dearer, at))

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        return 200 <= status < 300

    def _sent(
        self,
        body: bytes,
        trade: Trade,
        at: datetime,
        webhook_id: str,
        attempt: int,
        *,
        key: rsa.RSAPrivateKey | None = None,
    ) -> Posted:
        time = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        transmission = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{trade.serial} {attempt} {time}"))
        text = f"{transmission}|{time}|{webhook_id}|{zlib.crc32(body)}"
        signature = (key or self._key).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return Posted(
            {
                "Content-Type": "application/json",
                "User-Agent": "PayPal/AUHD-214.0-58843830",
                "PAYPAL-AUTH-ALGO": "SHA256withRSA",
                "PAYPAL-AUTH-VERSION": "v2",
                "PAYPAL-CERT-URL": self._cert_url,
                "PAYPAL-TRANSMISSION-ID": transmission,
                "PAYPAL-TRANSMISSION-SIG": base64.b64encode(signature).decode(),
                "PAYPAL-TRANSMISSION-TIME": time,
            },
            body,
        )

    def _body(self, kind: Kind, trade: Trade, at: datetime) -> bytes:
        if kind in ("paid", "probe"):
            event = _event("capture", "COMPLETED", f"{kind} {trade.serial}", at)
            event["summary"] = f"Payment completed for {trade.amount} {trade.currency}"
            event["resource"] = self._capture(trade, at)
        elif kind in ("partial_refund", "refund"):
            event = _event("refund", "REFUNDED", f"{kind} {trade.serial}", at)
            event["resource"] = self._refund(kind, trade, at)
            event["summary"] = f"A {trade.currency} capture payment was refunded"
        else:
            raise ValueError(f"PayPal sends no message {kind}")
        return json.dumps(event, separators=(",", ":")).encode()

    def _capture(self, trade: Trade, at: datetime) -> dict[str, Any]:
        capture, order = _id("capture", trade.serial), _id("order", trade.serial)
        fee = _money(Decimal(1), trade.currency)
        return {
            "id": capture,
            "status": "COMPLETED",
            "amount": _money(trade.amount, trade.currency),
            "final_capture": True,
            "payee": {
                "email_address": "merchant@business.example.com",
                "merchant_id": self._merchant_id,
            },
            "seller_protection": {
                "status": "ELIGIBLE",
                "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"],
            },
            "seller_receivable_breakdown": {
                "gross_amount": _money(trade.amount, trade.currency),
                "paypal_fee": fee,
                "net_amount": _money(max(trade.amount - 1, Decimal(0)), trade.currency),
            },
            "supplementary_data": {"related_ids": {"order_id": order}},
            **self._numbers(trade),
            "create_time": _seconds(at),
            "update_time": _seconds(at),
            "links": [
                _link(f"/v2/payments/captures/{capture}", "self"),
                _link(f"/v2/payments/captures/{capture}/refund", "refund", "POST"),
                _link(f"/v2/checkout/orders/{order}", "up"),
            ],
        }

    def _refund(self, kind: Kind, trade: Trade, at: datetime) -> dict[str, Any]:
        refund = _id(kind, trade.serial)
        is_first = kind == "partial_refund"
        amount = trade.refunded if is_first else trade.amount - trade.refunded
        total = trade.refunded if is_first else trade.amount
        return {
            "id": refund,
            "status": "COMPLETED",
            "amount": _money(amount, trade.currency),
            "note_to_payer": "Returned goods",
            "payer": {
                "email_address": "merchant@business.example.com",
                "merchant_id": self._merchant_id,
            },
            "seller_payable_breakdown": {
                "gross_amount": _money(amount, trade.currency),
                "paypal_fee": _money(Decimal(0), trade.currency),
                "net_amount": _money(amount, trade.currency),
                "total_refunded_amount": _money(total, trade.currency),
            },
            **self._numbers(trade),
            "create_time": _seconds(at),
            "update_time": _seconds(at),
            "links": [
                _link(f"/v2/payments/refunds/{refund}", "self"),
                _link(f"/v2/payments/captures/{_id('capture', trade.serial)}", "up"),
            ],
        }

    def _numbers(self, trade: Trade) -> dict[str, str]:
        numbers = {"invoice_id": f"INV-{trade.serial}", "custom_id": f"cart-{trade.serial}"}
        return numbers | {self._order_no_field: trade.order_no}


def _event(resource_type: str, ending: str, of: str, at: datetime) -> dict[str, Any]:
    event_id = f"WH-{_id('event', of)}-{_id('notice', of)}"
    return {
        "id": event_id,
        "event_version": "1.0",
        "create_time": at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "resource_type": resource_type,
        "resource_version": "2.0",
        "event_type": f"PAYMENT.CAPTURE.{ending}",
        "summary": "",
        "resource": {},
        "links": [
            _link(f"/v1/notifications/webhooks-events/{event_id}", "self"),
            _link(f"/v1/notifications/webhooks-events/{event_id}/resend", "resend", "POST"),
        ],
    }


def _id(what: str, serial: str) -> str:
    """Make a number of PayPal's kind, the same for the same input."""
    number = int.from_bytes(hashlib.sha256(f"{what} {serial}".encode()).digest())
    return "".join(_ALPHABET[number // 36**place % 36] for place in range(17))


def _link(path: str, rel: str, method: str = "GET") -> dict[str, str]:
    return {"href": _API + path, "rel": rel, "method": method}


def _money(amount: Decimal, currency: str) -> dict[str, str]:
    unit = Decimal(1) if currency in _WHOLE else Decimal("0.01")
    if amount % unit:
        raise ValueError(f"PayPal has no {amount} {currency}")
    return {"currency_code": currency, "value": f"{amount.quantize(unit):f}"}


def _seconds(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _certificate(
    name: str, key: rsa.RSAPrivateKey, issuer: x509.Certificate | None, signer: rsa.RSAPrivateKey
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_root = issuer is None
    own, theirs = key.public_key(), signer.public_key()
    usage = dict.fromkeys(
        "content_commitment key_encipherment data_encipherment key_agreement encipher_only "
        "decipher_only".split(),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(own)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(theirs), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **usage
            ),
            critical=True,
        )
        .sign(signer, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
