"""Shared by Alipay and UnionPay: forms, signed over their sorted fields.

Every number is derived from the trade's serial, so a repeat has the same numbers. RSA PKCS#1 v1.5
signatures are deterministic as well.
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta, timezone
from urllib.parse import quote_plus

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ops.simulators.contract import Posted, Trade
from ops.simulators.shared import rsa_keys

GMT8 = timezone(timedelta(hours=8))


def text(fields: Mapping[str, str], *, codec: str = "utf-8") -> bytes:
    """Join the fields, sorted by the bytes of their names, as they are signed."""
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields)).encode(codec)


def signature(key: rsa.RSAPrivateKey, signed: bytes) -> str:
    """Sign with RSA PKCS#1 v1.5 and SHA-256, as base64."""
    return base64.b64encode(key.sign(signed, padding.PKCS1v15(), hashes.SHA256())).decode()


def posted(fields: Mapping[str, str], *, codec: str = "utf-8") -> Posted:
    """Make the form post, percent-encoded once."""
    pairs = [f"{name}={quote_plus(value.encode(codec))}" for name, value in fields.items()]
    headers = {"Content-Type": f"application/x-www-form-urlencoded; charset={codec.upper()}"}
    return Posted(headers, "&".join(pairs).encode())


def digits(seed: str, count: int) -> str:
    """Derive ``count`` decimal digits from a seed, the same every time."""
    return str(int(hashlib.sha256(seed.encode()).hexdigest(), 16))[-count:]


def another(number: str) -> str:
    """Return another number of the same length."""
    return number[:-1] + ("1" if number[-1] != "1" else "2")


def check_cents(trade: Trade) -> None:
    """Raise ``ValueError`` if the trade's amounts have more than two decimals."""
    for amount in (trade.amount, trade.refunded):
        if amount.scaleb(2) % 1:
            raise ValueError("amounts have two decimals at most")


def private_key(private: Mapping[str, str], name: str, *, whose: str) -> rsa.RSAPrivateKey:
    """Read a private key of ``Account.private``. Raises ``ValueError``."""
    pem = private.get(name)
    if not pem:
        raise ValueError(
            f"no private key {name!r}: only {whose} has that of a real account, so create a "
            "simulated account"
        )
    return rsa_keys.read(pem)
