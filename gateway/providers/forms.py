"""Form posts, percent-decoded exactly once and kept as bytes.

Decoding twice, or to text and back, is how a true signature is lost: what a codec does to odd
characters can not matter as long as nothing is text.
"""

import re
from urllib.parse import unquote_to_bytes

from gateway.domain import errors

FIELDS_MAX = 200
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def decoded(body: bytes) -> dict[bytes, bytes]:
    """Return the fields of a form, each name once. Raises ``Refused``."""
    if not body:
        raise errors.Refused("missing_signature", "an empty body")
    if _BAD_ESCAPE.search(body):
        raise errors.Refused("malformed", "a % that escapes nothing: not a form, or decoded before")
    pieces = body.split(b"&", FIELDS_MAX)
    if len(pieces) > FIELDS_MAX:
        raise errors.Refused("malformed", f"more than {FIELDS_MAX} fields")
    form: dict[bytes, bytes] = {}
    for piece in pieces:
        name, equals, value = piece.partition(b"=")
        name = _unescaped(name)
        if not equals or not name:
            raise errors.Refused("malformed", "a field without a name or a value: not a form")
        if name in form:
            raise errors.Refused("malformed", "a field stands there twice")
        form[name] = _unescaped(value)
    return form


def _unescaped(text: bytes) -> bytes:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return unquote_to_bytes(text) if b"%" in text else text
