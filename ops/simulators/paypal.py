"""Simulated PayPal: messages of a simulated merchant, signed as in the live environment.

Written from PayPal's documentation, not from the gateway. A repeat has the same event and a new
transmission: id, time and signature.

The certificate is issued by a simulated authority. A gateway trusts it only with the ``options``
of ``create``: ``roots`` is that authority, ``chains`` the certificate at the URL that the messages
name, so that it is not fetched from PayPal.
"""

import base64
import secrets
import string
import uuid
import zlib
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade
from ops.simulators.shared import paypal_bodies, rsa_keys

KINDS: frozenset[Kind] = frozenset({*paypal_bodies.KINDS, "probe"})
FORGERIES: frozenset[Forgery] = frozenset(
    {"foreign_key", "changed", "unsigned", "stale", "not_ours"}
)
CURRENCIES = ("USD", "EUR", "JPY")

_NAME = "messageverificationcerts.paypal.com"
_ALPHABET = string.ascii_uppercase + string.digits
#: The webhook id that PayPal's console signs simulated events for.
_SIMULATED = "WEBHOOK_ID"
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
    url = f"{paypal_bodies.API}/v1/notifications/certs/CERT-{fingerprint[:8]}-{fingerprint[8:16]}"
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
    return paypal_bodies.number("capture", trade.serial)


class _PayPal:
    def __init__(self, account: Account) -> None:
        self._key = rsa_keys.read(account.private["key"])
        self._webhook_id = account.secrets[0]
        chains = account.options["chains"]
        assert isinstance(chains, dict), "chains is a table: certificates by their URL"
        self._cert_url = next(iter(chains))
        self._bodies = paypal_bodies.Bodies(
            merchant_id=str(account.options.get("merchant_id", "MERCHANT00001")),
            order_no_field=str(account.options.get("order_no_field", "invoice_id")),
        )
        self._foreign_key: rsa.RSAPrivateKey | None = None

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        webhook_id = _SIMULATED if kind == "probe" else self._webhook_id
        return self._sent(self._bodies.body(kind, trade, at), trade, at, webhook_id, attempt)

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        if how == "stale":
            return self.message(kind, trade, at=at - _TOO_OLD)
        body = self._bodies.body(kind, trade, at)
        if how == "not_ours":
            # A genuine message for another webhook.
            return self._sent(body, trade, at, paypal_bodies.number("webhook", trade.serial), 0)
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
        return Posted(posted.headers, self._bodies.body(kind, dearer, at))

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
