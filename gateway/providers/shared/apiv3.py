"""The envelope of WeChat Pay's API v3, also used by Douyin Pay: signature and encryption.

- Signed are three lines, each ended by a line feed: timestamp, nonce, raw body. RSA PKCS#1 v1.5
  with SHA-256; the serial in the headers names the provider's key of this message.
- The event is encrypted in ``resource``: AES-256-GCM under the merchant's APIv3 key.
- The provider signs each delivery again; the ``id`` of the body stays the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from gateway.domain import errors
from gateway.providers import contract
from gateway.providers.shared import fields, keys

KEY_BYTES = 32
_NONCE_BYTES = 12
_NONCE_MAX = 128

#: WeChat Pay checks the status only; Douyin Pay's own examples send this success body.
REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b'{"code":"SUCCESS","message":"OK"}', "application/json"),
    "later": contract.Reply(503, b'{"code":"FAIL","message":"try again"}', "application/json"),
    "rejected": contract.Reply(400, b'{"code":"FAIL","message":"refused"}', "application/json"),
}


class Signer(Struct, frozen=True):
    """A key of the provider, and the validity period of its certificate."""

    key: rsa.RSAPublicKey
    since: datetime = datetime.min.replace(tzinfo=UTC)
    until: datetime = datetime.max.replace(tzinfo=UTC)


class Notice(Struct, frozen=True):
    """A verified, fresh and decrypted message."""

    key: str
    kind: str
    created_at: datetime
    plain: bytes


class _Resource(Struct):
    algorithm: str
    ciphertext: str
    nonce: str
    associated_data: str | None = None


class _Body(Struct):
    id: object = None
    event_type: object = None
    create_time: object = None
    resource: _Resource | None = None


_BODY = msgspec.json.Decoder(_Body)


class Envelope:
    """Verifies messages signed by one of ``signers`` and decrypts them with one of ``ciphers``.

    ``name`` is the prefix of the four headers. ``algorithms`` are the accepted names of
    AES-256-GCM, the only supported encryption.
    """

    def __init__(
        self,
        *,
        name: str,
        signers: Mapping[str, Signer],
        ciphers: Sequence[AESGCM],
        algorithms: frozenset[str],
        tolerance_s: int,
    ) -> None:
        self._names = [f"{name}-{part}" for part in ("Timestamp", "Nonce", "Serial", "Signature")]
        self._signers = signers
        self._ciphers = ciphers
        self._algorithms = algorithms
        self._tolerance_s = tolerance_s

    def opened(self, message: contract.Message) -> Notice:
        """Verify, then decrypt. Raises ``Rejected``."""
        signed = self._check_signature(message)
        fields.check_fresh(signed, now=message.now, tolerance_s=self._tolerance_s)
        return self._notice(message.body, fields.from_unix(signed))

    def opened_again(self, kept: contract.KeptMessage) -> Notice:
        """Decrypt a message that was verified when it arrived. Raises ``Rejected``."""
        return self._notice(kept.body, kept.received_at)

    def _notice(self, content: bytes, sent_at: datetime) -> Notice:
        body = fields.decoded(_BODY, content)
        if body.resource is None:
            raise fields.malformed("no resource")
        return Notice(
            key=fields.key(fields.text(body.id), content),
            kind=fields.kind(fields.text(body.event_type)),
            created_at=fields.moment_or(body.create_time, sent_at),
            plain=self._decrypted(body.resource),
        )

    def _check_signature(self, message: contract.Message) -> int:
        found = [message.headers.get(name, "") for name in self._names]
        for name, value in zip(self._names, found, strict=True):
            if not value:
                raise errors.Rejected("missing_signature", f"no header {name}")
        stamp, nonce, serial, signature = found
        signed = fields.signed_at(stamp)
        # A line feed in the nonce would allow bytes to move between nonce and body.
        if not _is_plain(nonce):
            raise errors.Rejected("bad_signature", "the nonce is not plain ASCII")
        key = self._key(serial, message.now)
        text = b"%b\n%b\n%b\n" % (stamp.encode(), nonce.encode(), message.body)
        if not keys.is_signed(key, fields.base64_bytes(signature) or b"", text):
            raise errors.Rejected(
                "bad_signature",
                "not signed by the key that the serial names, or the body was parsed and written "
                "again on the way; is that key the provider's (not the merchant's own)?",
            )
        return signed

    def _key(self, serial: str, now: datetime) -> rsa.RSAPublicKey:
        signer = self._signers.get(normalized_serial(serial))
        # The serial is unverified input until the signature is checked, so it is not shown.
        if signer is None:
            raise errors.Rejected(
                "bad_signature",
                f"{self._names[2]} names a key that is not configured: fetch the provider's "
                "current certificates or its public key and add them to the account",
            )
        if not signer.since <= now <= signer.until:
            raise errors.Rejected(
                "bad_signature",
                f"the certificate that {self._names[2]} names is not valid now: fetch the "
                "provider's current certificates, or check this machine's clock",
            )
        return signer.key

    def _decrypted(self, resource: _Resource) -> bytes:
        if resource.algorithm not in self._algorithms:
            raise errors.Rejected("unsupported", "the resource is not encrypted with AES-256-GCM")
        ciphertext = fields.base64_bytes(resource.ciphertext)
        nonce = resource.nonce.encode()
        if ciphertext is None or len(nonce) != _NONCE_BYTES:
            raise fields.malformed("the ciphertext is not base64, or its nonce not 12 characters")
        extra = (resource.associated_data or "").encode()
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, ciphertext, extra)
            except InvalidTag:
                continue
        raise fields.malformed(
            "the signature is right, but no configured APIv3 key decrypts the resource: "
            "enter the APIv3 key that is set in the merchant console"
        )


def ciphers(account: contract.Account, *, may_be_base64: bool) -> list[AESGCM]:
    """Read the active APIv3 keys: 32 characters as bytes or, if allowed, base64 of 32 bytes."""
    made = []
    for secret in fields.secrets(account):
        key = secret.encode() if secret.isascii() and secret.isprintable() else b""
        if may_be_base64 and len(key) != KEY_BYTES:
            key = fields.base64_bytes(key) or b""
        if len(key) != KEY_BYTES:
            raise fields.misconfigured(
                account,
                "has a secret that is not an APIv3 key: copy the 32 characters set in the "
                "merchant console, not a certificate, an app secret or the key of the old API",
            )
        made.append(AESGCM(key))
    return made


def from_certificates(
    account: contract.Account, texts: Iterable[str], *, whose: str
) -> dict[str, Signer]:
    """Read platform certificates as PEM; return their keys by normalised serial."""
    signers = {}
    for text in texts:
        found = keys.certificates(account, text, whose=whose)
        if len(found) != 1:
            # An included issuer would become a key that signs payments.
            raise fields.misconfigured(
                account, "has several certificates in one text: use a separate entry for each"
            )
        signers[normalized_serial(f"{found[0].serial_number:X}")] = _signer(
            account, text, found[0], whose
        )
    return signers


def _signer(
    account: contract.Account, text: str, certificate: x509.Certificate, whose: str
) -> Signer:
    return Signer(
        keys.public_key(account, text, whose=whose),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def normalized_serial(serial: str) -> str:
    """Return a serial in upper case without leading zeros: both do not change the number."""
    return serial.upper().lstrip("0")


def _is_plain(text: str) -> bool:
    return len(text) <= _NONCE_MAX and text.isascii() and text.isprintable()
