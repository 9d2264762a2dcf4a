"""Certificates that the library does not make: of another version, written byte by byte."""

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

Signing = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_V3 = bytes.fromhex("a003020102")


def of_version(made: x509.Certificate, version: int, signer: Signing) -> str:
    """Return the certificate as PEM in another version, without extensions, signed again."""
    tbs = _content(made.tbs_certificate_bytes)
    assert tbs.startswith(_V3)
    parts = _without_extensions(tbs.removeprefix(_V3))
    head = b"" if version == 1 else _V3[:-1] + bytes([version - 1])
    signed = _sequence(head + parts)
    der = made.public_bytes(serialization.Encoding.DER)
    algorithm = _content(der)[len(made.tbs_certificate_bytes) :]
    algorithm = algorithm[: 2 + algorithm[1]]
    if isinstance(signer, rsa.RSAPrivateKey):
        signature = signer.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        signature = signer.sign(signed, ec.ECDSA(hashes.SHA256()))
    bits = b"\0" + signature
    whole = _sequence(signed + algorithm + b"\x03" + _length(len(bits)) + bits)
    return pem(whole)


def pem(der: bytes) -> str:
    """Return a certificate as PEM."""
    lines = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"


def _without_extensions(parts: bytes) -> bytes:
    """Return a sequence of elements up to the one of the extensions."""
    kept = b""
    while len(kept) < len(parts) and parts[len(kept)] != 0xA3:
        kept += _element(parts[len(kept) :])
    return kept


def _element(der: bytes) -> bytes:
    """Return the first element of some DER, cut where its length says."""
    if der[1] < 0x80:
        return der[: 2 + der[1]]
    size = der[1] & 0x7F
    return der[: 2 + size + int.from_bytes(der[2 : 2 + size], "big")]


def _content(der: bytes) -> bytes:
    return der[2 if der[1] < 0x80 else 2 + (der[1] & 0x7F) :]


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def _sequence(content: bytes) -> bytes:
    return b"\x30" + _length(len(content)) + content
