"""How long the body of a request is that nobody will read.

A request that is refused on its first bytes leaves its body behind on the connection, and the next
one begins where it ends. What is skipped and what a proxy takes for the body must never differ
(RFC 9112, 11.2), so only what is as plain as can be is believed.
"""

#: A body up to so long is read and thrown away to keep the connection; a longer one ends it.
_SKIPPED_BYTES_MAX = 64 * 1024
_LENGTH_DIGITS_MAX = 7
_KNOWN_MAX = 256
#: Longer fields are not remembered, so that all of them have a bound.
_FIELDS_BYTES_MAX = 4096
#: Every byte but control characters; the tabulator is a blank.
_SEEN = bytes(byte for byte in range(256) if byte > 31 and byte != 127) + b"\t"
#: What differs from one submission to the next, as most clients write it.
_REQUEST_ID = (b"\r\nIdempotency-Key: ", b"\r\nidempotency-key: ")
_LENGTH = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")


def is_plain(line: bytes) -> bool:
    """Say whether a request's first line is one of HTTP/1.1 that hides nothing."""
    return line.endswith(b" HTTP/1.1") and not line.translate(None, _SEEN)


class BodyFraming:
    """Reads fields, and remembers what they said: a client that is refused sends them again."""

    def __init__(self) -> None:
        self._known: dict[bytes, int | None] = {}

    def body_bytes(self, fields: bytes) -> int | None:
        """Return how long the body is that follows these fields of a head; None: not plain.

        ``fields`` begin with the end of the first line and end with the end of the last field.
        """
        try:
            return self._known[fields]
        except KeyError:
            return self._read(fields)

    def _read(self, fields: bytes) -> int | None:
        if len(fields) > _FIELDS_BYTES_MAX:
            return _declared(fields.lower())
        # Nearly every submission has its own key and length: what is remembered is the rest.
        rest, request_id = _cut(fields, _REQUEST_ID, b"")
        rest, digits = _cut(rest, _LENGTH, b"0")
        body_bytes = self._known[rest] if rest in self._known else _declared(rest.lower())
        self._remember(rest, body_bytes)
        if body_bytes is not None and digits is not None:
            body_bytes = _length(digits)
        if request_id is None:
            self._remember(fields, body_bytes)
        return body_bytes

    def _remember(self, fields: bytes, body_bytes: int | None) -> None:
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[fields] = body_bytes


def _cut(fields: bytes, names: tuple[bytes, ...], instead: bytes) -> tuple[bytes, bytes | None]:
    """Return the fields with another value of this one, and the value it had, if it is plain."""
    for name in names:
        at = fields.find(name)
        if at >= 0:
            begin = at + len(name)
            end = fields.find(b"\r", begin)
            value = fields[begin:end]
            if not value.translate(None, _SEEN):
                return fields[:begin] + instead + fields[end:], value
    return fields, None


def _length(digits: bytes) -> int | None:
    digits = digits.strip(b" \t")
    if not digits.isdigit() or len(digits) > _LENGTH_DIGITS_MAX:
        return None
    body_bytes = int(digits)
    return body_bytes if body_bytes <= _SKIPPED_BYTES_MAX else None


def _declared(fields: bytes) -> int | None:
    """Return how long the body is that follows these fields, in lower case; None: not plain."""
    lines = fields.count(b"\r\n")
    if (
        # Nothing that another reader could take for the end of a line, or for none.
        fields.translate(None, _SEEN) != b"\r\n" * lines
        or b"\ntransfer-encoding" in fields
        or b"\nexpect" in fields
        or b"\nupgrade" in fields
        or b"\n " in fields
        or b"\n\t" in fields
    ):
        return None
    at = fields.find(b"\nconnection")
    if at >= 0 and (
        not fields.startswith(b": keep-alive\r\n", at + 11)
        or fields.find(b"\nconnection", at + 1) >= 0
    ):
        return None
    at = fields.find(b"\ncontent-length")
    if at < 0:
        return 0
    if fields[at + 15 : at + 16] != b":" or fields.find(b"\ncontent-length", at + 1) >= 0:
        return None
    return _length(fields[at + 16 : fields.find(b"\r", at)])
