"""The envelope that WeChat Pay and Douyin Pay share, built as the provider builds it.

``wechatpay.py`` and ``douyin_pay.py`` supply the content of a callback; here it is encrypted for
the merchant, put into the body, and signed. Every number is derived from the trade's serial, so a
repeat has the same numbers; timestamp, nonces and signature are new for each delivery.

``Account.private`` holds private keys as PEM, under any name. Each belongs to an entry of
``public_keys`` or ``certificates`` in the options and signs under the serial of that entry.
"""

import base64
import hashlib
import json
import secrets
import uuid
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID
from msgspec import Struct

from ops.simulators.contract import Account, Forgery, Kind, Posted, Trade
from ops.simulators.shared import rsa_keys

_GMT8 = timezone(timedelta(hours=8))
_IDS = uuid.UUID("6f2f4a0e-54f6-4f4f-8f0e-7d1f0a3f3a53")
#: Older than any tolerance: Douyin Pay's can be set to 24 hours and 4 minutes.
_STALE = timedelta(hours=25)
# Simulated certificates are made without a clock, so they are valid at any time.
_VALID = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC))


class CallbackContent(Struct, frozen=True):
    """The content of one callback, not yet encrypted."""

    event_type: str
    original_type: str
    summary: str
    resource: Mapping[str, Any]


class Dialect(Protocol):
    """The differences between the providers."""

    #: Prefix of the four signature headers.
    name: str
    #: Additional headers.
    headers: Mapping[str, str]

    def content(self, kind: Kind, trade: Trade, *, at: datetime, mchid: str) -> CallbackContent:
        """Return the content of a callback of this kind. Raises ``ValueError`` if there is none."""
        ...


class Signer(Struct, frozen=True):
    """A key of the provider, and the serial that names it."""

    serial: str
    key: rsa.RSAPrivateKey


class Callbacks:
    """Makes the callbacks of one dialect for one account."""

    def __init__(self, account: Account, dialect: Dialect) -> None:
        self._dialect = dialect
        self._signers = _signers(account)
        self._apiv3_key = symmetric_key(account.secrets[0])
        self._mchid = str(account.options["mchid"])
        self._foreign_key: rsa.RSAPrivateKey | None = None

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        """Build delivery number ``attempt`` of a callback."""
        seed = f"{trade.serial}/{kind}/{attempt}/{at.timestamp()}"
        body = self._body(kind, trade, at=at, seed=seed, mchid=self._mchid, key=self._apiv3_key)
        return self._posted(body, self._signer(trade, attempt), at=at, seed=seed)

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        """Make a callback that must be rejected."""
        seed = f"{trade.serial}/{kind}/{how}/{at.timestamp()}"
        signer, mchid, key = self._signer(trade, 0), self._mchid, self._apiv3_key
        if how == "stale":
            at -= _STALE
        if how == "not_ours":
            mchid = str(int(mchid) + 1)
        if how == "not_ours" and (kind == "ping" or kind.startswith("dispute")):
            # They name no merchant: only the key identifies one.
            key = secrets.token_bytes(32)
        body = self._body(kind, trade, at=at, seed=seed, mchid=mchid, key=key)
        if how == "foreign_key":
            signer = Signer(signer.serial, self._foreign())
        posted = self._posted(body, signer, at=at, seed=seed)
        if how == "changed":
            # A genuine callback with another id.
            ours, theirs = (_event_id(f"{trade.serial}{mark}", kind).encode() for mark in ("", "x"))
            return Posted(posted.headers, posted.body.replace(ours, theirs))
        if how == "unsigned":
            return Posted({"Content-Type": "application/json"}, posted.body)
        return posted

    def _body(
        self, kind: Kind, trade: Trade, *, at: datetime, seed: str, mchid: str, key: bytes
    ) -> bytes:
        content = self._dialect.content(kind, trade, at=at, mchid=mchid)
        nonce, extra = _hex(f"resource/{seed}", 12), content.original_type
        plain = _json(content.resource)
        body = {
            "id": _event_id(trade.serial, kind),
            "create_time": rfc3339(at),
            "resource_type": "encrypt-resource",
            "event_type": content.event_type,
            "summary": content.summary,
            "resource": {
                "original_type": content.original_type,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": _base64(AESGCM(key).encrypt(nonce.encode(), plain, extra.encode())),
                "associated_data": extra,
                "nonce": nonce,
            },
        }
        return _json(body)

    def _posted(self, body: bytes, signer: Signer, *, at: datetime, seed: str) -> Posted:
        stamp, nonce = str(int(at.timestamp())), _hex(f"header/{seed}", 32).upper()
        text = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
        signature = signer.key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        name = self._dialect.name
        signed = {
            f"{name}-Timestamp": stamp,
            f"{name}-Nonce": nonce,
            f"{name}-Serial": signer.serial,
            f"{name}-Signature": _base64(signature),
        }
        return Posted({"Content-Type": "application/json", **self._dialect.headers, **signed}, body)

    def _signer(self, trade: Trade, attempt: int) -> Signer:
        # With two active keys, callbacks and repeats are signed by either.
        index = zlib.crc32(trade.serial.encode()) + attempt
        return self._signers[index % len(self._signers)]

    def _foreign(self) -> rsa.RSAPrivateKey:
        if self._foreign_key is None:
            self._foreign_key = rsa_keys.make()
        return self._foreign_key


def fen(amount: Decimal, trade: Trade) -> int:
    """Convert yuan to fen, exactly. Raises ``ValueError``."""
    minor = int(amount.scaleb(2))
    if trade.currency != "CNY" or minor != amount.scaleb(2):
        raise ValueError("amounts are in CNY, with two decimals at most")
    return minor


def digits(seed: str, count: int) -> str:
    """Derive ``count`` decimal digits from a seed, the same every time."""
    return str(int(hashlib.sha256(seed.encode()).hexdigest(), 16))[-count:]


def rfc3339(at: datetime) -> str:
    """Format a time with China's offset."""
    return at.astimezone(_GMT8).isoformat(timespec="seconds")


def symmetric_key(secret: str) -> bytes:
    """Return the bytes of an APIv3 key: 32 characters, or 44 of base64."""
    return secret.encode() if len(secret) == 32 else base64.b64decode(secret)


def certificate_pem(key: rsa.RSAPrivateKey, *, subject: str) -> str:
    """Return a self-signed certificate of the key, for the option ``certificates``."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(_VALID[0])
        .not_valid_after(_VALID[1])
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def options_of(account: Account, name: str) -> list[Any]:
    """Return an option that is a list; empty if it is missing."""
    found = account.options.get(name, ())
    return list(found) if isinstance(found, list | tuple) else []


def _signers(account: Account) -> list[Signer]:
    serials = {}
    for entry in options_of(account, "public_keys"):
        key = serialization.load_pem_public_key(entry["pem"].encode())
        serials[_public_bytes(key)] = entry["id"]
    for pem in options_of(account, "certificates"):
        certificate = x509.load_pem_x509_certificate(pem.strip().encode())
        serials[_public_bytes(certificate.public_key())] = f"{certificate.serial_number:040X}"
    signers = []
    for pem in account.private.values():
        private = rsa_keys.read(pem)
        serial = serials.get(_public_bytes(private.public_key()))
        if serial is not None:
            signers.append(Signer(serial, private))
    if not signers:
        raise ValueError(
            "no private key belongs to one of the account's public_keys or certificates: "
            "only the provider has those of a real account, so create a simulated account"
        )
    return signers


def _public_bytes(key: Any) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    written: bytes = key.public_bytes(serialization.Encoding.PEM, spki)
    return written


def _event_id(serial: str, kind: Kind) -> str:
    return str(uuid.uuid5(_IDS, f"{serial}/{kind}"))


def _hex(seed: str, length: int) -> str:
    return hashlib.sha256(seed.encode()).hexdigest()[:length]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
