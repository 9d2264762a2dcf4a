"""Heads of submissions that read only one way.

Nearly every submission arrives in one read, with a head that its sender repeats but for the length
of the body and the Idempotency-Key. So heads are remembered without these two, with what they say.
Whatever is not as plain as can be is left to the parser, which knows all of HTTP (RFC 9112).
"""

import re

from msgspec import Struct

from gateway.web.request_body import is_json
from gateway.web.response import JSON

_LINE = b"POST /v1/orders HTTP/1.1\r\n"
_LINE_END = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_REQUEST_ID = b"\r\nidempotency-key: "
#: A field: its name is a token, its value visible ASCII and blanks; nothing is folded.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~]*)")
#: What changes how a body is read or a connection ends, or must not come twice.
_NOT_PLAIN = frozenset(
    {
        b"content-length", b"idempotency-key", b"transfer-encoding", b"content-encoding",
        b"expect", b"upgrade", b"trailer", b"te", b"proxy-connection", b"sec-websocket-key1",
    }
)  # fmt: skip
_LENGTH_DIGITS_MAX = 6
_HEAD_BYTES_MAX = 4096
_FIELDS_MAX = 60
#: Heads that are remembered: a front adds its clients' addresses. Longer ones are read anew.
_HEADS_MAX = 1024
_KEPT_BYTES_MAX = 1024


class ParsedHead(Struct, frozen=True):
    """What a plain head says for every order it is sent with. ``is_last``: of its connection."""

    authorization: str
    is_last: bool


class ParsedSubmission(Struct, frozen=True):
    """A submission that came whole."""

    said: ParsedHead
    request_id: str | None
    body: bytes


class SubmissionParser:
    """Reads submissions, and remembers what heads said."""

    def __init__(self, *, bytes_max: int) -> None:
        """``bytes_max``: of a body."""
        self._bytes_max = bytes_max
        self._known: dict[bytes, ParsedHead | None] = {}

    def read(self, data: bytes) -> ParsedSubmission | None:
        """Return the one submission that ``data`` is; None where the parser must find out."""
        if not data.startswith(_LINE):
            return None
        end = data.find(_HEAD_END)
        if not 0 < end <= _HEAD_BYTES_MAX:
            return None
        head = data[len(_LINE) - 2 : end + 2]
        lower = head.lower()
        at = lower.find(_LENGTH)
        digits_at = at + len(_LENGTH)
        digits_end = lower.find(_LINE_END, digits_at)
        digits = lower[digits_at:digits_end]
        if at < 0 or not digits.isdigit() or len(digits) > _LENGTH_DIGITS_MAX:
            return None
        body_bytes = int(digits)
        if body_bytes > self._bytes_max or len(data) != end + 4 + body_bytes:
            return None
        head, lower = head[:at] + head[digits_end:], lower[:at] + lower[digits_end:]
        request_id = None
        at = lower.find(_REQUEST_ID)
        if at >= 0:
            value_end = lower.find(_LINE_END, at + 2)
            value = head[at + len(_REQUEST_ID) : value_end]
            request_id = value.decode("latin-1")
            if not value or not (request_id.isascii() and request_id.isprintable()):
                return None
            if request_id[0] == " " or request_id[-1] == " ":
                return None
            head = head[:at] + head[value_end:]
        try:
            said = self._known[head]
        except KeyError:
            said = self._learn(head)
        return None if said is None else ParsedSubmission(said, request_id, data[end + 4 :])

    def _learn(self, head: bytes) -> ParsedHead | None:
        said = _read(head)
        if len(head) <= _KEPT_BYTES_MAX:
            if len(self._known) >= _HEADS_MAX:
                del self._known[next(iter(self._known))]
            self._known[head] = said
        return said


def _read(head: bytes) -> ParsedHead | None:
    """Return what the fields of a plain head say; None of every other."""
    fields: dict[bytes, bytes] = {}
    lines = head[2:-2].split(_LINE_END)
    if len(lines) > _FIELDS_MAX:
        return None
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            return None
        name = found[1].lower()
        if name in fields or name in _NOT_PLAIN:
            return None
        fields[name] = found[2].strip(b" \t")
    authorization = fields.get(b"authorization")
    content_type = fields.get(b"content-type", JSON.encode()).decode("ascii")
    connection = fields.get(b"connection", b"keep-alive").lower()
    if (
        authorization is None
        or b"host" not in fields
        or connection not in (b"keep-alive", b"close")
        or not is_json(content_type)
    ):
        return None
    return ParsedHead(authorization.decode("ascii"), connection == b"close")
