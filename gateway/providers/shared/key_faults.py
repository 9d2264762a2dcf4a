"""What is wrong with a key or a certificate that cannot be used, in words to put into a sentence.

The reader has to act on the cause: fetch another key, ask the provider, set a clock. A cause that
does not apply sends them to the wrong place.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

KEY_BITS_MIN = 2048

_BEGIN = b"-----BEGIN "
#: How the texts begin that are taken for a public key or a certificate, and what they are.
_OTHERS = (
    (b"CERTIFICATE REQUEST", "a request for a certificate"),
    (b"NEW CERTIFICATE REQUEST", "a request for a certificate"),
    (b"PKCS7", "a PKCS #7 container: extract the certificates as PEM"),
    (b"X509 CRL", "a list of revoked certificates"),
    (b"PGP", "an OpenPGP key"),
)
_KINDS: tuple[tuple[type, str], ...] = (
    (ec.EllipticCurvePublicKey, "an elliptic curve key"),
    (ed25519.Ed25519PublicKey, "an Ed25519 key"),
    (ed448.Ed448PublicKey, "an Ed448 key"),
    (dsa.DSAPublicKey, "a DSA key"),
)


def of_key(key: object) -> str:
    """Return why a key cannot verify RSA signatures, to follow "the key is"; empty: it can."""
    if isinstance(key, rsa.RSAPublicKey):
        bits = key.key_size
        return "" if bits >= KEY_BITS_MIN else f"RSA of {bits} bits, fewer than {KEY_BITS_MIN}"
    kind = next((name for known, name in _KINDS if isinstance(key, known)), "a key of another kind")
    return f"{kind}, not RSA"


def of_version(certificate: x509.Certificate) -> str:
    """Return what follows "the certificate is" where its version is not 3; empty: it is."""
    if certificate.version is x509.Version.v3:
        return ""
    return "X.509 version 1, which says nothing of what its key is for; version 3 is needed"


def of_reading(error: Exception) -> str:
    """Return what follows "the certificate" where the library could not read it or its key."""
    match error:
        case x509.InvalidVersion():
            return "is of an X.509 version that does not exist"
        case UnsupportedAlgorithm():
            return "has a key or a signature of a kind that is not supported, such as SM2"
        case x509.DuplicateExtension():
            return "has the same extension twice"
        case x509.UnsupportedGeneralNameType():
            return "has a name of a kind that is not supported"
        case _:
            return "is damaged: a part of it cannot be read"


def of_text(text: bytes) -> str:
    """Return what a text is that is no public key; empty: nothing that is known."""
    head = text.lstrip()[:64]
    if head.startswith(b"ssh-"):
        return "a key in the format of OpenSSH"
    if head.startswith(_BEGIN):
        label = head.removeprefix(_BEGIN)
        if b"PRIVATE KEY" in label:
            return "a private key"
        return next((what for begin, what in _OTHERS if label.startswith(begin)), "")
    return ""


def is_private(der: bytes) -> bool:
    """Return whether bytes are a private key, as consoles show the merchant's own in base64."""
    try:
        serialization.load_der_private_key(der, None)
    except TypeError:
        # It needs a password.
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True
