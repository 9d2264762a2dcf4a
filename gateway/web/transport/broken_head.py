"""What to answer to a request that is not HTTP: which limit or rule it broke, and where.

The parser's messages quote what was sent, which may hold a key: only its own words are passed on.
"""

import re

from aiohttp.http_exceptions import InvalidHeader, LineTooLong, TransferEncodingError

from gateway.domain.errors import Fault
from gateway.web.problems import problem
from gateway.web.response import Response

_DUPLICATE = re.compile(r"Duplicate '([A-Za-z-]+)' header found\.")
_MISSING = re.compile(r"Missing '([A-Za-z-]+)' header in request\.")
_TOO_MANY = "Too many headers received"
_TLS = "Received HTTPS traffic on an HTTP port"
#: A line of a message that quotes nothing.
_OWN_WORDS = re.compile(r"[A-Z][A-Za-z0-9 '`/_.-]{3,100}")


def response(exc: BaseException | None, *, is_first_line: bool, line_bytes_max: int) -> Response:
    """Return the response to a head that the parser rejected with ``exc``.

    ``is_first_line``: the first line of the request is longer than ``line_bytes_max`` bytes.
    """
    message = getattr(exc, "message", "")
    if isinstance(exc, LineTooLong):
        if is_first_line:
            reason = f"is longer than {line_bytes_max} bytes"
            return problem("uri-too-long", f"the request's first line {reason}")
        return problem("headers-too-large", f"a header is longer than {line_bytes_max} bytes")
    if message == _TOO_MANY:
        return problem("headers-too-large", "there are too many headers")
    if message == _TLS:
        return problem("malformed", "TLS was sent to a port that speaks HTTP")
    for pattern, reason in ((_DUPLICATE, "is sent more than once"), (_MISSING, "is missing")):
        if match := pattern.fullmatch(message):
            return problem(
                "malformed", f"the header {match[1]} {reason}", faults=[Fault(match[1], reason)]
            )
    if isinstance(exc, InvalidHeader):
        return problem("malformed", "a header has a character that HTTP does not permit")
    if isinstance(exc, TransferEncodingError):
        return problem("malformed", "the chunks of the body are not as HTTP defines them")
    return problem("malformed", f"not HTTP/1.1: {_own_words(message)}")


def _own_words(message: str) -> str:
    """Return the last line of a message that quotes nothing, as part of a sentence."""
    lines = [line.strip().rstrip(":") for line in message.split("\n")]
    found = [line for line in lines if _OWN_WORDS.fullmatch(line)]
    text = found[-1] if found else "The head of the request cannot be parsed"
    return text[:1].lower() + text[1:]
