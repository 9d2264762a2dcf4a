"""RSA keys of the simulated providers: generate, write as PEM, read."""

import functools

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

#: More keys than the accounts of all providers have together.
_READ_MAX = 64


def make() -> rsa.RSAPrivateKey:
    """Generate a key of the size that the providers use. Takes some 50 ms."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    """Return a private key as PEM, for ``Account.private``."""
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    """Return its public key as PEM, as the gateway accepts it."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()


@functools.lru_cache(maxsize=_READ_MAX)
def read(pem: str) -> rsa.RSAPrivateKey:
    """Read a private key. Checking it takes some 50 ms, the first time only.

    Raises ``ValueError`` if it is not a private RSA key.
    """
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the private key is not an RSA key")
    return key
