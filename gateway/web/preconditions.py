"""Headers that say when, and how often, a request may take effect."""

import re

from gateway.domain.errors import Fault
from gateway.web.problems import Answered, problem
from gateway.web.request import Request

VERSION_PATTERN = r'^"[1-9][0-9]{0,9}"$'
_VERSION = re.compile(VERSION_PATTERN)


def version(request: Request) -> int | None:
    """Return the version in If-Match; None when not sent. Raises ``Answered`` with 400."""
    value = request.header("If-Match")
    if value is None:
        return None
    if _VERSION.fullmatch(value):
        return int(value[1:-1])
    reason = 'must be one version of the order in double quotes, as in "3"'
    raise Answered(problem("malformed", faults=[Fault("If-Match", reason)]))


def idempotency_key(value: str | None) -> str | None:
    """Return the Idempotency-Key, quoted (a structured string) or not; None when not sent.

    draft-ietf-httpapi-idempotency-key-header-07. Raises ``Answered`` for one out of bounds.
    """
    if value is None:
        return None
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if 1 <= len(value) <= 255 and value.isascii() and value.isprintable():
        return value
    reason = "must have 1 to 255 printable ASCII characters"
    raise Answered(problem("malformed", faults=[Fault("Idempotency-Key", reason)]))
