"""Signs what is sent by Standard Webhooks 1.0.0, so that the official libraries verify it.

They disagree on details (see ``tests/interop/test_hand_off_languages.py``), and what is sent here
satisfies all:

- secrets are ``whsec_`` and padded base64 of the standard alphabet, of 24 to 64 bytes: some refuse
  the unpadded, and one reads URL-safe text as another key without a word;
- the signatures of several secrets stand in one header, one blank apart, one comma each;
- only ``webhook-*`` headers: a stray ``svix-*`` beside them breaks two of the libraries;
- each attempt is signed anew, with the time it is sent at.

``whsk_`` is an Ed25519 key, signed as ``v1a``. No official library verifies that: it is for
receivers that must not be able to sign themselves.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SECRET, _PRIVATE_KEY, _PUBLIC_KEY = "whsec_", "whsk_", "whpk_"
_SECRET_BYTES = range(24, 65)
_SEED_BYTES = 32

#: Takes the signed text; returns an entry of the header.
_Sign = Callable[[bytes], str]


class Signer:
    """Signs with each of its secrets."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Prepare a signer. Raises ``ValueError`` that says what is wrong with a secret."""
        if not secrets:
            raise ValueError("there is no secret to sign with")
        if len(set(secrets)) != len(secrets):
            raise ValueError("both secrets are the same: leave one out")
        self._entries = [_entry(secret) for secret in secrets]

    def headers(self, *, event_id: str, sent_s: int, body: bytes) -> dict[str, str]:
        """Return the three headers of an attempt at a unix time."""
        text = b"%b.%d.%b" % (event_id.encode(), sent_s, body)
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(sent_s),
            "webhook-signature": " ".join([sign(text) for sign in self._entries]),
        }


def new_secret(random: Callable[[int], bytes]) -> str:
    """Return a new secret. Of 24 bytes, because base64 of them has no padding to lose."""
    return _SECRET + base64.b64encode(random(24)).decode()


def new_key_pair() -> tuple[str, str]:
    """Return a new private key for us, and its public key for the receiver."""
    private = Ed25519PrivateKey.generate()
    raw = serialization.Encoding.Raw
    seed = private.private_bytes(raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    public = private.public_key().public_bytes(raw, serialization.PublicFormat.Raw)
    return (
        _PRIVATE_KEY + base64.b64encode(seed + public).decode(),
        _PUBLIC_KEY + base64.b64encode(public).decode(),
    )


def _entry(secret: str) -> _Sign:
    if secret.startswith(_SECRET):
        key = _bare(secret.removeprefix(_SECRET))
        if len(key) not in _SECRET_BYTES:
            raise ValueError(f"a secret has {len(key)} bytes, not 24 to 64")
        return lambda text: "v1," + _base64(hmac.digest(key, text, "sha256"))
    if secret.startswith(_PRIVATE_KEY):
        key = _bare(secret.removeprefix(_PRIVATE_KEY))
        if len(key) not in {_SEED_BYTES, 2 * _SEED_BYTES}:
            raise ValueError(f"a private key has {len(key)} bytes, not 32 or 64")
        private = Ed25519PrivateKey.from_private_bytes(key[:_SEED_BYTES])
        public = private.public_key().public_bytes_raw()
        if key[_SEED_BYTES:] not in {b"", public}:
            raise ValueError("the second half of a private key is not its public key")
        return lambda text: "v1a," + _base64(private.sign(text))
    if secret.startswith(_PUBLIC_KEY):
        raise ValueError("a secret is the receiver's public key: enter the private one, whsk_...")
    raise ValueError(
        "a secret begins neither with whsec_ nor with whsk_: "
        "`tidegate keys webhook-secret` makes one"
    )


def _bare(text: str) -> bytes:
    try:
        key = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        key = b""
    if not key or base64.b64encode(key).decode() != text:
        raise ValueError(
            "a secret is not padded base64 of the standard alphabet (+ and /, and = at its end): "
            "the receivers' libraries would read it differently"
        )
    return key


def _base64(text: bytes) -> str:
    return base64.b64encode(text).decode()
