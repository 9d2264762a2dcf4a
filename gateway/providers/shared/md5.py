"""MD5 over a text followed by the secret: the signatures of Youzan, Doudian and Kuaidi100.

These protocols prescribe MD5. Two consequences:

- The parts are joined without their lengths. The prefix is configured, never taken from a request,
  and a secret contains no blank; so bytes could only move between the end of the body and the
  start of another active secret. A JSON object or list that gained or lost its last character is
  not valid JSON. Hence the rule: a signed text counts only if all of it was decoded as one JSON
  object or list.
- No send time is signed. A repeat is recognised by its key.
"""

import hashlib
import hmac
from collections.abc import Sequence

from gateway.providers import contract
from gateway.providers.shared import fields


def secrets(account: contract.Account, *, whose: str, length_min: int) -> Sequence[bytes]:
    """Return the active secrets. Raises ``ValueError`` whose text names the expected secret."""
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
    """Return whether ``signature`` is the hex MD5 (lower case) of the parts and a secret."""
    if isinstance(signature, bytes):
        signature = signature.decode("ascii", "replace")
    if not signature.isascii():
        return False
    for secret in secrets:
        # The protocol prescribes MD5, see above.
        digest = hashlib.md5(b"".join((*text, secret)), usedforsecurity=False).hexdigest()
        if hmac.compare_digest(digest, signature):
            return True
    return False
