"""Form posts, percent-decoded exactly once, as bytes.

Decoding twice, or to text and back, would break a valid signature: a codec does not round-trip all
bytes.
"""

import re
from binascii import a2b_qp
from collections.abc import Mapping, Sequence

from gateway.domain import errors

FIELDS_MAX = 200
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_JOINT = re.compile(rb"&[^&=]*=")


def decoded(body: bytes) -> dict[bytes, bytes]:
    """Return the fields of a form by name; names are unique. Raises ``Rejected``."""
    if not body:
        raise errors.Rejected("missing_signature", "an empty body")
    if _BAD_ESCAPE.search(body):
        raise errors.Rejected("malformed", "an invalid % escape: not a form, or decoded before")
    pieces = body.split(b"&", FIELDS_MAX)
    if len(pieces) > FIELDS_MAX:
        raise errors.Rejected("malformed", f"more than {FIELDS_MAX} fields")
    form: dict[bytes, bytes] = {}
    for piece in pieces:
        name, equals, value = piece.partition(b"=")
        name = _value(name)
        if not equals or not name:
            raise errors.Rejected("malformed", "a field without a name or a value: not a form")
        if name in form:
            raise errors.Rejected("malformed", "a duplicate field")
        form[name] = _value(value)
    return form


class Joints:
    """Detects fields that were folded into the values of others, or split from them.

    Where the signed text is ``key=value`` joined with ``&``, it does not mark where a value ends:
    ``a=1&b=2`` is the fields ``a`` and ``b``, or ``a`` alone with the value ``1&b=2``. A genuine
    message could be folded that way to hide its refund or to change its status. So no field that
    has an effect may be inside another one's value, nor contain another. ``free`` are those that
    merchants fill with text of their own: such a one may contain fields without an effect.
    """

    def __init__(self, *acted_on: str, free: Sequence[str] = ()) -> None:
        names = [re.escape(name.encode()) for name in (*acted_on, *free)]
        self._strict = frozenset(name.encode() for name in acted_on)
        self._names = self._strict.union(name.encode() for name in free)
        self._joint = re.compile(b"&(?:%b)=" % b"|".join(names))

    def is_folded(self, form: Mapping[bytes, bytes], text: bytes) -> bool:
        """Return whether the signed text can be split into other fields than those of the form."""
        if len(self._joint.findall(b"&" + text)) > len(self._names & form.keys()):
            return True
        return any(_JOINT.search(form[name]) for name in self._strict & form.keys())


def unescaped(text: bytes) -> bytes:
    """Decode the ``%xx`` of a text; with an invalid escape, return it unchanged.

    JSON and Chinese text in a form are almost completely escaped: ``unquote_to_bytes``, which
    decodes escape by escape, took nine tenths of the time of a message. Quoted-printable is the
    same encoding with another character, and is decoded in C.
    """
    if b"%" not in text or _BAD_ESCAPE.search(text):
        return text
    return a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))


def _value(text: bytes) -> bytes:
    return unescaped(text.replace(b"+", b" "))
