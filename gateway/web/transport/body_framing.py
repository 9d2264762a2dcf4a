"""Body framing: the length of a rejected request's body, which is skipped and never parsed.

The next request on the connection begins where that body ends. What is skipped here and what a
reverse proxy takes for the body must never differ (request smuggling; RFC 9112, 11.2), so every
head that could be read in two ways has an unknown length, and its connection is closed.
"""

#: Longest body that is skipped to keep the connection; a longer one closes it.
_SKIPPED_BYTES_MAX = 64 * 1024
_LENGTH_DIGITS_MAX = 7
_CACHED_MAX = 256
#: Longer fields are not cached, so that the cache has a bound in bytes.
_FIELDS_BYTES_MAX = 4096
#: Every byte but control characters, and the tab, which is white space.
_VISIBLE = bytes(byte for byte in range(256) if byte > 31 and byte != 127) + b"\t"
#: Fields whose values differ between submissions, as most clients write them.
_IDEMPOTENCY_KEY = (b"\r\nIdempotency-Key: ", b"\r\nidempotency-key: ")
_LENGTH = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")


def is_plain(line: bytes) -> bool:
    """Return whether a first line is of HTTP/1.1 and has no control characters."""
    return line.endswith(b" HTTP/1.1") and not line.translate(None, _VISIBLE)


class BodyFraming:
    """Finds body lengths and caches them: a rejected client sends the same fields again.

    Invariant: the cache changes no result, and has a bound in entries and in bytes.
    """

    def __init__(self) -> None:
        self._cached: dict[bytes, int | None] = {}

    def body_bytes(self, fields: bytes) -> int | None:
        """Return the length of the body that follows these fields; None: it must not be guessed.

        ``fields``: of a head, from the CR LF of its first line to that of its last field.
        """
        try:
            return self._cached[fields]
        except KeyError:
            return self._find_and_cache(fields)

    def _find_and_cache(self, fields: bytes) -> int | None:
        if len(fields) > _FIELDS_BYTES_MAX:
            return _declared(fields.lower())
        # Nearly every submission has its own key and length: the others are what is cached.
        rest, idempotency_key = _replace(fields, _IDEMPOTENCY_KEY, b"")
        rest, digits = _replace(rest, _LENGTH, b"0")
        body_bytes = self._cached[rest] if rest in self._cached else _declared(rest.lower())
        self._cache(rest, body_bytes)
        if body_bytes is not None and digits is not None:
            body_bytes = _length(digits)
        if idempotency_key is None:
            self._cache(fields, body_bytes)
        return body_bytes

    def _cache(self, fields: bytes, body_bytes: int | None) -> None:
        if len(self._cached) >= _CACHED_MAX:
            self._cached.clear()
        self._cached[fields] = body_bytes


def _replace(
    fields: bytes, names: tuple[bytes, ...], new_value: bytes
) -> tuple[bytes, bytes | None]:
    """Replace the value of the first field with one of these names.

    Returns the fields, and the value that was replaced; None: none was, for the field is not there
    or its value has control characters.
    """
    for name in names:
        at = fields.find(name)
        if at >= 0:
            begin = at + len(name)
            end = fields.find(b"\r", begin)
            value = fields[begin:end]
            if not value.translate(None, _VISIBLE):
                return fields[:begin] + new_value + fields[end:], value
    return fields, None


def _length(digits: bytes) -> int | None:
    digits = digits.strip(b" \t")
    if not digits.isdigit() or len(digits) > _LENGTH_DIGITS_MAX:
        return None
    body_bytes = int(digits)
    return body_bytes if body_bytes <= _SKIPPED_BYTES_MAX else None


def _declared(fields: bytes) -> int | None:
    """Do as ``BodyFraming.body_bytes`` for fields in lower case."""
    lines = fields.count(b"\r\n")
    if (
        # No control character that another parser could take for the end of a line, or ignore.
        fields.translate(None, _VISIBLE) != b"\r\n" * lines
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
