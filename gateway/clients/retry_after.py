"""The header Retry-After, of an answer that asks to come back later."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: A server that asks for more is asked again after a day.
_LONGEST_S = 86400.0
_SECONDS = re.compile(r"[0-9]{1,18}")


def seconds(text: str, *, now: datetime) -> float | None:
    """Return the seconds to wait, a day at most; None where it says nothing that can be read."""
    if _SECONDS.fullmatch(text):
        return min(float(text), _LONGEST_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # RFC 9110: the time is in GMT, and some servers write no zone.
    at = at.replace(tzinfo=at.tzinfo or UTC)
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_S)
