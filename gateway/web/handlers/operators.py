"""What the handlers of the operators' routes share: who asks, and what their queries say."""

from datetime import datetime, timedelta

from gateway.domain.errors import Fault
from gateway.web.request import Request

_AGE_H_MAX = 24 * 366 * 10


def actor(request: Request) -> str:
    """Return who asks, for the audit log."""
    principal = request.principal
    assert principal is not None, "the route requires a role"
    return f"{principal.name} (key {principal.key_id})"


def count(text: str, most: int, name: str, faults: list[Fault]) -> int:
    """Return a whole number from 1 to ``most``; where it is none, a fault is noted."""
    if text.isascii() and text.isdigit() and 1 <= len(text) <= 6 and 1 <= int(text) <= most:
        return int(text)
    faults.append(Fault(name, f"must be a whole number from 1 to {most}"))
    return 1


def ago(text: str | None, now: datetime, name: str, faults: list[Fault]) -> datetime | None:
    """Return the time so many hours before now; None without a word."""
    if text is None:
        return None
    return now - timedelta(hours=count(text, _AGE_H_MAX, name, faults))
