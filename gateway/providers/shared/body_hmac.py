"""HMAC-SHA256 over the raw body, in base64: how Shopify and WooCommerce sign."""

import base64
import hmac
from collections.abc import Sequence


def is_signed(body: bytes, signature: str, keys: Sequence[bytes]) -> bool:
    """Say whether ``signature`` is the padded base64 of the body's HMAC under one of the keys."""
    if not signature.isascii():
        return False
    for key in keys:
        expected = base64.b64encode(hmac.digest(key, body, "sha256")).decode()
        if hmac.compare_digest(expected, signature):
            return True
    return False
