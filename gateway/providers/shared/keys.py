"""RSA keys and certificates of providers: read from the configuration, and used to verify."""

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec import Struct

from gateway.providers import contract
from gateway.providers.shared import fields

KEY_BITS_MIN = 2048
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
    key: object
    try:
        text = secret.strip().encode()
        if text.startswith(_CERTIFICATE):
            # Issuer certificates may follow; the first is the signing certificate.
            key = x509.load_pem_x509_certificates(text)[0].public_key()
        elif text.startswith(b"-----"):
            key = serialization.load_pem_public_key(text)
        else:
            der = fields.base64_bytes(b"".join(text.split()))
            key = serialization.load_der_public_key(der or b"")
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise fields.misconfigured(
            account, f"has a secret that is not a public key: give {whose}"
        ) from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        raise fields.misconfigured(account, f"needs an RSA key of {KEY_BITS_MIN} bits or more")
    return key


def certificates(account: contract.Account, secret: str, *, whose: str) -> list[x509.Certificate]:
    """Read one or more certificates as PEM. Raises ``ValueError`` that names ``whose``."""
    try:
        return x509.load_pem_x509_certificates(secret.strip().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise fields.misconfigured(
            account, f"has a secret that is not a certificate as PEM: give {whose}"
        ) from None


def is_signed(key: rsa.RSAPublicKey, signature: bytes, text: bytes) -> bool:
    """Return whether ``signature`` is RSA PKCS#1 v1.5 with SHA-256 over ``text``."""
    try:
        key.verify(signature, text, _PADDING, _SHA256)
    except InvalidSignature:
        return False
    return True
