"""MD5 over a text with the secret behind it: how Youzan, Doudian and Kuaidi100 sign.

MD5 is what these protocols prescribe and no choice of ours. Two things follow from it:

- The parts are joined without their lengths. What stands before the body is configured and never
  taken from a request, and a secret holds no blank; so bytes could only move between the end of
  the body and the front of another live secret. A JSON object or list that gained or lost its
  last character is none any more. Hence the rule: what was signed counts only when the whole of
  it was decoded as one JSON object or list.
- Nothing signed tells the time of sending. What is sent again is recognised by its key.
"""

import hashlib
import hmac
from collections.abc import Sequence

from gateway.providers import contract
from gateway.providers.shared import fields


def secrets(account: contract.Account, *, whose: str, length_min: int) -> Sequence[bytes]:
    """Return the live secrets. Raises ``ValueError`` that says what to copy from where."""
    live = []
    for secret in fields.secrets(account):
        if not fields.is_plain(secret) or len(secret) < length_min:
            raise fields.misconfigured(
                account,
                f"has a secret that is not {whose}: at least {length_min} printable ASCII "
                "characters without blanks",
            )
        live.append(secret.encode())
    return live


def is_signed(text: Sequence[bytes], signature: str | bytes, secrets: Sequence[bytes]) -> bool:
    """Say whether ``signature`` is the lower-case hex MD5 of the parts and one of the secrets."""
    if isinstance(signature, bytes):
        signature = signature.decode("ascii", "replace")
    if not signature.isascii():
        return False
    for secret in secrets:
        # The protocol's own choice of a digest, see above.
        digest = hashlib.md5(b"".join((*text, secret)), usedforsecurity=False).hexdigest()
        if hmac.compare_digest(digest, signature):
            return True
    return False
