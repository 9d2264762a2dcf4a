"""The fast path's parser: submissions whose heads every HTTP parser reads alike.

Nearly every submission arrives in one read, with a head that its client repeats except for
Content-Length, Idempotency-Key and X-Request-Id. So heads are cached without these. Whatever could
be read in two ways is left to aiohttp's parser, which knows all of HTTP (RFC 9112).
"""

import re

from msgspec import Struct

from gateway.runtime import request_ids
from gateway.runtime.live import Limits, Live
from gateway.web import media_type
from gateway.web.response import JSON

_FIRST_LINE = b"POST /v1/orders HTTP/1.1\r\n"
_LINE_END = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_IDEMPOTENCY_KEY = b"\r\nidempotency-key: "
_REQUEST_ID = b"\r\nx-request-id: "
#: A field: its name is a token, its value visible ASCII, spaces and tabs; nothing is folded.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~]*)")
#: Fields that change how a body is read or a connection ends, or that must not be repeated.
_NOT_PLAIN = frozenset(
    {
        b"content-length", b"idempotency-key", b"x-request-id", b"transfer-encoding",
        b"content-encoding", b"expect", b"upgrade", b"trailer", b"te", b"proxy-connection",
        b"sec-websocket-key1",
    }
)  # fmt: skip
_LENGTH_DIGITS_MAX = 6
_HEAD_BYTES_MAX = 4096
_FIELDS_MAX = 60
#: Cached heads: reverse proxies add the addresses of clients. Longer ones are read each time.
_CACHED_HEADS_MAX = 1024
_CACHED_BYTES_MAX = 1024


class ParsedHead(Struct, frozen=True):
    """What a head means for every submission that has it.

    ``authorization``: the header's value; ``closes``: whether the client asked to close the
    connection after the response.
    """

    authorization: str
    closes: bool


class ParsedSubmission(Struct, frozen=True):
    """A whole submission.

    ``idempotency_key``: as it was sent; None: not sent. ``request_id``: the sender's own, where it
    may be used as it is; else empty.
    """

    head: ParsedHead
    idempotency_key: str | None
    body: bytes
    request_id: str = ""


class SubmissionParser:
    """Reads submissions and caches their heads.

    A longer one than the limit for orders is left to aiohttp's parser. Invariant: what it reads,
    aiohttp's parser reads the same; the cache has a bound.
    """

    def __init__(self, *, limits: Live[Limits]) -> None:
        self._limits = limits
        # Heads without the fields that differ each time; None: left to aiohttp's parser.
        self._heads: dict[bytes, ParsedHead | None] = {}

    def read(self, data: bytes) -> ParsedSubmission | None:
        """Return the submission if ``data`` is exactly one; None: aiohttp's parser must read it."""
        if not data.startswith(_FIRST_LINE):
            return None
        end = data.find(_HEAD_END)
        if not 0 < end <= _HEAD_BYTES_MAX:
            return None
        head = data[len(_FIRST_LINE) - 2 : end + 2]
        lower = head.lower()
        at = lower.find(_LENGTH)
        digits_at = at + len(_LENGTH)
        digits_end = lower.find(_LINE_END, digits_at)
        digits = lower[digits_at:digits_end]
        if at < 0 or not digits.isdigit() or len(digits) > _LENGTH_DIGITS_MAX:
            return None
        body_bytes = int(digits)
        if body_bytes > self._limits.now.order_bytes_max or len(data) != end + 4 + body_bytes:
            return None
        head, lower = head[:at] + head[digits_end:], lower[:at] + lower[digits_end:]
        idempotency_key = None
        request_id = ""
        at = lower.find(_IDEMPOTENCY_KEY)
        if at >= 0:
            value_end = lower.find(_LINE_END, at + 2)
            value = head[at + len(_IDEMPOTENCY_KEY) : value_end]
            idempotency_key = value.decode("latin-1")
            if not value or not (idempotency_key.isascii() and idempotency_key.isprintable()):
                return None
            if idempotency_key[0] == " " or idempotency_key[-1] == " ":
                return None
            head, lower = head[:at] + head[value_end:], lower[:at] + lower[value_end:]
        at = lower.find(_REQUEST_ID)
        if at >= 0:
            value_end = lower.find(_LINE_END, at + 2)
            request_id = head[at + len(_REQUEST_ID) : value_end].decode("latin-1")
            if not request_ids.is_plain(request_id):
                # Perhaps sent with spaces around it, or not a header at all.
                return None
            head = head[:at] + head[value_end:]
        try:
            parsed = self._heads[head]
        except KeyError:
            parsed = self._parse_and_cache(head)
        if parsed is None:
            return None
        return ParsedSubmission(parsed, idempotency_key, data[end + 4 :], request_id)

    def _parse_and_cache(self, head: bytes) -> ParsedHead | None:
        parsed = _parse(head)
        if len(head) <= _CACHED_BYTES_MAX:
            if len(self._heads) >= _CACHED_HEADS_MAX:
                del self._heads[next(iter(self._heads))]
            self._heads[head] = parsed
        return parsed


def _parse(head: bytes) -> ParsedHead | None:
    """Return what a head's fields mean; None unless every parser reads them alike.

    ``head`` begins with the end of the first line and ends with the end of the last field.
    """
    fields: dict[bytes, bytes] = {}
    lines = head[2:-2].split(_LINE_END)
    if len(lines) > _FIELDS_MAX:
        return None
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            return None
        name = match[1].lower()
        if name in fields or name in _NOT_PLAIN:
            return None
        fields[name] = match[2].strip(b" \t")
    authorization = fields.get(b"authorization")
    content_type = fields.get(b"content-type", JSON.encode()).decode("ascii")
    connection = fields.get(b"connection", b"keep-alive").lower()
    if (
        authorization is None
        or b"host" not in fields
        or connection not in (b"keep-alive", b"close")
        or media_type.json_fault(content_type)
    ):
        return None
    return ParsedHead(authorization.decode("ascii"), connection == b"close")
