"""HMAC-SHA256 over the raw body, in base64: the signatures of Shopify and WooCommerce."""

import base64
import hmac
from collections.abc import Sequence


def is_signed(body: bytes, signature: str, keys: Sequence[bytes]) -> bool:
    """Return whether ``signature`` is the body's HMAC, in padded base64, under one of the keys."""
    if not signature.isascii():
        return False
    for key in keys:
        expected = base64.b64encode(hmac.digest(key, body, "sha256")).decode()
        if hmac.compare_digest(expected, signature):
            return True
    return False
