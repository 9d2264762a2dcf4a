"""Form posts, percent-decoded exactly once and kept as bytes.

Decoding twice, or to text and back, is how a true signature is lost: what a codec does to odd
characters can not matter as long as nothing is text.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from gateway.domain import errors

FIELDS_MAX = 200
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_JOINT = re.compile(rb"&[^&=]*=")


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


class Joints:
    """Finds fields that were folded into others, or made of others' values.

    Where what is signed is ``key=value`` joined with ``&``, the signed text does not say where a
    value ends: ``a=1&b=2`` is the field ``a`` and the field ``b``, or ``a`` alone with the value
    ``1&b=2``. A true message could be folded that way to hide its refund or to spoil its status.
    So no field that is acted on may stand inside another one's value, nor hold another in its own.
    """

    def __init__(self, *acted_on: str) -> None:
        names = [re.escape(name.encode()) for name in acted_on]
        self._names = frozenset(name.encode() for name in acted_on)
        self._joint = re.compile(b"&(?:%b)=" % b"|".join(names))

    def is_folded(self, form: Mapping[bytes, bytes], text: bytes) -> bool:
        """Say whether the signed text may join its fields otherwise than the form does."""
        acted_on = self._names & form.keys()
        if len(self._joint.findall(b"&" + text)) > len(acted_on):
            return True
        return any(_JOINT.search(form[name]) for name in acted_on)


def _unescaped(text: bytes) -> bytes:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return unquote_to_bytes(text) if b"%" in text else text
