"""RSA keys and certificates of providers: read from the configuration, and used to verify."""

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec import Struct

from gateway.providers import contract
from gateway.providers.shared import fields, key_faults

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"

#: The library's exceptions for malformed certificates; some are raised only when a field is read.
CERTIFICATE_FAULTS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.AttributeNotFound,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
# Created once: a verification takes only 30 microseconds.
_PADDING = padding.PKCS1v15()
_SHA256 = hashes.SHA256()


class Signer(Struct, frozen=True):
    """A trusted key, and the period in which its certificates are valid."""

    key: rsa.RSAPublicKey
    not_before: datetime
    not_after: datetime

    def is_valid(self, now: datetime) -> bool:
        """Return whether every certificate from the key to its root is valid now."""
        return self.not_before <= now <= self.not_after


def public_key(account: contract.Account, secret: str, *, whose: str) -> rsa.RSAPublicKey:
    """Read an RSA public key: PEM, the bare base64 of a console, or a certificate as PEM.

    Only the key of a certificate is used: its expiry is not checked. Raises ``ValueError`` whose
    text says ``whose`` key to configure.
    """
    text = secret.strip().encode("utf-8", "replace")
    # Issuer certificates may follow; the first is the signing certificate.
    key = (
        _certified(account, text, whose)
        if text.startswith(_CERTIFICATE)
        else _bare(account, text, whose)
    )
    if fault := key_faults.of_key(key):
        raise fields.misconfigured(
            account,
            f"needs an RSA key of {key_faults.KEY_BITS_MIN} bits or more; this is {fault}: "
            f"give {whose}",
        )
    assert isinstance(key, rsa.RSAPublicKey), "checked above"
    return key


def _certified(account: contract.Account, text: bytes, whose: str) -> object:
    try:
        return x509.load_pem_x509_certificates(text)[0].public_key()
    except CERTIFICATE_FAULTS as exc:
        raise fields.misconfigured(
            account, f"has a certificate that {key_faults.of_reading(exc)}: give {whose}"
        ) from None


def _bare(account: contract.Account, text: bytes, whose: str) -> object:
    der = b""
    try:
        if text.startswith(b"-----"):
            return serialization.load_pem_public_key(text)
        der = fields.base64_bytes(b"".join(text.split())) or b""
        return serialization.load_der_public_key(der)
    except UnsupportedAlgorithm:
        raise fields.misconfigured(
            account, f"has a key of a kind that is not supported; RSA is needed: give {whose}"
        ) from None
    except (ValueError, TypeError):
        what = key_faults.of_text(text)
        if not what and der and key_faults.is_private(der):
            what = "a private key"
        raise fields.misconfigured(
            account,
            f"has a secret that is not a public key{f' but {what}' if what else ''}: give {whose}",
        ) from None


def certificates(account: contract.Account, secret: str, *, whose: str) -> list[x509.Certificate]:
    """Read one or more certificates as PEM. Raises ``ValueError`` that names ``whose``."""
    text = secret.strip().encode("utf-8", "replace")
    try:
        return x509.load_pem_x509_certificates(text)
    except CERTIFICATE_FAULTS as exc:
        what = key_faults.of_text(text) or _other(text)
        fault = (
            f"a certificate that {key_faults.of_reading(exc)}"
            if text.startswith(_CERTIFICATE)
            else f"a secret that is not a certificate as PEM{f' but {what}' if what else ''}"
        )
        raise fields.misconfigured(account, f"has {fault}: give {whose}") from None


def _other(text: bytes) -> str:
    return "a public key" if text.startswith(b"-----BEGIN PUBLIC KEY") else ""


def is_signed(key: rsa.RSAPublicKey, signature: bytes, text: bytes) -> bool:
    """Return whether ``signature`` is RSA PKCS#1 v1.5 with SHA-256 over ``text``."""
    try:
        key.verify(signature, text, _PADDING, _SHA256)
    except InvalidSignature:
        return False
    return True
