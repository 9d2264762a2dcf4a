"""The head of an HTTP/1.1 answer, read strictly (RFC 9112). Pure.

What two readers could read differently is refused: bare line feeds, folded lines, blanks before a
colon, two lengths.
"""

import re
from functools import lru_cache

from msgspec import Struct

from gateway.clients.call_failures import CallFailed

_LINES = rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*"
_HEAD = re.compile(
    rb"HTTP/1\.(?P<minor>[01]) (?P<status>[1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?\r\n"
    rb"(?P<fields>" + _LINES + rb")"
)
_TRAILERS = re.compile(_LINES)
#: The fields that are read.
_FIELDS = re.compile(
    rb"(?mi)^(content-length|content-encoding|transfer-encoding|connection|retry-after)"
    rb":[ \t]*([^\r\n]*?)[ \t]*\r$"
)
_LENGTH = re.compile(rb"[0-9]{1,18}")
#: Content codings that compress nothing: none, and what servers send there by mistake.
_PLAIN = frozenset({b"", b"identity", b"none", b"utf-8"})
_RETRY_AFTER_CHARS_MAX = 64


class Head(Struct, frozen=True):
    """What a head says.

    ``length``: of the body; None: it is in chunks, or ends with the connection.
    ``is_kept``: another request may follow. ``is_plain``: the body is not compressed.
    """

    status: int
    length: int | None
    is_chunked: bool
    is_kept: bool
    is_plain: bool
    retry_after: str


@lru_cache(maxsize=64)
def parse(text: bytes) -> Head:
    """Read a head up to its empty line. Raises ``CallFailed``.

    A server's answers have the same head for a second, until their date changes.
    """
    head = _HEAD.fullmatch(text)
    if head is None:
        raise CallFailed("the answer's head is malformed")
    status, fields = int(head["status"]), _fields(head["fields"])
    transfer, length = fields.get(b"transfer-encoding"), _length(fields)
    if status in {204, 304}:
        # They never have a body, whatever they say.
        transfer, length = None, 0
    options = fields.get(b"connection", b"").lower().replace(b" ", b"").split(b",")
    is_delimited = transfer is not None or length is not None
    may_stay = head["minor"] == b"1" or b"keep-alive" in options
    return Head(
        status=status,
        length=length,
        is_chunked=transfer is not None,
        is_kept=is_delimited and may_stay and b"close" not in options,
        is_plain=fields.get(b"content-encoding", b"").lower() in _PLAIN,
        retry_after=fields.get(b"retry-after", b"")[:_RETRY_AFTER_CHARS_MAX].decode("latin-1"),
    )


def are_trailers(text: bytes) -> bool:
    """Return whether these are well-formed lines, and none is about the answer's length."""
    return _TRAILERS.fullmatch(text) is not None and not _fields(text)


def _length(fields: dict[bytes, bytes]) -> int | None:
    length, transfer = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    is_chunked = transfer is not None and transfer.lower() == b"chunked" and length is None
    is_counted = length is not None and _LENGTH.fullmatch(length) is not None
    if (transfer is not None and not is_chunked) or (length is not None and not is_counted):
        raise CallFailed("the answer's length is ambiguous")
    return None if length is None else int(length)


def _fields(text: bytes) -> dict[bytes, bytes]:
    """Return the fields that are read, in lower case; of repeated ones the values with commas."""
    fields: dict[bytes, bytes] = {}
    for name, value in _FIELDS.findall(text):
        key = name.lower()
        fields[key] = fields[key] + b"," + value if key in fields else value
    return fields
